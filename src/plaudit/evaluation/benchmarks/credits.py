"""What a judgement of an item is worth: wins of pairs, the best of k, ranks.

Which way a tie counts is each benchmark's own affair, so every function says it in its name or argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from plaudit.evaluation.benchmarks.items import Item
from plaudit.evaluation.benchmarks.judging import Judged

Floats = NDArray[np.float64]


def wins(margin: Floats, *, tie: float) -> Floats:
    """1 where a margin is above 0, `tie` where it is 0, 0 below; NaN stays.

    Args:
        margin: any shape.
        tie: what a tie is worth, in [0, 1].
    """
    value = np.where(margin > 0, 1.0, np.where(margin == 0, tie, 0.0))
    return np.asarray(np.where(np.isnan(margin), np.nan, value))


def pair_credit(margins: Sequence[Floats], *, tie: float) -> Float[np.ndarray, " n"]:
    """For each item the share of its pairs that are won; NaN where a pair has no margin.

    Args:
        margins: for each item (p,).
        tie: what a tie is worth.
    """
    sizes = np.array([m.size for m in margins], dtype=np.int64)
    total = np.zeros(len(sizes))
    if sizes.any():
        won = wins(np.concatenate(margins), tie=tie)
        some = sizes > 0
        total[some] = np.add.reduceat(won, (np.cumsum(sizes) - sizes)[some])
    return np.asarray(np.where(sizes > 0, total / np.maximum(sizes, 1), math.nan))


def all_won(margins: Sequence[Floats]) -> Float[np.ndarray, " n"]:
    """For each item 1 where every pair is won, else 0; NaN where a pair has no margin or there are no pairs.

    A tie is not won. Never above the item's share of pairs that are won, whatever a tie is worth there.

    Args:
        margins: for each item (p,).

    Source: Zhang et al. 2025, "MM-RLHF", ACC+ [77].
    """
    found = [math.nan if not m.size or np.isnan(m).any() else float((m > 0).all()) for m in margins]
    return np.array(found, np.float64)


def tie_share(margins: Sequence[Floats]) -> Float[np.ndarray, " n"]:
    """For each item the share of its pairs with margin 0; NaN where a pair has none."""
    found = [math.nan if not m.size or np.isnan(m).any() else float((m == 0).mean()) for m in margins]
    return np.array(found, np.float64)


def best_credit(items: Sequence[Item], judged: Judged) -> Float[np.ndarray, " n"]:
    """For each item whether a right candidate is the best: g/k where g of k tied maxima are right, else 0.

    A constant reward is worth its chance that way (1/4 with one right candidate of four). A comparison's best is the
    right candidate that beats every wrong one; where it ties with t wrong ones the credit is 1 / (1 + t). NaN where any
    candidate has no reward: the best of the others might not be the best.

    Args:
        items: n items.
        judged: what was said of them.
    """
    if judged.rewards is not None:
        return np.array([_best(r, item.good) for r, item in zip(judged.rewards, items, strict=True)], np.float64)
    found = []
    for margin, item in zip(judged.margins(items), items, strict=True):
        by_right: dict[int, list[float]] = {}
        for (i, j), m in zip(item.pairs, margin, strict=True):
            if item.good[i] and not item.good[j]:
                by_right.setdefault(i, []).append(float(m))
        found.append(max((_beats(m) for m in by_right.values()), default=math.nan))
    return np.array(found, np.float64)


def _best(reward: Floats, good: Sequence[bool]) -> float:
    if np.isnan(reward).any():
        return math.nan
    top = reward == reward.max()
    return float(np.asarray(good)[top].mean())


def _beats(margins: Sequence[float]) -> float:
    if any(math.isnan(m) for m in margins):
        return math.nan
    return 0.0 if min(margins) < 0 else 1.0 / (1 + sum(m == 0 for m in margins))


def reciprocal_rank(margins: Sequence[Floats]) -> Float[np.ndarray, " n"]:
    """For each item 1 / rank of its one right candidate, ties counted against it; NaN where a margin is unknown.

    Args:
        margins: for each item (p,), of the right candidate over each wrong one.
    """
    found = [math.nan if np.isnan(m).any() else 1.0 / (1 + int((m <= 0).sum())) for m in margins]
    return np.array(found, np.float64)
