"""Correlations within groups: rewards are identified up to a shift a prompt, so they are centred first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import ShapeError
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]


def centred(x: ArrayLike, groups: Clusters) -> Float[np.ndarray, " n"]:
    """Deviations from the group's mean; NaN where x is NaN, or alone in its group.

    Args:
        x: (n,).
        groups: (n,) labels.
    """
    values = np.asarray(x, dtype=np.float64).reshape(-1)
    codes, known = cluster_codes(groups, values.size), ~np.isnan(values)
    if not values.size:
        return values
    count = np.bincount(codes, weights=known)
    mean = np.bincount(codes, weights=np.where(known, values, 0.0)) / np.maximum(count, 1)
    return np.where(known & (count[codes] > 1), values - mean[codes], np.nan)


def within_group_std(x: ArrayLike, groups: Clusters, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """Pooled standard deviation within groups, `sqrt(sum SS_g / sum (n_g - 1))`, in the units of x.

    Args:
        x: (n,); NaN rows are left out, and so are groups with a single value.
        groups: (n,) labels.
        seed: of the bootstrap over groups.
        resamples: number of bootstrap resamples.
    """
    d = centred(x, groups)
    codes = cluster_codes(groups, d.size)
    freedom = _freedom(d, codes)
    return bootstrap_totals(
        lambda t: np.sqrt(t[:, 0] / t[:, 1]), [d**2, freedom], codes, seed=seed, resamples=resamples
    )


def within_group_correlation(
    x: ArrayLike, y: ArrayLike, groups: Clusters, *, rank: bool = False, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """Pooled correlation of deviations from the group's means, with an interval over groups.

    `sum (x - x_g)(y - y_g) / sqrt(sum (x - x_g)^2 sum (y - y_g)^2)`; NaN where either is constant in every
    group.

    Args:
        x: (n,); rows where x or y is NaN are left out before centring.
        y: (n,).
        groups: (n,) labels.
        rank: replace values by their average ranks within the group first (Spearman).
        seed: of the bootstrap over groups.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if x and y differ in length.
    """
    a, b = _both("within_group_correlation", x, y)
    codes = cluster_codes(groups, a.size)
    if rank:
        a, b = _ranks(a, codes), _ranks(b, codes)
    a, b = centred(a, codes), centred(b, codes)
    return bootstrap_totals(_pearson, [a * b, a * a, b * b], codes, seed=seed, resamples=resamples)


def _pearson(t: Floats) -> Floats:
    return np.asarray(t[:, 0] / np.sqrt(t[:, 1] * t[:, 2]))


def partial_within_group(
    x: ArrayLike, y: ArrayLike, given: ArrayLike, groups: Clusters, *, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """Partial correlation of x and y given z, within groups, with an interval over groups.

    `(r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2))` of the pooled deviations.

    Args:
        x: (n,), for example the reward; rows where any of the three is NaN are left out before centring.
        y: (n,), for example the length.
        given: (n,), for example the true reward.
        groups: (n,) labels.
        seed: of the bootstrap over groups.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if the three differ in length.
    """
    a, b = _both("partial_within_group", x, y)
    z, a = _both("partial_within_group", given, a)
    b = np.where(np.isnan(z), np.nan, b)
    codes = cluster_codes(groups, a.size)
    a, b, z = (centred(np.where(np.isnan(b), np.nan, v), codes) for v in (a, b, z))

    def partial(t: Floats) -> Floats:
        ab, az, bz, aa, bb, zz = t.T
        r_ab, r_az, r_bz = ab / np.sqrt(aa * bb), az / np.sqrt(aa * zz), bz / np.sqrt(bb * zz)
        spare = (1 - r_az**2) * (1 - r_bz**2)
        # where the truth explains x or y wholly nothing is left to correlate: NaN, not a quotient of rounding
        # errors
        return np.asarray((r_ab - r_az * r_bz) / np.sqrt(np.where(spare > 1e-12, spare, np.nan)))

    columns = [a * b, a * z, b * z, a * a, b * b, z * z]
    return bootstrap_totals(partial, columns, codes, seed=seed, resamples=resamples)


def kendall_tau(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b of two rankings, in [-1, 1]; NaN where either is constant or has fewer than two rows.

    Args:
        x: (n,); rows where x or y is NaN are left out.
        y: (n,).

    Source: Kendall 1945 (ties).
    """
    from scipy.stats import kendalltau

    a, b = _both("kendall_tau", x, y)
    known = ~np.isnan(a)
    if known.sum() < 2:
        return float("nan")
    return float(kendalltau(a[known], b[known]).statistic)


def _both(who: str, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Both columns, NaN in both where either is."""
    a = np.asarray(x, dtype=np.float64).reshape(-1)
    b = np.asarray(y, dtype=np.float64).reshape(-1)
    if a.shape != b.shape:
        raise ShapeError(f"{who}: columns of {a.size} and {b.size} rows; they must be equal in number")
    missing = np.isnan(a) | np.isnan(b)
    return np.where(missing, np.nan, a), np.where(missing, np.nan, b)


def _ranks(x: Floats, codes: NDArray[np.int64]) -> Floats:
    """Average ranks within groups; NaN stays NaN."""
    from scipy.stats import rankdata

    out = np.full(x.shape, np.nan)
    known = np.flatnonzero(~np.isnan(x))
    if not known.size:
        return out
    order = known[np.argsort(codes[known], kind="stable")]
    for block in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        out[block] = rankdata(x[block])
    return out


def _freedom(d: Floats, codes: NDArray[np.int64]) -> Floats:
    """Degrees of freedom of each row, `1 - 1/n_g`: they add up to n_g - 1 in a group."""
    if not d.size:
        return d
    count = np.bincount(codes, weights=~np.isnan(d))
    return np.asarray(1.0 - 1.0 / np.maximum(count[codes], 1))
