"""Temperature: one number that stretches or shrinks every margin.

Differs from the paper: it is fitted by a root of the derivative instead of a gradient method, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.rewards.calibrators.base import Floats, Interval, folded


def log_odds_slope(size: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> float:
    """The slope `a >= 0` that minimises `sum softplus(a u) - r a u` for sizes u and correctness r.

    The objective is convex in a, so its derivative `sum u (sigmoid(a u) - r)` has one root; where it is not negative
    at 0 (signs no more often right than wrong, weighed by size), the slope is 0.

    Args:
        size: (n,) sizes of margins, at least one positive.
        right: (n,) in [0, 1]: 1, 0 and 1/2, or smoothed targets.

    Raises:
        InputError: if every sign is right, so that no slope is steep enough.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    def slope(a: float) -> float:
        return float(size @ (expit(a * size) - right))

    if slope(0.0) >= 0:
        return 0.0
    if not ((right < 1) & (size > 0)).any():
        n = int((size > 0).sum())
        raise InputError(
            f"temperature: all {n} pairs are ranked right, so no slope is steep enough; give more pairs, or use platt, "
            "whose targets are smoothed"
        )
    high = 1.0 / float(size.max())
    while slope(high) < 0:
        high *= 2
    return float(brentq(slope, 0.0, high, xtol=1e-15 * high, rtol=1e-14))


@final
@dataclass(frozen=True)
class Temperature:
    """`P(first) = sigmoid(slope * margin)`, the slope (one over the temperature) by maximum likelihood.

    Antisymmetric because the map of log-odds is odd: no intercept. The only calibration that is affine in the reward,
    so that a difference of rewards stays a log-odds. A slope of 0 (an infinite temperature) says that the reward ranks
    these pairs no better than chance; it never turns negative, which would turn the reward round.

    Attributes:
        slope: calibrated log-odds per log-odds that the reward states; below 1 it was over-confident.
        n: pairs that it was fitted to.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """

    slope: float
    n: int
    method = "temperature"

    @classmethod
    def fit(cls, margin: ArrayLike, label: ArrayLike | None = None) -> Self:
        """See `Calibrator.fit`.

        Raises:
            InputError: if there is nothing to fit, or every pair is ranked right.
        """
        size, right = folded("temperature", margin, label)
        return cls(log_odds_slope(size, right), int(size.size))

    @property
    def temperature(self) -> float:
        """What the margins are divided by; infinite where the slope is 0."""
        return 1 / self.slope if self.slope else float("inf")

    def probability(self, margin: ArrayLike) -> Floats:
        """See `Calibrator.probability`."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * np.asarray(margin, dtype=np.float64)))

    def interval(self, margin: ArrayLike) -> Interval | None:  # noqa: ARG002
        """None: one curve, without a band."""
        return None
