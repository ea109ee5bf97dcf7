"""Lower ends for numbers that noise can only raise: the range over groups, the disadvantage beyond a tolerance.

Such a number is a largest sum: the range is `max_ab (M_a - M_b)`, a violation `max_A sum_{e in A} x_e` over sets A of
strata (the best set leaves out terms below 0). The largest of many unbiased estimates lies above the largest of
what they estimate, and a resample raises it once more, so that its quantiles, also when they are moved back to the
value, lie above the truth: of five equal groups of 60, three intervals of four missed it. Here the lower end is the
largest lower end of a band that holds for all sums together (max-t):

    low = max_j (t_j - q s_j),    q = level-quantile of max_j (t*_j - t_j) / s_j

over resamples of prompts (stars), with s the deviation over resamples. It is valid wherever the largest sum is, errs
downwards where several are nearly the largest, and never lies below 0, for the empty sum is among them.

Source: Romano and Wolf 2005, "Stepwise multiple testing as formalized data snooping" (studentised maxima).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plaudit.stats.clusters import cluster_totals

Floats = NDArray[np.float64]
CHUNK = 1 << 22
"""Counts of clusters held in memory at once."""


def resampled_totals(columns: Sequence[Floats], codes: NDArray[np.int64], *, seed: int, resamples: int) -> Floats:
    """Sums of columns over resampled clusters (resamples, c).

    Clusters with equal sums are one kind, and the counts of kinds are multinomial with their shares.

    Args:
        columns: c columns (n,), without NaN.
        codes: (n,) cluster of each row, from 0 on.
        seed: of the resampling.
        resamples: number of resamples.
    """
    totals = cluster_totals(np.stack(columns, axis=1), codes)
    kinds, size = np.unique(totals, axis=0, return_counts=True)
    rng, step = np.random.default_rng(seed), max(1, CHUNK // len(kinds))
    parts = []
    for start in range(0, resamples, step):
        counts = rng.multinomial(len(totals), size / len(totals), size=min(step, resamples - start))
        parts.append(counts.astype(np.float64) @ kinds)
    return np.concatenate(parts)


def half_widths(value: Floats, drawn: Floats, *, level: float = 0.95) -> Floats:
    """Half widths (j,) of two-sided intervals of j numbers that hold together; 0 for one that does not vary.

    Args:
        value: (j,) the numbers.
        drawn: (resamples, j) the same on resamples; NaN where one is not defined.
        level: with which all hold.
    """
    away = np.nan_to_num(drawn - value)
    deviation = np.sqrt((away**2).mean(axis=0))
    t = np.abs(away) / np.where(deviation > 0, deviation, np.inf)
    return np.asarray(float(np.quantile(t.max(axis=1), level)) * deviation)


def largest_sum(value: Floats, drawn: Floats, *, level: float = 0.95) -> float:
    """Lower end of the largest sum of some of j terms, at least 0.

    Which terms make the largest `sum(x) - q sqrt(sum(v))`, or the largest `sum(d) / sqrt(sum(v))`, needs no search
    over sets: since the root is concave, the best set holds all terms from some ratio to their variance on.

    Args:
        value: (j,) the terms, of any sign.
        drawn: (resamples, j) the same on resamples; NaN where one is not defined.
        level: of the one-sided band over all sets.
    """
    away = np.nan_to_num(drawn - value)
    variance = (away**2).mean(axis=0)
    fixed = variance <= 1e-24
    sure = float(value[fixed & (value > 0)].sum())  # what never varies costs nothing
    x, v, d = value[~fixed], variance[~fixed], away[:, ~fixed]
    if not x.size:
        return sure
    order = np.argsort(-d / v, axis=1)
    sums, spread = np.take_along_axis(d, order, axis=1).cumsum(axis=1), np.sqrt(v[order].cumsum(axis=1))
    q = float(np.quantile((sums / spread).max(axis=1), level))
    best = np.argsort(-x / v)
    return sure + max(0.0, float((x[best].cumsum() - max(q, 0.0) * np.sqrt(v[best].cumsum())).max()))
