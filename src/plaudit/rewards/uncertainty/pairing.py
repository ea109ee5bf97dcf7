"""Preference rows as samples and the pairs between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample


def compared(
    rows: Sequence[Pair | Ranked],
) -> tuple[list[Sample], Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """All completions of the rows, and for each preference the indices of the better and the worse one.

    Raises:
        InputError: if no row holds a preference.
    """
    samples: list[Sample] = []
    better: list[int] = []
    worse: list[int] = []
    for row in rows:
        at = len(samples)
        if isinstance(row, Pair):
            samples += row.samples()
            better.append(at)
            worse.append(at + 1)
            continue
        samples += [Sample(row.prompt, c, meta=row.meta) for c in row.completions]
        scores = list(enumerate(row.scores))
        ordered = [(i, j) for i, a in scores for j, b in scores if a > b]
        better += [at + i for i, _ in ordered]
        worse += [at + j for _, j in ordered]
    if not better:
        raise InputError(f"uncertainty: {len(rows)} rows hold no preference; give the training pairs")
    return samples, np.array(better, dtype=np.int64), np.array(worse, dtype=np.int64)


def preferences_each(rows: Sequence[Pair | Ranked]) -> Int[np.ndarray, " n"]:
    """How many of the preferences of `compared` each row holds."""
    return np.array([
        1 if isinstance(row, Pair) else sum(a > b for a in row.scores for b in row.scores) for row in rows
    ], dtype=np.int64)  # fmt: skip
