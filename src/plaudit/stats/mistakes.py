"""Which mistakes a ranking metric wants fixed first: AUROC weighs all alike, average precision the highest ranked [35].

`AUROC = 1 - E[FPR(t)]` and `AUPRC = 1 - P(y = 0) E[FPR(t) / P(f >= t)]`, t the score of a random positive: the second
divides a false positive by the share of rows that are called positive at its threshold. Where positives are rare that
is no virtue by itself: a model that is chosen by average precision has its mistakes fixed at the top first, which is
where the group with more positives is; look at `AUROC` within groups beside it.

Source: McDermott et al. 2024, "A Closer Look at AUROC and AUPRC under Class Imbalance", theorems 1 and 3.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.stats.selective import auprc, auroc


@dataclass(frozen=True)
class Mistakes:
    """Neighbours in the ranking of which the lower one is the positive one, m of them, from the top.

    Attributes:
        positive: row of the positive one, (m,).
        negative: row of the negative one just above it.
        auroc_gain: what swapping the two adds to AUROC: the same for all.
        auprc_gain: what it adds to average precision: most at the top.
    """

    positive: Int[np.ndarray, " m"]
    negative: Int[np.ndarray, " m"]
    auroc_gain: Float[np.ndarray, " m"]
    auprc_gain: Float[np.ndarray, " m"]


def neighbour_mistakes(score: ArrayLike, label: ArrayLike) -> Mistakes:
    """The mistakes that one swap of neighbours fixes, and what each is worth to the two metrics.

    With k positives among the i rows ranked up to and with the negative: swapping raises the positive's precision from
    `(k + 1) / (i + 1)` to `(k + 1) / i`.

    Args:
        score: (n,), without ties or NaN.
        label: (n,), 1 or 0.

    Raises:
        ShapeError: if the two differ in length.
        InputError: if scores tie, a label is not 0 or 1, or one class is missing.
    """
    s, y = np.asarray(score, dtype=np.float64).reshape(-1), np.asarray(label, dtype=np.float64).reshape(-1)
    if s.shape != y.shape:
        raise ShapeError(f"neighbour_mistakes: {s.size} scores and {y.size} labels; give as many")
    if np.unique(s).size != s.size or np.isnan(s).any():
        raise InputError(
            "neighbour_mistakes: scores tie or are NaN; which of two equal ones is the mistake is not defined"
        )
    if not np.isin(y, (0.0, 1.0)).all() or not 0 < y.sum() < y.size:
        raise InputError("neighbour_mistakes: labels are 1 and 0, and both occur")
    order = np.argsort(-s)
    ranked = y[order]
    at = np.flatnonzero((ranked[:-1] == 0) & (ranked[1:] == 1))
    above = np.cumsum(ranked)[at]
    place = at + 1.0  # rows up to and with the negative
    gain = (above + 1) / place - (above + 1) / (place + 1)
    p, n = float(y.sum()), float((1 - y).sum())
    return Mistakes(order[at + 1], order[at], np.full(at.size, 1 / (p * n)), gain / p)


def first_fixed(
    score: ArrayLike, label: ArrayLike, groups: Sequence[Hashable], *, by: str, fixes: int
) -> dict[Hashable, tuple[float, float]]:
    """AUROC within each group before and after greedily fixing mistakes by one metric's gain.

    Args:
        score: (n,), without ties.
        label: (n,), 1 or 0.
        groups: (n,) labels.
        by: `auprc`, or `auroc`, whose gains are equal and are taken in the order of rows.
        fixes: swaps of neighbours.

    Returns:
        Group to AUROC before and after; NaN for a group of one class.

    Raises:
        InputError: if `by` is neither, or as in `neighbour_mistakes`.
    """
    if by not in ("auprc", "auroc"):
        raise InputError(f"first_fixed: by is {by!r}; give auprc or auroc")
    s, y = np.array(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    start = s.copy()
    for _ in range(fixes):
        found = neighbour_mistakes(s, y)
        if not found.positive.size:
            break
        i = int(found.auprc_gain.argmax()) if by == "auprc" else int(found.positive.argmin())
        a, b = found.positive[i], found.negative[i]
        s[a], s[b] = s[b], s[a]
    result: dict[Hashable, tuple[float, float]] = {}
    for g in dict.fromkeys(groups):
        at = np.array([h == g for h in groups])
        result[g] = (auroc(start[at], y[at]), auroc(s[at], y[at]))
    return result


def area_by_firing_rate(score: ArrayLike, label: ArrayLike) -> tuple[float, float]:
    """AUROC and AUPRC by the identities above: the same numbers as `auroc` and `auprc`, from false-positive rates.

    Args:
        score: (n,).
        label: (n,), 1 or 0.

    Returns:
        The two areas; NaN where a class is missing.
    """
    s, y = np.asarray(score, dtype=np.float64).reshape(-1), np.asarray(label, dtype=np.float64).reshape(-1)
    positive, negative = s[y == 1], s[y == 0]
    if not positive.size or not negative.size:
        return auroc(s, y), auprc(s, y)
    fires = (s[None, :] >= positive[:, None]).mean(axis=1)
    above = (negative[None, :] >= positive[:, None]).mean(axis=1)
    half = above - (negative[None, :] == positive[:, None]).mean(axis=1) / 2
    return float(1 - half.mean()), float(1 - negative.size / s.size * (above / fires).mean())
