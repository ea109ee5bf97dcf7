"""Inductive Venn-Abers: two isotonic fits a pair, and how far apart they are.

Differs from the paper: a point is inserted into pooled blocks that are kept for every prefix and suffix of the
calibration pairs, which costs one merge of blocks a query instead of a fit; the values are the same. On pairs both
fits are made on folded data and bounded below by 1/2, as pairs in both orders give them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators.base import Floats, Interval, folded, known, unfolded
from plaudit.rewards.calibrators.isotonic import distinct


class InsertedFits:
    """Isotonic fits of data with one point added, for any point.

    Args:
        x: (k,) distinct, rising.
        total: (k,) sums of labels at each.
        count: (k,) number of labels at each.
    """

    def __init__(self, x: Floats, total: Floats, count: Floats) -> None:
        self.x = x
        self._total = np.concatenate([[0.0], np.cumsum(total)])
        self._count = np.concatenate([[0.0], np.cumsum(count)])
        self._start = self._blocks(self._total, self._count)
        mirrored = self._total[-1] - self._total[::-1], self._count[-1] - self._count[::-1]
        # the suffixes of the data are the prefixes of its mirror image, in which labels fall instead of rising
        self._end = len(x) - self._blocks(-mirrored[0], mirrored[1])[::-1]

    @staticmethod
    def _blocks(total: Floats, count: Floats) -> np.ndarray:
        """For each prefix of points, where the last block of its isotonic fit begins.

        What is before that block is the fit of a shorter prefix, so these numbers are all the fits at once.
        """
        start = np.zeros(len(total), dtype=np.int64)
        sums, sizes = total.tolist(), count.tolist()
        for k in range(1, len(sums)):
            first = k - 1
            while first > 0:
                before = int(start[first])
                mean_before = (sums[first] - sums[before]) / (sizes[first] - sizes[before])
                if mean_before < (sums[k] - sums[first]) / (sizes[k] - sizes[first]):
                    break
                first = before
            start[k] = first
        return start

    def value(self, at: float, label: float) -> float:
        """The fit at a point, when that point is added with this label.

        Args:
            at: where.
            label: 0 or 1.
        """
        low = int(np.searchsorted(self.x, at, side="left"))
        high = int(np.searchsorted(self.x, at, side="right"))  # equal points share one value from the outset
        sums, sizes = self._total, self._count
        while True:
            mean = (sums[high] - sums[low] + label) / (sizes[high] - sizes[low] + 1)
            first, last = int(self._start[low]), int(self._end[high])
            if low > 0 and (sums[low] - sums[first]) / (sizes[low] - sizes[first]) >= mean:
                low = first
            elif high < len(self.x) and (sums[last] - sums[high]) / (sizes[last] - sizes[high]) <= mean:
                high = last
            else:
                return float(mean)


def venn_abers_interval(
    score: ArrayLike, label: ArrayLike, new: ArrayLike
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """`p0` and `p1` of new scores: isotonic regression on the calibration set and `(s, 0)`, or `(s, 1)`, read at s.

    One of the two, which one the true label decides, is perfectly calibrated on exchangeable data. For scores of single
    samples (a verifier's); pairs go through `VennAbers`.

    Args:
        score: (n,) of the calibration set.
        label: (n,), 1 or 0.
        new: (m,) scores, NaN gives NaN.

    Returns:
        `p0 <= p1`, each (m,).

    Raises:
        ShapeError: if scores and labels differ in number.
        InputError: if there are none, a score is not finite, or a label is neither 0 nor 1.

    Source: Vovk, Petej and Fedorova 2015, "Large-scale Probabilistic Predictors with and without Guarantees of
    Validity".
    """
    s, y = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if s.shape != y.shape:
        raise ShapeError(f"venn_abers_interval: {s.size} scores and {y.size} labels; they must be equal in number")
    if not s.size or not np.isfinite(s).all():
        raise InputError("venn_abers_interval: there are no scores, or one is not finite; give those that count")
    if not np.isin(y, (0.0, 1.0)).all():
        raise InputError(f"venn_abers_interval: a label is {y[~np.isin(y, (0.0, 1.0))][0]}; give 0 or 1")
    return _interval(InsertedFits(*distinct(s, y)), np.asarray(new, dtype=np.float64))


def _interval(fits: InsertedFits, new: Floats) -> tuple[Floats, Floats]:
    values, inverse = np.unique(new, return_inverse=True)
    ends = [np.array([np.nan if np.isnan(v) else fits.value(v, y) for v in values.tolist()]) for y in (0.0, 1.0)]
    return ends[0][inverse.reshape(-1)], ends[1][inverse.reshape(-1)]


def merged(p0: ArrayLike, p1: ArrayLike) -> Float[np.ndarray, " n"]:
    """One probability from two: `p1 / (1 - p0 + p1)`, the minimax of log loss.

    Source: Vovk, Petej and Fedorova 2015.
    """
    low, high = np.asarray(p0, dtype=np.float64), np.asarray(p1, dtype=np.float64)
    return np.asarray(high / (1 - low + high))


@final
@dataclass(frozen=True)
class VennAbers:
    """Lower and upper probability that the first is better, and the point between them.

    Antisymmetric because a pair is added in both orders: `p0` of (a, b) is one minus `p1` of (b, a), and the merged
    points add up to 1. The width says how much one pair more could move the answer: wide where calibration pairs are
    few. No affine map, so it makes a comparison, not another reward.

    Attributes:
        size: distinct sizes of margins (k,), rising.
        right: pairs with a right sign at each (k,), ties half.
        count: pairs at each (k,).
    """

    size: tuple[float, ...]
    right: tuple[float, ...]
    count: tuple[float, ...]
    method = "venn-abers"

    @classmethod
    def fit(cls, margin: ArrayLike, label: ArrayLike | None = None) -> Self:
        """See `Calibrator.fit`.

        Raises:
            InputError: if there is nothing to fit.
        """
        columns = distinct(*folded("venn-abers", margin, label))
        return cls(*(tuple(column.tolist()) for column in columns))

    @property
    def n(self) -> int:
        """Pairs that it was fitted to."""
        return int(sum(self.count))

    @cached_property
    def _fits(self) -> InsertedFits:
        return InsertedFits(np.array(self.size), np.array(self.right), np.array(self.count))

    def probability(self, margin: ArrayLike) -> Floats:
        """See `Calibrator.probability`: the merged point."""
        low, high = self.interval(margin)
        return merged(low, high)

    def interval(self, margin: ArrayLike) -> Interval:
        """`p0` and `p1` that the first is better, each (n,); both 1/2 at margin 0."""
        m = np.asarray(margin, dtype=np.float64)
        p0, p1 = _interval(self._fits, np.where(known(m), np.abs(m), np.nan))
        p0, p1 = np.maximum(p0, 0.5), np.maximum(p1, 0.5)
        low = np.where(m < 0, unfolded(m, p1), unfolded(m, p0))
        return low, np.where(m < 0, unfolded(m, p0), unfolded(m, p1))
