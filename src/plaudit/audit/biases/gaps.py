"""Gaps between groups of pairs: accuracy and margins by a meta column, with true margins matched where known.

Whose group it is (author, subject, annotator, completion) is what the column says; the report names the
column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.biases.results import GroupGap
from plaudit.evaluation.baselines import correctness
from plaudit.evaluation.pairs import group_values, prompt_key
from plaudit.records.rows import Pair
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.calibration import equal_mass_bins
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, wilson

Floats = NDArray[np.float64]


def group_gaps(
    pairs: Sequence[Pair],
    margin: ArrayLike,
    columns: Sequence[str],
    *,
    true_margin: ArrayLike | None = None,
    min_group: int = 30,
    strata: int = 5,
    seed: int = 0,
    resamples: int = 2000,
) -> tuple[GroupGap, ...]:
    """Accuracy and margin of each group minus those of all other pairs.

    A group that gets harder pairs looks worse treated: where true margins are known, pairs are compared
    within `strata` bins of |true margin|, weighted by the group's own pairs.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected; NaN rows are left out.
        columns: meta columns.
        true_margin: (n,) true rewards of chosen minus rejected; then accuracy is judged by its sign.
        min_group: values with fewer pairs are pooled.
        strata: bins of |true margin|.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.
    """
    m = np.asarray(margin, dtype=np.float64)
    truth = np.full(m.shape, np.nan) if true_margin is None else np.asarray(true_margin, dtype=np.float64)
    known = np.isfinite(m) if true_margin is None else np.isfinite(m) & np.isfinite(truth) & (truth != 0)
    if not known.any():
        return ()
    sign = np.ones(m.shape) if true_margin is None else np.sign(truth)
    m, right = (m * sign)[known], correctness((m * sign)[known])
    stratum = np.zeros(m.size, dtype=np.int64)
    if true_margin is not None:
        stratum = equal_mass_bins(np.abs(truth[known]), n_bins=strata)
    prompts = cluster_codes([prompt_key(p) for p, k in zip(pairs, known, strict=True) if k], m.size)
    unit = float(m.std()) or 1.0
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    found = []
    for column in columns:
        values = np.array(group_values(pairs, column, min_group=min_group))[known]
        for value in sorted(set(values)) if len(set(values)) > 1 else ():
            inside = values == value
            accuracy = edge_gap(right, inside, stratum, prompts, **options)
            accuracy = accuracy or stratified_gap(right, inside, stratum, prompts, **options)
            margins = stratified_gap(m / unit, inside, stratum, prompts, **options)
            n, matched = int(inside.sum()), true_margin is not None
            found.append(GroupGap(column, str(value), n, accuracy, margins, matched))
    return tuple(found)


def stratified_gap(
    x: ArrayLike,
    inside: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    prompts: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean inside a group minus outside, within strata: `sum_s C1_s (S1_s/C1_s - S0_s/C0_s) / sum_s C1_s`.

    Strata without rows of both sides leave the sum; the group's own rows weigh the others. Of shares, see `edge_gap`
    first: a side whose prompts all agree has no width under resampling.

    Args:
        x: (n,), one value a row; NaN rows are left out.
        inside: (n,), True for the group.
        stratum: (n,), 0..k-1: what is held equal.
        prompts: (n,) codes to resample.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
    """
    values = np.asarray(x, dtype=np.float64)
    k = int(stratum.max(initial=0)) + 1
    cell = (stratum[:, None] == np.arange(k)).astype(np.float64)
    inner, outer = cell * inside[:, None], cell * ~inside[:, None]
    columns = [*(inner * values[:, None]).T, *inner.T, *(outer * values[:, None]).T, *outer.T]

    def gap(t: Floats) -> Floats:
        s1, c1, s0, c0 = (t[:, i * k : (i + 1) * k] for i in range(4))
        both = (c1 > 0) & (c0 > 0)
        weight = np.where(both, c1, 0.0)
        difference = np.where(both, s1 / np.maximum(c1, 1) - s0 / np.maximum(c0, 1), 0.0)
        return np.asarray((weight * difference).sum(axis=1) / weight.sum(axis=1))

    return bootstrap_totals(gap, columns, prompts, seed=seed, resamples=resamples, level=level)


