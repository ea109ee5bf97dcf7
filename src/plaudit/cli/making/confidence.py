"""`plaudit data confidence`: pairs into rows that teach a reward when a stated confidence is deserved [216].

plaudit data confidence pairs.jsonl --original --out stated.jsonl
plaudit train stated.jsonl --out runs/stated
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plaudit.cli.inputs import add_source, read_pairs
from plaudit.errors import InputError

if TYPE_CHECKING:
    from plaudit.records.rows import Pair


def add_arguments(actions: Any) -> None:
    """The action and its options."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "confidence", help="rows with a stated confidence, so that a reward learns when it is deserved (PPO-M)"
    )
    add_source(parser, "preference pairs (ranked rows become all their pairs)")
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="ends in .jsonl, .jsonl.gz or .parquet")
    add(
        "--to", choices=("pairs", "ranked"), default="pairs",
        help="two pairs of each, for bradley-terry, or one ranking of four texts, for plackett-luce (default: pairs)",
    )  # fmt: skip
    add("--original", action="store_true", help="each pair itself too, without a confidence")
    add("--ordered", action="store_true", help="chosen with a high one over rejected with a low one, as a further pair")
    add("--high", default="7-10", metavar="A-B", help="whole numbers of a high confidence (default: %(default)s)")
    add("--low", default="0-3", metavar="A-B", help="whole numbers of a low one, within 0 to 10 (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the numbers that are stated (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Makes the rows, writes them, says how many of how many."""
    import numpy as np

    from plaudit.curation.confidence import confidence_lists, confidence_pairs
    from plaudit.records import write
    from plaudit.records.writing import check_target

    ranges = {name: _range(f"--{name}", getattr(args, name)) for name in ("high", "low")}
    if args.to == "ranked" and (args.original or args.ordered):
        option = "--original" if args.original else "--ordered"
        raise InputError(f"data confidence: {option} is a further pair, and --to ranked makes rankings; leave one out")
    check_target(args.out)
    records, pairs = read_pairs(args.source, args.skip_broken)
    if records.n_broken:
        print(f"{args.source}: {records.n_broken} broken rows set aside in {args.skip_broken}")
    stated = _stated(pairs)
    rng = np.random.default_rng(args.seed)
    if args.to == "ranked":
        count = write(args.out, confidence_lists(pairs, rng, **ranges))
    else:
        rows = confidence_pairs(pairs, rng, original=args.original, ordered=args.ordered, **ranges)
        count = write(args.out, rows)
    print(f"{args.out}: {count} rows of {args.to} from {len(pairs)} pairs")
    if stated:
        print(f"  {stated} of {2 * len(pairs)} completions stated a confidence before: the new one stands behind it")
    return 0


def _stated(pairs: Sequence[Pair]) -> int:
    """How many completions state a confidence already.

    Raises:
        InputError: naming the first pair in which nobody speaks who could state one.
    """
    from plaudit.shaping.confidence import read_confidence, state_confidence

    for i, pair in enumerate(pairs):
        for side in ("chosen", "rejected"):
            try:
                state_confidence(getattr(pair, side), 0)
            except InputError as error:
                reason = str(error).removeprefix("confidence: ")
                raise InputError(f"data confidence: {side} of pair {i + 1}: {reason}") from error
    return sum(read_confidence(s.text)[1] is not None for pair in pairs for s in pair.samples())


def _range(option: str, words: str) -> tuple[int, int]:
    """Both ends of `A-B`.

    Raises:
        InputError: if it is written otherwise.
    """
    ends = words.split("-")
    if len(ends) != 2 or not all(end.strip().isdecimal() for end in ends):
        raise InputError(f"data confidence: {option} is {words!r}; write both ends, as in 7-10")
    return int(ends[0]), int(ends[1])
