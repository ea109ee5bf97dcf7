"""Isotonic regression: the best map that rises, and nothing else assumed.

Differs from the paper: fitted to folded pairs and bounded below by 1/2, which is what mirrored pairs give, and bounded
away from 1, since a step of "always right" on a few pairs would cost an infinite log loss at the first mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators.base import Floats, Interval, folded, known, unfolded


def pool_adjacent_violators(
    y: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " n"]:
    """The non-decreasing values nearest to y in weighted squares: `argmin_f sum w (y - f)^2, f_1 <= ... <= f_n`.

    Args:
        y: (n,), in the order of what they are regressed on.
        weight: (n,) positive; ones by default.

    Raises:
        ShapeError: if there are not as many weights.
        InputError: if a weight is not positive.

    Source: Ayer et al. 1955; Barlow et al. 1972 (pool adjacent violators).
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != np.shape(y):
        raise ShapeError(f"isotonic: {np.shape(y)} values and {w.shape} weights; they must be as many")
    if (w <= 0).any():
        raise InputError(f"isotonic: a weight is {w[w <= 0][0]}; weights are positive")
    means: list[float] = []
    weights: list[float] = []
    counts: list[int] = []
    for value, mass in zip(np.asarray(y, dtype=np.float64).tolist(), w.tolist(), strict=True):
        count = 1
        while means and means[-1] >= value:
            value = (means[-1] * weights[-1] + value * mass) / (weights[-1] + mass)
            mass, count = mass + weights.pop(), count + counts.pop()
            means.pop()
        means.append(value)
        weights.append(mass)
        counts.append(count)
    return np.repeat(np.array(means), counts)


def distinct(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Distinct values of x, rising, with the sum of y and the count at each."""
    values, inverse, count = np.unique(x, return_inverse=True, return_counts=True)
    return values, np.bincount(inverse.reshape(-1), weights=y, minlength=values.size), count.astype(np.float64)


@final
@dataclass(frozen=True)
class Isotonic:
    """`P(sign right)` as a rising step function of the margin's size, linear between its knots.

    Antisymmetric because the pairs are folded: the map of sizes is unfolded by the sign, and passes through 1/2 at 0.
    Equal to a regression on the pairs in both orders. No affine map, so it makes a comparison, not another reward.

    Attributes:
        size: knots (k,), rising from 0.
        right: probability that the sign is right at each knot (k,), from 1/2 to `1 - 1/(n + 2)`.
        n: pairs that it was fitted to.

    Source: Zadrozny and Elkan 2002, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates".
    """

    size: tuple[float, ...]
    right: tuple[float, ...]
    n: int
    method = "isotonic"

    @classmethod
    def fit(cls, margin: ArrayLike, label: ArrayLike | None = None, *, bound: float | None = None) -> Self:
        """See `Calibrator.fit`.

        Args:
            margin: see there.
            label: see there.
            bound: least distance of a probability from 1; `1/(n + 2)`, the rule of succession, by default.

        Raises:
            InputError: if there is nothing to fit.
        """
        size, right = folded("isotonic", margin, label)
        least = 1 / (size.size + 2) if bound is None else bound
        x, total, count = distinct(size, right)
        fitted = np.clip(pool_adjacent_violators(total / count, count), 0.5, 1 - least)
        at = np.flatnonzero(np.diff(fitted, prepend=-1.0) + np.diff(fitted, append=2.0) > 0)  # ends of steps are enough
        start = [0.0] if x[0] > 0 else []
        knots = [*start, *x[at].tolist()]
        values = [*(0.5 for _ in start), *fitted[at].tolist()]
        return cls(tuple(knots), tuple(values), int(size.size))

    def probability(self, margin: ArrayLike) -> Floats:
        """See `Calibrator.probability`; beyond the outermost knot it is constant."""
        u = np.where(known(margin), np.abs(np.asarray(margin, dtype=np.float64)), 0.0)
        return unfolded(margin, np.interp(u, self.size, self.right))

    def interval(self, margin: ArrayLike) -> Interval | None:  # noqa: ARG002
        """None: one curve, without a band."""
        return None
