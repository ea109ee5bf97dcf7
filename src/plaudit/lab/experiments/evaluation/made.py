"""Items without text, for experiments whose judges give their scores directly, and single numbers of a benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np

from plaudit.evaluation.benchmarks.items import Item
from plaudit.evaluation.benchmarks.statistics import Found
from plaudit.records.message import Message
from plaudit.records.sample import Sample


def made_item(
    number: int, good: tuple[bool, ...], *, subset: str = "", key: str = "", meta: dict[str, Any] | None = None
) -> Item:
    """An item of as many candidates as there are marks; nothing reads what they say.

    Args:
        number: tells its prompt from others.
        good: which candidates are right.
        subset: the part of the benchmark.
        key: of what is resampled as one; the number by default.
        meta: what the benchmark needs.
    """
    prompt = (Message("user", f"question {number}"),)
    samples = tuple(Sample(prompt, f"{j}") for j in range(len(good)))
    return Item(f"{number}", subset, samples, good, cluster=key or f"{number}", meta=meta or {})


def number_of(found: Found, name: str) -> float:
    """One number of a benchmark: its function of the sums over the items that it is of."""
    statistic = next(s for s in found.statistics if s.name == name)
    columns = statistic.columns
    total = columns[~np.isnan(columns).any(axis=1)].sum(axis=0)
    return float(statistic.function(total[None])[0])
