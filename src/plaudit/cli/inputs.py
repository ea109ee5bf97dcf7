"""What verbs read, in the shape that they need; rows that give nothing are told, never dropped silently."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plaudit.records import Pair, Records, Sample


def read_samples(source: str, skip_broken: str | None) -> tuple[Records, list[Sample]]:
    """The rows of a source as samples: each completion of a pair or a ranking is one."""
    from plaudit.records import Sample, convert, read

    records = read(source, skip_broken=skip_broken)
    done = convert(records.rows, to="samples")
    _tell(source, done.unused, done.why)
    return records, [row for row in done.rows if isinstance(row, Sample)]


def read_pairs(source: str, skip_broken: str | None) -> tuple[Records, list[Pair]]:
    """The rows of a source as pairs: a ranking gives all pairs of different scores."""
    from plaudit.records import Pair, convert, read

    records = read(source, skip_broken=skip_broken)
    done = convert(records.rows, to="pairs")
    _tell(source, done.unused, done.why)
    return records, [row for row in done.rows if isinstance(row, Pair)]


def _tell(source: str, unused: int, why: str) -> None:
    if unused:
        print(f"{source}: {unused} rows are not used: {why}", file=sys.stderr)
