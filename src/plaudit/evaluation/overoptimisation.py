"""The law of over-optimisation: how the true reward rises and falls with the distance from the start [11, 150].

With `d = sqrt KL` in root nats, best-of-n follows `R(d) = d (a - b d)`, peak at `d = a / 2b`, and reinforcement
learning and direct alignment follow `R(d) = d (a - b log d)`, peak at `d = exp(a / b - 1)` (Gao et al. 2023). Both are
linear in a and b, so least squares is exact and a bootstrap over runs costs sums only.

A fit says where a peak is only if the data bend and reach it: where b is not told from 0, or the reward falls from the
start (best-of-n with a below 0), there is no peak to speak of, and where the peak lies beyond the largest d, or below
the smallest one but the start's own, it is extrapolated. Each is said, and the peak is NaN, instead of a number that
the next run overturns. Where every resample says the same (points without noise) there is no interval: a width of
nothing would claim certainty.

Source: Gao et al. 2023, "Scaling Laws for Reward Model Overoptimization"; Rafailov et al. 2024 (direct alignment);
Coste et al. 2023 (ensembles).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.evaluation.strata import without_interval
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate

Law = Literal["best-of-n", "rl"]
LAWS = ("best-of-n", "rl")
COLLINEAR = 1e-8
"""Relative determinant of the normal equations below which a and b cannot be told apart."""


@dataclass(frozen=True)
class OptimisationLaw:
    """A fitted law.

    Attributes:
        law: `best-of-n` or `rl`.
        alpha: slope at the start, reward a root nat; of `rl`, whose slope there has no bound, the reward at d = 1.
        beta: how fast it bends.
        peak: d of the highest true reward; NaN with the reason in `method` where it is not identified.
        peak_reward: the reward there, relative to the start; NaN with it.
        r_squared: share of the squares of R, around 0, that the fit explains.
        notes: what is not identified, a sentence each.
    """

    law: str
    alpha: Estimate
    beta: Estimate
    peak: Estimate
    peak_reward: Estimate
    r_squared: float
    notes: tuple[str, ...] = ()

    def predict(self, kl: ArrayLike) -> Float[np.ndarray, " n"]:
        """Reward relative to the start at these distances.

        Args:
            kl: nats, at least 0.
        """
        rise, bend = _features(np.sqrt(np.asarray(kl, dtype=np.float64)), self.law)
        return np.asarray(self.alpha.value * rise - self.beta.value * bend)


def fit_optimisation_law(
    kl: ArrayLike,
    gain: ArrayLike,
    runs: Clusters | None = None,
    *,
    law: Law = "rl",
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> OptimisationLaw:
    """Least squares of the law, with intervals that resample runs.

    Args:
        kl: from the start, nats, (n,), at least 0; for best-of-n `kl_best_of_n_bound`.
        gain: true reward minus that of the start, (n,); NaN rows are left out.
        runs: labels, (n,): checkpoints of a run share its luck. None makes every point its own.
        law: `best-of-n` or `rl`.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        level: coverage.

    Raises:
        ShapeError: if the two differ in length.
        InputError: if a KL is negative or not finite, or there are fewer than three points.
    """
    if law not in LAWS:
        raise InputError(f"fit_optimisation_law: law {law!r} is not known; {nearest(law, LAWS)}")
    k, r = np.asarray(kl, dtype=np.float64).reshape(-1), np.asarray(gain, dtype=np.float64).reshape(-1)
    if k.shape != r.shape:
        raise ShapeError(f"fit_optimisation_law: {k.size} distances and {r.size} rewards; give as many")
    known = ~np.isnan(k + r)
    if known.sum() < 3 or (k[known] < 0).any() or not np.isfinite(k[known]).all():
        raise InputError("fit_optimisation_law: give at least three points, with finite KL of 0 or more")
    d = np.sqrt(k)
    u, v = _features(d, law)
    columns = [u * u, u * v, v * v, u * r, v * r]
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}

    def of(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Estimate:
        return bootstrap_totals(lambda t: np.asarray(function(*_solve(t))), columns, runs, **options)

    alpha, beta = of(lambda *ab: ab[0]), of(lambda *ab: ab[1])
    peak = of(lambda a, b: _peak(a, b, law)[0])
    height = of(lambda a, b: _peak(a, b, law)[1])
    reason = _unidentified(law, alpha, beta, peak, d[known & (d > 0)])
    if reason:
        peak, height = (Estimate(math.nan, n=e.n, method=reason) for e in (peak, height))
    alpha, beta, peak, height = (without_interval(e) for e in (alpha, beta, peak, height))
    left = r[known] - (alpha.value * u[known] - beta.value * v[known])
    squares = float((r[known] ** 2).sum())
    fitted = 1 - float((left**2).sum()) / squares if squares else math.nan
    return OptimisationLaw(law, alpha, beta, peak, height, fitted, (reason,) if reason else ())


def _features(d: Float[np.ndarray, " n"], law: str) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """R = a rise - b bend; `d log d` is 0 at the start."""
    if law == "best-of-n":
        return d, d * d
    return d, d * np.log(np.where(d > 0, d, 1.0))


def _solve(t: Float[np.ndarray, "r c"]) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """A and b of the normal equations; NaN where they cannot be told apart."""
    uu, uv, vv, ur, vr = t.T
    det = uu * vv - uv * uv
    det = np.where(det > COLLINEAR * uu * vv, det, np.nan)
    return (vv * ur - uv * vr) / det, (uv * ur - uu * vr) / det


def _peak(
    a: Float[np.ndarray, " r"], b: Float[np.ndarray, " r"], law: str
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Where the law is highest, and how high; NaN where it never falls, or never rises."""
    b = np.where(b > 0, b, np.nan)
    if law == "best-of-n":
        at = np.where(a > 0, a / (2 * b), np.nan)
        return at, at * a / 2
    at = np.exp(np.minimum(a / b - 1, 700.0))
    return at, b * at


def _unidentified(law: str, alpha: Estimate, beta: Estimate, peak: Estimate, d: Float[np.ndarray, " n"]) -> str:
    """Why the points do not say where the peak is; nothing where they do. At d = 0 every law is 0: that is no point."""
    if math.isnan(alpha.value):
        return "the distances are too alike to tell slope from bend: spread the checkpoints"
    if math.isnan(beta.low):
        return "one run: no interval tells the bend from none"
    if not beta.low > 0:
        return f"the bend is not told from none (beta {without_interval(beta).format()}): no peak is seen"
    if law == "best-of-n" and not alpha.value > 0:
        return f"the reward falls from the start (alpha {without_interval(alpha).format()}): there is no peak"
    nearest_d, furthest = float(d.min()), float(d.max())
    if peak.value > furthest:
        return f"the peak would lie at d = {peak.value:.3g}, beyond the largest d of {furthest:.3g}: extrapolated"
    if peak.value < nearest_d:
        return f"the peak would lie at d = {peak.value:.3g}, below the smallest d of {nearest_d:.3g}: extrapolated"
    return ""
