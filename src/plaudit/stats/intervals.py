"""Intervals in closed form: Student's t over instances, Wilson's for proportions, Newcombe's for their differences."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of independent instances with Student's interval `mean +- t_{n-1} s / sqrt(n)`.

    Args:
        values: (n,), one value an instance; NaN is left out.
        level: coverage, in (0, 1).

    Returns:
        The estimate; without an interval for n = 1, NaN for n = 0.

    Source: Student 1908.
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64).reshape(-1)
    x = x[~np.isnan(x)]
    if x.size < 2:
        return Estimate(float(x[0]) if x.size else math.nan, n=int(x.size), method="t: too few values")
    mean = float(x.mean())
    half = float(t.ppf((1 + level) / 2, x.size - 1)) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return Estimate(mean, mean - half, mean + half, int(x.size), f"t over {x.size} instances, {level:.0%}")


def wilson(successes: float, n: int, *, level: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval, which keeps its width at 0 and 1.

    `(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`

    Args:
        successes: number of successes, ties counted half.
        n: number of independent trials.
        level: coverage, in (0, 1).

    Raises:
        InputError: if successes are not within 0..n.

    Source: Wilson 1927, "Probable Inference".
    """
    from scipy.stats import norm

    if n == 0:
        return Estimate(math.nan, n=0, method="no value")
    if not 0 <= successes <= n:
        raise InputError(f"wilson: {successes} successes of {n} trials; give between 0 and n")
    z = float(norm.ppf((1 + level) / 2))
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # at 0 and 1 the end is the value itself, which rounding would leave outside
    low, high = min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))
    return Estimate(p, low, high, n, f"Wilson, {level:.0%}")


def proportion(
    values: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Share of successes with an interval over clusters that is honest at 0 and 1 as well.

    The bootstrap of a share that was never (or always) seen has no width; there, Wilson's interval over the
    number of clusters stands in, and `method` says so.

    Args:
        values: (n,) in [0, 1]: 1 success, 0 failure, 0.5 tie; NaN rows are left out.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    known = ~np.isnan(x)
    if known.any() and (np.all(x[known] == 0) or np.all(x[known] == 1)):
        k = int(np.unique(cluster_codes(clusters, x.size)[known]).size)
        return wilson(k * float(x[known][0]), k, level=level)
    return bootstrap_mean(x, clusters, seed=seed, resamples=resamples, level=level)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """`first - second` of two independent numbers, from their own intervals (MOVER).

    `d - sqrt((v1 - l1)^2 + (u2 - v2)^2)` to `d + sqrt((u1 - v1)^2 + (v2 - l2)^2)`: of Wilson's intervals this is
    Newcombe's hybrid score interval, which keeps its width where both proportions are 0 or 1; of symmetric intervals it
    is the usual root of the sum of squares. A number without an interval counts as exact.

    Args:
        first: a value with its interval; NaN gives NaN.
        second: likewise, at the same level.

    Source: Newcombe 1998, "Interval Estimation for the Difference between Independent Proportions", method 10; Zou and
    Donner 2008 (method of variance estimates recovery).
    """
    (v1, l1, u1), (v2, l2, u2) = (_ends(e) for e in (first, second))
    value, n = v1 - v2, min(first.n, second.n)
    if math.isnan(value):
        return Estimate(math.nan, n=n, method="no value")
    return Estimate(value, value - math.hypot(v1 - l1, u2 - v2), value + math.hypot(u1 - v1, v2 - l2), n, "MOVER")


def _ends(e: Estimate) -> tuple[float, float, float]:
    low, high = (e.value if math.isnan(x) else x for x in (e.low, e.high))
    return e.value, low, high


def share(
    values: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of values in [0, 1] with an interval that always has a width.

    `proportion`, and where all clusters agree on a value between 0 and 1 Wilson's interval about it, which is wider
    than needed: no variable in [0, 1] with mean p varies more than a success with probability p.

    Args:
        values: (n,) in [0, 1]; NaN rows are left out.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
    """
    found = proportion(values, clusters, seed=seed, resamples=resamples, level=level)
    if not found.low == found.high:
        return found
    return wilson(found.n * min(max(found.value, 0.0), 1.0), found.n, level=level)


def signed_share(
    values: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of values in [-1, 1] (differences of two shares on the same rows), honest where they are all of one sign.

    The mean is `mean(max(x, 0)) - mean(max(-x, 0))`. Where neither part vanishes the interval is the bootstrap's over
    clusters; where one does (no row went that way, or none went either way) resampling gives that part no width, and
    the two parts' own intervals are combined by `difference`.

    Args:
        values: (n,) in [-1, 1]; NaN rows are left out.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Returns:
        The estimate, within [-1, 1].
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    up, down = np.maximum(x, 0), np.maximum(-x, 0)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
    found = bootstrap_mean(x, clusters, **options)
    if found.n < 2 or not (found.low == found.high or not np.nansum(up) or not np.nansum(down)):
        return found
    parted = difference(share(up, clusters, **options), share(down, clusters, **options))
    return replace(
        parted,
        low=max(parted.low, -1.0),
        high=min(parted.high, 1.0),
        method=f"MOVER over {found.n} clusters, {level:.0%}",
    )
