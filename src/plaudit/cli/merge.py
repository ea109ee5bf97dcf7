"""`plaudit merge`: two policies, or two reward models, of one architecture in, their average out."""

from __future__ import annotations

import argparse

from plaudit.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("first", help="folder or hub id, for example of the policy before it was aligned")
    parser.add_argument("second", help="folder or hub id, for example of the same policy after it")
    parser.add_argument(
        "--weight",
        required=True,
        metavar="X",
        help="share of the second, 0 to 1; or one for each block: 0.1,0.3,0.5; of rewards also above 1",
    )
    parser.add_argument("--out", required=True, help="folder of the merged model")
    parser.add_argument(
        "--pairs", metavar="FILE", help="reward models: rows over which the reward has mean 0 and deviation 1"
    )
    parser.add_argument(
        "--adapt", metavar="FILE", help="rows that the average should find likely: shares of blocks are searched for"
    )
    parser.add_argument("--blocks", type=int, metavar="N", help="blocks of layers in the search (default: 3)")
    parser.add_argument(
        "--penalty", type=float, metavar="X", help="nats a unit of distance from equal shares (default: 0)"
    )
    parser.add_argument("--evaluations", type=int, metavar="N", help="averages that are measured (default: 30)")
    parser.add_argument("--max-length", type=int, default=2048, metavar="N", help="tokens of a row (default: 2048)")


def run(args: argparse.Namespace) -> int:
    """Merges; prints one line a result."""
    given = {n: v for n in ("blocks", "penalty", "evaluations") if (v := getattr(args, n)) is not None}
    if given and not args.adapt:
        raise InputError(f"merge: --{next(iter(given))} has no effect without --adapt FILE; leave it out")
    try:
        shares = [float(part) for part in args.weight.split(",")]
    except ValueError:
        raise InputError(
            f"merge: --weight is {args.weight!r}; give a number from 0 to 1, or several: 0.1,0.3"
        ) from None

    from plaudit.policy.merging import merge
    from plaudit.records import read
    from plaudit.rewards.folders import check_folder
    from plaudit.rewards.manifest import FILE

    found_at = [check_folder(folder) for folder in (args.first, args.second)]
    rewards = [path is not None and (path / FILE).is_file() for path in found_at]
    if all(rewards):
        return _rewards(args, shares)
    if any(rewards):
        raise InputError(
            f"merge: only {args.first if rewards[0] else args.second} is a reward model; give two of a kind"
        )
    if args.pairs:
        raise InputError("merge: --pairs has no effect on policies; leave it out")
    rows = read(args.adapt, whole=True).rows if args.adapt else None
    found = merge(
        args.first, args.second, weight=shares[0] if len(shares) == 1 else shares, out=args.out, rows=rows,
        max_length=args.max_length, **given,
    )  # fmt: skip
    if found.search is not None:
        s = found.search
        print(f"nats a token {s.uniform:.4f} with equal shares -> {s.loss:.4f}, over {s.evaluations} averages")
    print(f"share of {args.second}: {', '.join(f'{w:.3g}' for w in found.shares)}")
    print(f"saved {found.folder}")
    return 0


def _rewards(args: argparse.Namespace, shares: list[float]) -> int:
    """Two reward models."""
    from plaudit.cli.inputs import read_pairs
    from plaudit.training.merging import merge_rewards

    if args.adapt or len(shares) > 1:
        what = "--adapt" if args.adapt else "--weight with several shares"
        raise InputError(f"merge: {what} is for policies; give reward models one weight")
    rows = read_pairs(args.pairs, None)[1] if args.pairs else []
    merge_rewards(args.first, args.second, factor=shares[0], out=args.out, rows=rows)
    print(f"{args.first} + {shares[0]:g} ({args.second} - {args.first})")
    print(f"saved {args.out}")
    return 0
