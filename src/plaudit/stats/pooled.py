"""Average precision over classes (or prompts): by class, pooled, and with a cap that can be gamed [49].

The mean over classes asks only for a right order within each: scores of different classes need not be comparable.
Pooled precision ranks everything once, so that a class whose scores are too high costs the others: it moves with
calibration across classes. A cap on the total number of rows couples the classes in the mean as well, and is gamed by
giving every class its part of the cap, which changes no order within any class; a cap a class cannot be.

Rows that tie at the border of a cap share its places: what is given is the expected value over all orders of the tied,
exactly, so that it says nothing of the order in which the rows happen to stand.

Differs from the paper: the ties (there sorted as they come).
Source: Dave et al. 2021, "Evaluating Large-Vocabulary Object Detectors: The Devil is in the Details".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.special import gammaln

from plaudit.errors import InputError, ShapeError
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.selective import auprc


@dataclass(frozen=True)
class PooledRanking:
    """Average precision of one ranking, four ways.

    Attributes:
        by_class: mean over classes that have a positive row.
        pooled: of all rows in one ranking; moves with calibration across classes.
        capped: mean over classes of the rows that a cap on the total lets through, by the scores as they are.
        gamed: the same after dealing the cap out alike: no order within a class changed.
    """

    by_class: float
    pooled: float
    capped: float
    gamed: float

    @property
    def gain(self) -> float:
        """What is won by gaming the cap alone; 0 where the cap binds nobody."""
        return self.gamed - self.capped


def pooled_ranking(score: ArrayLike, correct: ArrayLike, classes: Clusters, *, cap: int | None = None) -> PooledRanking:
    """Average precision by class and pooled, and the audit of a cap.

    Args:
        score: (n,), higher is surer; NaN is refused.
        correct: (n,), 1 or 0.
        classes: (n,) labels, such as prompts.
        cap: rows in all; None for none. Positive rows that it cuts off stay missed; ties at the border share it.

    Raises:
        ShapeError: if the columns differ in length.
        InputError: if a score is not finite, a label is neither 1 nor 0, the cap is below 1, or no row is positive.
    """
    s, y = np.asarray(score, dtype=np.float64).reshape(-1), np.asarray(correct, dtype=np.float64).reshape(-1)
    codes = cluster_codes(classes, s.size)
    if s.shape != y.shape:
        raise ShapeError(f"pooled_ranking: {s.size} scores and {y.size} labels; give as many")
    if not np.isfinite(s).all() or not np.isin(y, (0.0, 1.0)).all() or not y.any():
        raise InputError("pooled_ranking: scores are finite, labels 1 or 0, and at least one row is positive")
    if cap is not None and cap < 1:
        raise InputError(f"pooled_ranking: cap is {cap}; give at least 1, or None")
    most = s.size if cap is None else min(cap, s.size)
    size = np.bincount(codes)
    # each class with a positive row: precision by the number of its surest rows that are kept
    by_kept = {c: _by_kept(s[codes == c], y[codes == c]) for c in range(size.size) if y[codes == c].any()}
    border = np.sort(s)[::-1][most - 1]
    above, tied = (np.bincount(codes[at], minlength=size.size) for at in (s > border, s == border))
    # dealt out alike, each class with enough rows has `even` of them, and those with more share what is left
    reached = np.cumsum(np.cumsum(np.bincount(size)[::-1])[::-1][1:])  # rows in all with 1, 2, ... a class
    even = int(np.searchsorted(reached, most, side="right"))
    left, longer = most - int(np.minimum(size, even).sum()), int((size > even).sum())
    capped, gamed = [], []
    for c, precision in by_kept.items():
        capped.append(_expected(precision[above[c] :], int(tied[c]), int(tied.sum()), most - int(above.sum())))
        one = precision[min(int(size[c]), even) :]
        gamed.append(_expected(one, int(size[c] > even), longer, left))
    return PooledRanking(
        by_class=float(np.mean([precision[-1] for precision in by_kept.values()])), pooled=auprc(s, y),
        capped=float(np.mean(capped)), gamed=float(np.mean(gamed)),
    )  # fmt: skip


def _by_kept(s: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Average precision of a class, times recall, with its surest 0, 1, ..., n rows; expected where rows tie.

    Of t tied rows, P positive, the j that are kept have a positive ones, hypergeometric: `E a = j P / t`. With H
    positive rows before them and k kept in all they add `a (H + a) / k` of the positive rows' number.
    """
    values, inverse = np.unique(-s, return_inverse=True)
    t = np.bincount(inverse.reshape(-1), minlength=values.size)
    p = np.bincount(inverse.reshape(-1), weights=y, minlength=values.size)
    taken, hits = np.cumsum(t), np.cumsum(p)
    whole = np.concatenate([[0.0], np.cumsum(p * hits / taken)])
    k: Int[np.ndarray, " k"] = np.arange(s.size + 1)
    v = np.searchsorted(taken, k)
    j, share = k - (taken - t)[v], (p / t)[v]
    mean = j * share
    square = mean**2 + mean * (1 - share) * (t[v] - j) / np.maximum(t[v] - 1, 1)
    return np.asarray((whole[v] + ((hits - p)[v] * mean + square) / np.maximum(k, 1)) / hits[-1])


def _expected(precision: Float[np.ndarray, " k"], own: int, tied: int, places: int) -> float:
    """Expected precision where `places` of `tied` rows are kept at random, `own` of which are the class's.

    Args:
        precision: with 0, 1, ... of the class's rows among those kept.
        own: the class's.
        tied: in all.
        places: for them.
    """
    k = np.arange(max(0, places - (tied - own)), min(own, places) + 1)
    # hypergeometric; scipy.stats takes a thousand times as long for classes of thousands
    log = -(gammaln(k + 1) + gammaln(own - k + 1) + gammaln(places - k + 1) + gammaln(tied - own - places + k + 1))
    weight = np.exp(log - log.max())
    return float(weight @ precision[k] / weight.sum())
