"""One number for how unevenly a metric falls on groups: performance-scaled and equity-scaled measures [0, 18].

    PSD_mean = std_g(M_g) / M        PSD_max = (max_g M_g - min_g M_g) / M
    ES = M / (1 + alpha * sum_g |M_g - M|)      or, with `spread="std"`,  M / (1 + alpha * std_g(M_g))

M is the metric over everybody, M_g over group g. PSD is 0 where all groups fare alike; ES is then M itself, and
falls as the groups drift apart, so that one number trades quality against evenness.

Source: Luo et al. 2023, "Eye Fairness"; Tian et al. 2024, "FairSeg" (the form with the standard deviation).

Differs from the papers: they give the three as point estimates of one split; here a metric's interval comes from
resampling prompts (`disparity_estimates`). The largest gap between many small groups is never 0 by chance, so the end
on the side of equal groups comes from a band that holds for all differences together (`bands`); and where a group does
not vary (all right) from Wilson's interval of it, because thirty of thirty are no proof of always.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.fairness.bands import half_widths, resampled_totals
from plaudit.errors import InputError, ShapeError
from plaudit.stats.bootstrap import bootstrap_mean, bootstrap_totals
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, share

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Disparity:
    """How unevenly a mean falls on groups.

    Attributes:
        overall: the mean over all rows.
        groups: group to its mean.
        psd_mean: standard deviation over groups, as a share of the overall mean.
        psd_max: largest minus smallest group mean, as a share of the overall mean.
        equity_scaled: the overall mean, scaled down by the groups' spread.
        too_small: groups with fewer rows than the minimum, which are in `overall` only.
    """

    overall: Estimate
    groups: Mapping[str, Estimate]
    psd_mean: Estimate
    psd_max: Estimate
    equity_scaled: Estimate
    too_small: Mapping[str, int]


def performance_scaled(overall: float, groups: ArrayLike) -> tuple[float, float]:
    """PSD_mean and PSD_max: spread of a metric over groups as a share of the metric.

    Args:
        overall: the metric over everybody; any sign, not 0.
        groups: (g,), the metric of each group.

    Returns:
        Both, at least 0; NaN where `overall` is 0 or there is no group.

    Source: Luo et al. 2023, "Eye Fairness".
    """
    values = np.asarray(groups, dtype=np.float64)
    if not values.size or overall == 0 or math.isnan(overall):
        return math.nan, math.nan
    return float(values.std() / abs(overall)), float((values.max() - values.min()) / abs(overall))


def equity_scaled(
    overall: float, groups: ArrayLike, *, alpha: float = 1.0, spread: Literal["sum", "std"] = "sum"
) -> float:
    """The metric, divided by 1 plus the groups' spread around it.

    Args:
        overall: the metric over everybody, where larger is better.
        groups: (g,), the metric of each group.
        alpha: weight of the spread, in units of the metric; 0 gives `overall`.
        spread: `sum` of |M_g - M| [0], which grows with the number of groups, or `std` over groups [18].

    Raises:
        InputError: if alpha is negative.

    Source: Luo et al. 2023 (`sum`); Tian et al. 2024 (`std`).
    """
    if alpha < 0:
        raise InputError(f"equity_scaled: alpha is {alpha}; it weighs unevenness and is at least 0")
    values = np.asarray(groups, dtype=np.float64)
    away = float(np.abs(values - overall).sum() if spread == "sum" else values.std()) if values.size else 0.0
    return float(overall / (1 + alpha * away))


def disparity_estimates(
    values: ArrayLike,
    groups: Sequence[str],
    clusters: Clusters | None = None,
    *,
    min_group: int = 30,
    alpha: float = 1.0,
    seed: int = 0,
    resamples: int = 2000,
) -> Disparity:
    """Disparity of a mean (accuracy, margin, selection rate) between groups, with intervals over clusters.

    Args:
        values: (n,), one value a row; NaN rows (no reward) are left out.
        groups: (n,), the group of each row.
        clusters: (n,) labels (prompts), or None.
        min_group: groups with fewer rows that have a value give no mean of their own.
        alpha: of the equity-scaled mean.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        The disparity. Where fewer than two groups are large enough, or the overall mean is 0, the three measures are
        NaN. Intervals stay where the measures can be: from 0 on, and of values in [0, 1] the equity-scaled mean in
        [0, 1]. Their end on the side of equal groups is the lower of the recentred quantile and the band's.

    Raises:
        ShapeError: if there are not as many groups as values.
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(groups) != x.size:
        raise ShapeError(f"disparity_estimates: {len(groups)} groups for {x.size} values; give one a row")
    known, names = np.isfinite(x), np.asarray(groups, dtype=str)
    size = {str(g): int((known & (names == g)).sum()) for g in sorted(set(names.tolist()))}
    kept = [g for g, n in size.items() if n >= min_group]
    codes = cluster_codes(clusters, x.size)
    inside = [known & (names == g) for g in kept]
    columns = [np.where(known, x, 0.0), known.astype(np.float64)]
    for at in inside:
        columns += [np.where(at, x, 0.0), at.astype(np.float64)]

    def measure(which: int) -> Estimate:
        """One of `_measures`, over resampled prompts."""
        if len(kept) < 2:
            return Estimate(math.nan, n=0, method=f"fewer than two groups of {min_group}")
        if total.value == 0:
            return Estimate(math.nan, n=0, method="the overall mean is 0")
        of = partial(_measures, which=which, alpha=alpha)
        found = bootstrap_totals(of, columns, codes, seed=seed, resamples=resamples, recentre=True)
        if any(edge):
            found = _at_the_edge(found, which, total, list(means.values()), alpha)
        return _in_range(found, which, total, low[which], alpha, bounded)

    def mean(at: NDArray[np.bool_]) -> Estimate:
        """Of the rows of a group."""
        rows = np.where(at, x, np.nan)
        return (share if bounded else bootstrap_mean)(rows, codes, seed=seed, resamples=resamples)

    bounded = bool(known.any() and x[known].min() >= 0 and x[known].max() <= 1)
    total, means = mean(known), {g: mean(at) for g, at in zip(kept, inside, strict=True)}
    edge = [bounded and "Wilson" in m.method for m in means.values()]
    low = (math.nan,) * 3
    if len(kept) > 1 and total.value != 0:
        low = _least(columns, codes, seed=seed, resamples=resamples)
    return Disparity(
        overall=total,
        groups=means,
        psd_mean=measure(0),
        psd_max=measure(1),
        equity_scaled=measure(2),
        too_small={g: n for g, n in size.items() if n < min_group},
    )


