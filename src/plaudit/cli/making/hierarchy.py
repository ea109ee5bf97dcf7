"""`plaudit data hierarchy`: pairs of rated completions by a ranking of their aspects [104].

plaudit data hierarchy rated.jsonl --order correct,helpful,-words --margins 0.5 --out pairs.jsonl
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plaudit.cli.inputs import add_source
from plaudit.errors import InputError

if TYPE_CHECKING:
    from plaudit.records.rows import Rated


def add_arguments(actions: Any) -> None:
    """The action and its options."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "hierarchy", help="pairs from rated rows: the first of some aspects that differs by enough decides (HERON)"
    )
    add_source(parser, "rated rows with aspects; completions of one prompt are compared")
    add = parser.add_argument
    add(
        "--order", required=True, metavar="ASPECT,...",
        help="the most important first; a minus before a name says that lower is better (--order=-words,helpful)",
    )  # fmt: skip
    add(
        "--margins", default="0.5", metavar="X,...",
        help="by how much an aspect must differ to decide, in its standard deviations over all rows: one number for "
        "all, or one each (default: %(default)s)",
    )  # fmt: skip
    add("--out", required=True, metavar="FILE", help="ends in .jsonl, .jsonl.gz or .parquet")


def run(args: argparse.Namespace) -> int:
    """Compares, writes the pairs, says which aspect decided how many and what is left out."""
    from plaudit.curation.hierarchies import hierarchical_pairs
    from plaudit.records import Rated, read, write
    from plaudit.records.writing import check_target

    order, margins = _order(args.order), _margins(args.margins)
    check_target(args.out)
    records = read(args.source, skip_broken=args.skip_broken)
    if records.n_broken:
        print(f"{args.source}: {records.n_broken} broken rows set aside in {args.skip_broken}")
    rows = [row for row in records.rows if isinstance(row, Rated)]
    if not rows:
        raise InputError(
            f"{args.source}: holds {records.kind}, and a hierarchy needs rated rows: prompt, completion, aspects"
        )
    pairs = hierarchical_pairs(rows, order, margins=margins if len(margins) > 1 else margins[0])
    alone, couples = _couples(rows)
    if not pairs:
        why = "no prompt has two rated completions"
        if couples:
            why = f"{couples} comparisons, in none of which an aspect differs by its margin"
        raise InputError(f"data hierarchy: none of the {len(rows)} rows gives a pair: {why}")
    count = write(args.out, pairs)
    print(f"{args.out}: {count} rows of pairs from {len(rows)} of rated")
    decided = Counter(pair.meta["factor"] for pair in pairs)
    print("  decided by " + ", ".join(f"{name} {decided[name]}" for name in order))
    if couples > count:
        print(f"  {couples - count} of {couples} comparisons gave none: no aspect differs by its margin")
    if alone:
        print(f"  {alone} rows gave none: their prompt has no second rated completion")
    return 0


def _couples(rows: Sequence[Rated]) -> tuple[int, int]:
    """Rows that are alone with their prompt (and its tools), and how many comparisons the others allow."""
    from plaudit.curation.hierarchies import RENDERING
    from plaudit.records.sample import content_hash

    sizes = Counter(
        content_hash([[m.to_dict() for m in row.prompt], *map(row.meta.get, RENDERING)]) for row in rows
    ).values()
    return sum(n == 1 for n in sizes), sum(n * (n - 1) // 2 for n in sizes)


def _order(words: str) -> list[str]:
    """The aspects, each once.

    Raises:
        InputError: if one is missing, or stands there twice.
    """
    order = [name.strip() for name in words.split(",")]
    bare = [name.removeprefix("-") for name in order]
    if not all(bare):
        raise InputError(
            f"data hierarchy: --order is {words!r}; name aspects, the most important one first, as in a,-b"
        )
    if len(set(bare)) < len(bare):
        twice = next(name for name in bare if bare.count(name) > 1)
        raise InputError(f"data hierarchy: --order names {twice!r} twice; the second could decide nothing")
    return order


def _margins(words: str) -> list[float]:
    """One number, or one an aspect.

    Raises:
        InputError: if one is no number.
    """
    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise InputError(f"data hierarchy: --margins is {words!r}; give numbers, as in 0.5 or 0.5,0,1") from None