def edge_gap(
    x: ArrayLike,
    inside: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    prompts: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
    cells: int = 1,
) -> Estimate | None:
    """`stratified_gap` of shares where all prompts of one side agree (all right, all wrong): an interval with a width.

    Resampling thirty right answers gives thirty right answers, and so the certainty that a group is never failed. Here
    the side that does not vary has Wilson's interval over its prompts, the other one its bootstrap, and the two are
    combined as `difference` does. Outside rows count by `C1_s / C0_s`, which costs prompts (Kish's effective number).

    Args:
        x: (n,) in [0, 1]; NaN rows are left out.
        inside: (n,), True for the group.
        stratum: (n,), 0..k-1: what is held equal.
        prompts: (n,) codes to resample.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
        cells: intervals that hold together at that level (Bonferroni).

    Returns:
        The gap within [-1, 1]; None where both sides vary, a side has no row, or `x` leaves [0, 1]: the bootstrap is
        right there.

    Source: Newcombe 1998, method 10; Kish 1965 (effective number).
    """
    values = np.asarray(x, dtype=np.float64)
    known = np.isfinite(values)
    k = int(stratum.max(initial=0)) + 1
    c1, c0 = (np.bincount(stratum[known & at], minlength=k).astype(np.float64) for at in (inside, ~inside))
    both = known & ((c1 > 0) & (c0 > 0))[stratum]
    if not both.any() or values[both].min() < 0 or values[both].max() > 1:
        return None
    weight = np.where(inside, 1.0, (c1 / np.maximum(c0, 1))[stratum])
    sides = [(values[at], weight[at], prompts[at]) for at in (both & inside, both & ~inside)]
    if all(_varies(*side) for side in sides):
        return None
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
    gap = difference(*(_side(*side, options, cells) for side in sides))
    method = f"MOVER over {int(np.unique(prompts[both]).size)} clusters, {level:.0%}"
    method += f" for {cells} cells together" if cells > 1 else ""
    return replace(gap, low=max(gap.low, -1.0), high=min(gap.high, 1.0), n=int(np.unique(prompts[both]).size),
                   method=method)  # fmt: skip


def _varies(values: Floats, weight: Floats, prompts: NDArray[np.int64]) -> bool:
    """Whether the means of the prompts differ."""
    code = np.unique(prompts, return_inverse=True)[1].reshape(-1)
    mean = np.bincount(code, weights=weight * values) / np.bincount(code, weights=weight)
    return bool(np.ptp(mean) > 1e-12)


def _side(
    values: Floats, weight: Floats, prompts: NDArray[np.int64], options: dict[str, Any], cells: int
) -> Estimate:  # fmt: skip
    """Weighted mean of one side: the bootstrap's interval, widened for several cells; Wilson's where it has none."""
    from scipy.stats import norm

    level = 1 - (1 - options["level"]) / cells
    if not _varies(values, weight, prompts):
        effective = float(weight.sum() ** 2 / (weight**2).sum() / weight.size)
        n = max(1, round(np.unique(prompts).size * effective))
        return wilson(n * min(max(float(values.mean()), 0.0), 1.0), n, level=level)
    found = bootstrap_totals(lambda t: np.asarray(t[:, 0] / t[:, 1]), [weight * values, weight], prompts, **options)
    factor = float(norm.ppf((1 + level) / 2) / norm.ppf((1 + options["level"]) / 2))
    low, high = found.value - factor * (found.value - found.low), found.value + factor * (found.high - found.value)
    return replace(found, low=max(low, 0.0), high=min(high, 1.0))
