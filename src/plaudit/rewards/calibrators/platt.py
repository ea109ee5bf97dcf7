"""Platt scaling of folded pairs: slope and intercept of the log-odds that the sign is right.

Differs from the paper: on pairs in both orders the paper's intercept is 0 by symmetry and nothing but a temperature
would be left; the intercept here belongs to the size of the margin instead. Slope and intercept are kept at or above 0,
so that the probability never falls as the margin rises. Sizes are fitted as shares of the largest, so that the unit of
the reward does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import PlauditError
from plaudit.rewards.calibrators.base import Floats, Interval, folded, unfolded
from plaudit.rewards.calibrators.temperature import log_odds_slope


def smoothed_targets(right: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`(N+ + 1)/(N+ + 2)` for the right ones and `1/(N- + 2)` for the wrong ones; ties in proportion.

    They keep the fit finite where every sign is right.

    Args:
        right: (n,) 1, 0 or 1/2.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """
    positive, negative = float(right.sum()), float((1 - right).sum())
    return np.asarray(right * (positive + 1) / (positive + 2) + (1 - right) / (negative + 2))


def logistic_fit(x: Float[np.ndarray, " n"], target: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Slope and intercept of a logistic regression of targets on x, by Newton's method; not constrained.

    Args:
        x: (n,).
        target: (n,) in (0, 1) on average, so that the optimum is finite.

    Returns:
        Slope and intercept; of several optima (a constant x) the one of least norm.

    Raises:
        PlauditError: if 100 steps did not converge.
    """
    from scipy.special import expit

    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(theta: Floats) -> float:
        z = design @ theta
        return float((np.logaddexp(0, z) - target * z).sum())

    theta = np.zeros(2)
    for _ in range(100):
        p = expit(design @ theta)
        gradient = design.T @ (p - target)
        step = np.linalg.lstsq((design * (p * (1 - p))[:, None]).T @ design, gradient, rcond=1e-12)[0]
        while loss(theta - step) > loss(theta) + 1e-12 * max(abs(loss(theta)), 1.0):
            step = step / 2  # a full Newton step can overshoot far from the optimum
        theta = theta - step
        if np.abs(step).max() <= 1e-11 * max(1.0, float(np.abs(theta).max())):
            return float(theta[0]), float(theta[1])
    raise PlauditError(f"platt: Newton's method did not converge on {x.size} margins; look for margins of absurd size")


@final
@dataclass(frozen=True)
class Platt:
    """`logit P(sign right) = slope * |margin| + intercept`, with Platt's smoothed targets.

    Antisymmetric because it is a function of the size alone: `logit P(first) = sign(margin) (slope |margin| +
    intercept)`, and 1/2 at margin 0, where an intercept makes it jump. Not affine in the reward unless the intercept is
    0, so it makes a comparison, not another reward.

    Attributes:
        slope: log-odds per log-odds that the reward states, at least 0.
        intercept: log-odds that the sign is right at the smallest margins, at least 0.
        n: pairs that it was fitted to; ties of the reward are not among them.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """

    slope: float
    intercept: float
    n: int
    method = "platt"

    @classmethod
    def fit(cls, margin: ArrayLike, label: ArrayLike | None = None) -> Self:
        """See `Calibrator.fit`.

        Where all sizes are alike, any split between slope and intercept fits as well: half of the log-odds are the
        slope's at that size.

        Raises:
            InputError: if there is nothing to fit.
        """
        size, right = folded("platt", margin, label)
        size, right = size[size > 0], right[size > 0]
        target = smoothed_targets(right)
        # Newton's steps leave out what is small beside the rest, and the slope of sizes near 1e-9 was
        unit = float(size.max())
        slope, intercept = logistic_fit(size / unit, target)
        if slope < 0 or intercept < 0:
            slope, intercept = _on_the_edge(size / unit, target)
        return cls(slope / unit, intercept, int(size.size))

    def probability(self, margin: ArrayLike) -> Floats:
        """See `Calibrator.probability`."""
        from scipy.special import expit

        return unfolded(margin, expit(self.slope * np.abs(np.asarray(margin, dtype=np.float64)) + self.intercept))

    def interval(self, margin: ArrayLike) -> Interval | None:  # noqa: ARG002
        """None: one curve, without a band."""
        return None


def _on_the_edge(size: Floats, target: Floats) -> tuple[float, float]:
    """The better of intercept 0 and slope 0: a convex function's constrained optimum, where the free one is outside."""
    share = float(target.mean())
    edges = [(log_odds_slope(size, target), 0.0), (0.0, max(float(np.log(share / (1 - share))), 0.0))]

    def loss(edge: tuple[float, float]) -> float:
        z = edge[0] * size + edge[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    return min(edges, key=loss)
