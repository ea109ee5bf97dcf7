"""`plaudit data community`: pairs from what people do, who was shown what and who made something of it [69].

plaudit data community events.jsonl --out pairs.jsonl
plaudit train pairs.jsonl --objective community --row-weight weight --out runs/community
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plaudit.cli.inputs import add_source, read_raw
from plaudit.errors import InputError

if TYPE_CHECKING:
    from plaudit.curation.community import Event, Reception
    from plaudit.records.rows import Pair


def add_arguments(actions: Any) -> None:
    """The action and its options."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "community", help="pairs from a log of events: an item that many reuse over one that was passed over"
    )
    add_source(parser, "events, one a row: prompt, completion, user, and action (made, shown or reused)")
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="the pairs: ends in .jsonl, .jsonl.gz or .parquet")
    add("--receptions", metavar="FILE", help="write here how each completion was received: exposures, reuses, rate")
    add("--min-exposure", type=int, default=20, metavar="N", help="users who must have been shown it (default: 20)")
    add(
        "--min-rate", type=float, default=0.1, metavar="X",
        help="share of those who were shown the better one and reused it, at least (default: 0.1)",
    )  # fmt: skip
    add("--max-rate", type=float, default=0.01, metavar="X", help="of the other one, at most (default: 0.01)")


def run(args: argparse.Namespace) -> int:
    """Counts users, makes the pairs, says which completions stand in none."""
    from plaudit.curation.community import receptions
    from plaudit.records import write
    from plaudit.records.writing import check_target

    for path in (args.out, args.receptions):
        if path:
            check_target(path)
    if args.receptions == args.out:
        raise InputError("data community: --out and --receptions are one file; name another")
    events = read_raw(args.source, _event, args.skip_broken)
    received = receptions(events)
    pairs = _pairs(received, args)
    if not pairs:
        raise InputError(
            f"data community: none of {len(received)} completions is better than another of its prompt: "
            f"{'; '.join(_left_out(received, pairs, args))}"
        )
    if args.receptions:
        write(args.receptions, [_row(r) for r in received])
        print(f"{args.receptions}: how {len(received)} completions were received")
    count = write(args.out, pairs)
    prompts = len({pair.prompt for pair in pairs})
    print(
        f"{args.out}: {count} rows of pairs on {prompts} prompts, from {len(events)} events on "
        f"{len(received)} completions"
    )
    for line in _left_out(received, pairs, args):
        print(f"  {line}")
    return 0


def _event(row: Mapping[str, Any]) -> Event:
    """One event; `item` is taken where there is no `completion`."""
    from plaudit.curation.community import ACTIONS, Event
    from plaudit.records.fields import RowError, label_text, present, text

    item = "item" if "item" in row and "completion" not in row else "completion"
    present(row, "user")
    action = present(row, "action")
    if action not in ACTIONS:
        raise RowError("action", action, f"is not known; give {', '.join(ACTIONS)}")
    prompt, made = (text(name, present(row, name)) for name in ("prompt", item))
    return Event(prompt, made, str(label_text(row, "user")), action)


def _pairs(received: Sequence[Reception], args: argparse.Namespace) -> list[Pair]:
    """Prompt by prompt, which is the same: all items at once would need a table of every two of them."""
    from plaudit.curation.community import reception_pairs

    prompts: dict[str, list[Reception]] = {}
    for one in received:
        prompts.setdefault(one.prompt, []).append(one)
    limits = {"min_exposure": args.min_exposure, "min_rate": args.min_rate, "max_rate": args.max_rate}
    return [pair for members in prompts.values() for pair in reception_pairs(members, **limits)]


def _left_out(received: Sequence[Reception], pairs: Sequence[Pair], args: argparse.Namespace) -> list[str]:
    """Why completions stand in no pair."""
    paired = {(pair.prompt[0].text, side) for pair in pairs for side in (pair.chosen, pair.rejected)}
    rest = [r for r in received if (r.prompt, r.item) not in paired]
    few = [r for r in rest if r.exposures < args.min_exposure]
    known = [r for r in rest if r.exposures >= args.min_exposure]
    between = [r for r in known if args.max_rate < r.rate < args.min_rate]
    counts = {
        f"were shown to fewer than {args.min_exposure} users": len(few),
        f"have a rate between {args.max_rate:g} and {args.min_rate:g}": len(between),
        "have no counterpart of their prompt": len(known) - len(between),
    }
    return [f"{n} completions {why}" for why, n in counts.items() if n]


def _row(received: Reception) -> dict[str, Any]:
    return {
        "prompt": received.prompt, "completion": received.item, "exposures": received.exposures,
        "reuses": received.reuses, "rate": received.rate,
    }  # fmt: skip
