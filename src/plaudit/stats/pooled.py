"""Average precision over classes (or prompts): by class, pooled, and with a cap that can be gamed [49].

The mean over classes asks only for a right order within each: scores of different classes need not be comparable.
Pooled precision ranks everything once, so that a class whose scores are too high costs the others: it moves with
calibration across classes. A cap on the total number of rows couples the classes in the mean as well, and is gamed by
giving every class its part of the cap, which changes no order within any class; a cap a class cannot be.

Source: Dave et al. 2021, "Evaluating Large-Vocabulary Object Detectors: The Devil is in the Details".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

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
        cap: rows in all; None for none. Positive rows that it cuts off stay missed.

    Raises:
        ShapeError: if the columns differ in length.
        InputError: if a score is not finite, the cap is below 1, or no row is positive.
    """
    s, y = np.asarray(score, dtype=np.float64).reshape(-1), np.asarray(correct, dtype=np.float64).reshape(-1)
    codes = cluster_codes(classes, s.size)
    if s.shape != y.shape:
        raise ShapeError(f"pooled_ranking: {s.size} scores and {y.size} labels; give as many")
    if not np.isfinite(s).all() or not y.sum():
        raise InputError("pooled_ranking: scores are finite, and at least one row is positive")
    if cap is not None and cap < 1:
        raise InputError(f"pooled_ranking: cap is {cap}; give at least 1, or None")
    most = s.size if cap is None else cap
    place = np.empty(s.size)  # 0 for the surest of its class
    for c in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == c)
        place[rows[np.argsort(-s[rows], kind="stable")]] = np.arange(rows.size)
    everything = np.ones(s.size, dtype=bool)
    return PooledRanking(
        by_class=_mean_precision(s, y, codes, everything),
        pooled=auprc(s, y),
        capped=_mean_precision(s, y, codes, _first(-s, most)),
        gamed=_mean_precision(s, y, codes, _first(place, most)),
    )


def _first(key: Float[np.ndarray, " n"], most: int) -> NDArray[np.bool_]:
    kept = np.zeros(key.size, dtype=bool)
    kept[np.argsort(key, kind="stable")[:most]] = True
    return kept


def _mean_precision(
    s: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], codes: NDArray[np.int64], kept: NDArray[np.bool_]
) -> float:
    found = []
    for c in range(int(codes.max()) + 1):
        at = codes == c
        total = y[at].sum()
        if total:
            seen = at & kept
            part = y[seen].sum()
            found.append(auprc(s[seen], y[seen]) * part / total if part else 0.0)
    return float(np.mean(found))
