"""From paired differences over instances to one word, by rules fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, ShapeError
from plaudit.lab.claim import Direction
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import t_interval


class Verdict(StrEnum):
    """What the interval of the effect says about the claim, asked in this order."""

    HOLDS = "HOLDS"
    """It lies above delta."""
    WEAK = "WEAK"
    """It lies above zero, not above delta."""
    NULL = "NULL"
    """It lies inside plus or minus delta."""
    REVERSED = "REVERSED"
    """It lies below zero."""
    UNDECIDED = "UNDECIDED"
    """None of these: too few instances for the noise."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """An effect and what it means.

    Attributes:
        verdict: the word.
        effect: paired difference in the claimed direction, with a 95% t interval over instances.
        p_value: two-sided, of a paired t test that the effect is zero; NaN where it cannot be computed.
    """

    verdict: Verdict
    effect: Estimate
    p_value: float


def judge(differences: Sequence[float], *, delta: float, direction: Direction = "greater") -> Judgement:
    """The verdict on a claim.

    Args:
        differences: one paired difference (first arm minus second) an instance, in the metric's unit.
        delta: smallest difference that matters, positive.
        direction: `less` turns the differences round first.

    Raises:
        InputError: if delta is not positive or a difference is not finite.
    """
    d = np.asarray(list(differences), dtype=np.float64)
    if not delta > 0:
        raise InputError(f"judge: delta is {delta}; give a positive margin")
    if not np.isfinite(d).all():
        at = int(np.argmin(np.isfinite(d)))
        raise InputError(f"judge: difference {at} is {d[at]}; a run that is missing is no zero")
    d = d if direction == "greater" else -d
    effect = t_interval(d)
    return Judgement(_verdict(effect, delta), effect, _p_value(d))


def gap_closed(
    value: Float[np.ndarray, " i"], base: Float[np.ndarray, " i"], oracle: Float[np.ndarray, " i"]
) -> Estimate:
    """Share of the way from base to oracle, `mean(U - U_base) / mean(U_oracle - U_base)`.

    A ratio of means, with Fieller's interval over instances: single instances with a small gap would
    dominate a mean of ratios.

    Args:
        value: metric of the arm, one an instance.
        base: of the arm that it is compared with, same order.
        oracle: of the ceiling, same order.

    Raises:
        ShapeError: if the three differ in length.

    Source: Fieller 1954.
    """
    value, base, oracle = (np.asarray(x, dtype=np.float64) for x in (value, base, oracle))
    if not value.shape == base.shape == oracle.shape:
        raise ShapeError(f"gap_closed: shapes {value.shape}, {base.shape}, {oracle.shape} differ")
    gain, gap = value - base, oracle - base
    n, top = len(gain), float(gap.mean()) if len(gap) else math.nan
    if not n or top == 0:
        return Estimate(math.nan, n=n, method="no gap")
    ratio = float(gain.mean()) / top
    if n < 2:
        return Estimate(ratio, n=n, method="one instance")
    low, high = _fieller(gain, gap)
    return Estimate(ratio, low, high, n, f"Fieller over {n} instances, 95%")


def _verdict(effect: Estimate, delta: float) -> Verdict:
    if math.isnan(effect.low):
        return Verdict.UNDECIDED
    if effect.low > delta:
        return Verdict.HOLDS
    if effect.low > 0:
        return Verdict.WEAK
    if effect.low > -delta and effect.high < delta:
        return Verdict.NULL
    return Verdict.REVERSED if effect.high < 0 else Verdict.UNDECIDED


def _p_value(d: Float[np.ndarray, " i"]) -> float:
    from scipy.stats import t

    if len(d) < 2:
        return math.nan
    spread = float(d.std(ddof=1))
    if spread == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * t.sf(abs(float(d.mean())) / spread * math.sqrt(len(d)), len(d) - 1))


def _fieller(gain: Float[np.ndarray, " i"], gap: Float[np.ndarray, " i"]) -> tuple[float, float]:
    """Roots of `(a - r b)^2 = t^2 var(a - r b)` in r; no interval where the gap itself may be zero."""
    from scipy.stats import t

    n = len(gain)
    c = float(t.ppf(0.975, n - 1)) ** 2 / n
    covariance = np.cov(gain, gap, ddof=1)
    a, b = float(gain.mean()), float(gap.mean())
    square = b * b - c * float(covariance[1, 1])
    half = a * b - c * float(covariance[0, 1])
    rest = a * a - c * float(covariance[0, 0])
    inside = half * half - square * rest
    if square <= 0 or inside < 0:
        return math.nan, math.nan
    return (half - math.sqrt(inside)) / square, (half + math.sqrt(inside)) / square
