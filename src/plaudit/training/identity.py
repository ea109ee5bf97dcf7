"""Which row a pair is from, as a number: what bootstrap weights are drawn by; and what a row is called."""

from __future__ import annotations

from typing import Any

from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import completion_messages, content_hash

BITS = 24
"""Whole numbers below 2^24 are exact in float32, which columns are. Two of 1,000 rows share one with probability 3%."""


def row_identity(_where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    """A whole number below `2^BITS` that depends on prompt, completions, labels and annotator of a row.

    All pairs of a ranked row have the same one, since they stand and fall together: a bootstrap draws rows. Equal rows
    are one row that counts more often.
    """
    completions = (row.chosen, row.rejected) if isinstance(row, Pair) else row.completions
    said = [[m.to_dict() for m in row.prompt], [[m.to_dict() for m in completion_messages(c)] for c in completions]]
    said.append([row.annotator] if isinstance(row, Pair) else list(row.scores))
    return float(int(content_hash(said), 16) % (1 << BITS))


def kind_of(row: Any) -> str:
    """What a row is called in a message, with its article: `a pair`, `an unpaired`."""
    name = type(row).__name__.lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