def _measures(totals: Floats, *, which: int, alpha: float) -> Floats:
    """PSD_mean (0), PSD_max (1) or the equity-scaled mean (2), a row a resample.

    Args:
        totals: (resamples, 2 + 2 groups): sum and count over all rows, then of each group.
        which: of the three.
        alpha: of the equity-scaled mean.
    """
    overall, means = totals[:, 0] / totals[:, 1], totals[:, 2::2] / totals[:, 3::2]
    scale = np.where(overall == 0, np.nan, np.abs(overall))
    if which == 0:
        return np.asarray(means.std(axis=1) / scale)
    if which == 1:
        return np.asarray((means.max(axis=1) - means.min(axis=1)) / scale)
    return np.asarray(overall / (1 + alpha * np.abs(means - overall[:, None]).sum(axis=1)))


def _least(
    columns: Sequence[Floats], codes: NDArray[np.int64], *, seed: int, resamples: int
) -> tuple[float, float, float]:
    """The least that the groups' deviation, their range (both over the mean) and the sum of distances can be.

    With `d_ab` the differences, the deviation is `sqrt(sum_{a<b} d_ab^2) / g`, and each is at least its `|d| - half`.
    """
    value = np.stack(columns, axis=1).sum(axis=0, keepdims=True)
    drawn = resampled_totals(columns, codes, seed=seed, resamples=resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        (overall, means), (overalls, drawn_means) = (
            (t[:, :1] / t[:, 1:2], t[:, 2::2] / t[:, 3::2]) for t in (value, drawn)
        )
        a, b = np.triu_indices(means.shape[1], k=1)
        gap, gaps = ((m[:, a] - m[:, b]) / np.abs(o) for o, m in ((overall, means), (overalls, drawn_means)))
    sure = np.maximum(np.abs(gap[0]) - half_widths(gap[0], np.where(np.isfinite(gaps), gaps, np.nan)), 0.0)
    away = (means - overall)[0]
    off = np.maximum(np.abs(away) - half_widths(away, drawn_means - overalls), 0.0)
    return float(np.sqrt((sure**2).sum()) / means.shape[1]), float(sure.max()), float(off.sum())


def _in_range(found: Estimate, which: int, total: Estimate, least: float, alpha: float, bounded: bool) -> Estimate:
    """The interval with the band's end where that is further out, and nothing that the measure cannot be."""
    if math.isnan(found.low) or math.isnan(found.high):
        return found
    method = f"{found.method}, with a band over all groups"
    if which < 2:
        return replace(found, low=max(0.0, min(found.low, least)), high=max(0.0, found.high), method=method)
    ends = [found.high, *([total.high / (1 + alpha * least)] if total.high > 0 else [])]
    low, high = found.low, max(ends)
    return replace(
        found, low=max(0.0, low) if bounded else low, high=min(1.0, high) if bounded else high, method=method
    )


def _at_the_edge(found: Estimate, which: int, total: Estimate, means: Sequence[Estimate], alpha: float) -> Estimate:
    """A measure's interval, widened to what the groups' own intervals allow, where a group does not vary.

    The range R of the groups lies between `difference(best, worst)` below and the largest upper end of any difference
    above. With g groups their deviation is within R / sqrt(2g) and R / 2, the sum of distances within R and g R.
    """
    best, worst = max(means, key=lambda m: m.value), min(means, key=lambda m: m.value)
    low = max(difference(best, worst).low, 0.0)
    high = max(difference(a, b).high for a in means for b in means if a is not b)
    g, scale = len(means), abs(total.value) or math.nan
    bounds = [
        (low / math.sqrt(2 * g) / scale, high / 2 / scale),
        (low / scale, high / scale),
        (total.low / (1 + alpha * g * high), total.high / (1 + alpha * low)),
    ][which]
    ends = (*(e for e in (found.low, found.high) if not math.isnan(e)), *bounds)
    return replace(found, low=min(ends), high=max(ends), method=f"{found.method}, with MOVER where a group is constant")
