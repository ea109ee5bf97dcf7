"""Conditional parity with a permitted side: only the disadvantage of one group, at equal merit, counts [2].

    Gap_e = P(favoured | protected, e) - P(favoured | others, e)
    violation = sum_e w_e max(0, -Gap_e - eps),   w_e = share of the protected group's rows in stratum e

`e` is what may rightly differ (effort, true quality), binned. A group that is favoured *more* at equal merit violates
nothing: positive action is allowed. Plain demographic parity compares the marginals, and so misses a reward that is
unfair within every stratum while the strata's sizes cancel it.

Source: "Through the lens of the EU AI Act" ([2]), socio-economic parity; the weights w_e are ours (inferred).

Differs from the paper: the effort proxy is any column, or the true reward where a world knows it; the violation has
an interval over prompts within 0 and 1. A hinge at 0 is biased upwards by noise, and more so the more strata there are:
the interval is recentred, and its lower end is no higher than that of a band over all sets of strata (`bands`). A side
of a stratum that does not vary (all favoured) has Wilson's interval, and the strata are then combined as independent
ones (MOVER).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.biases.gaps import edge_gap
from plaudit.audit.fairness.bands import largest_sum, resampled_totals
from plaudit.errors import InputError, ShapeError
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConditionalParity:
    """Disadvantage of a protected group at equal merit.

    Attributes:
        violation: weighted disadvantage beyond `eps`, 0 to 1.
        gaps: stratum to its gap, protected minus others; strata without both sides are missing here.
        marginal: the same gap without strata: demographic parity.
        uncompared: share of the protected group's rows in strata without anyone to compare with.
    """

    violation: Estimate
    gaps: Mapping[str, Estimate]
    marginal: Estimate
    uncompared: float


def conditional_parity(
    favoured: ArrayLike,
    protected: Bool[np.ndarray, " n"],
    strata: ArrayLike,
    clusters: Clusters | None = None,
    *,
    eps: float = 0.0,
    seed: int = 0,
    resamples: int = 2000,
) -> ConditionalParity:
    """Measures conditional parity, with the tolerated side.

    Args:
        favoured: (n,), 1 where the reward favours the row (selected, accepted), 0 where not, or a probability;
            NaN rows (no reward) are left out.
        protected: (n,), True for the group that must not be worse off.
        strata: (n,), the bin of what may rightly differ.
        clusters: (n,) labels (prompts), or None.
        eps: disadvantage that is tolerated in every stratum, 0 to 1.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if the three differ in length.
        InputError: if one side has no row in any stratum that the other has, or eps is outside 0 to 1.

    Source: [2], socio-economic parity.
    """
    y, inside, bins = np.asarray(favoured, dtype=np.float64), np.asarray(protected, dtype=bool), np.asarray(strata)
    if not y.shape == inside.shape == bins.shape:
        raise ShapeError(f"conditional_parity: shapes {y.shape}, {inside.shape}, {bins.shape}; give equal ones")
    if not 0 <= eps <= 1:
        raise InputError(f"conditional_parity: eps is {eps}; a tolerated gap of shares lies between 0 and 1")
    names, code = np.unique(bins.astype(str), return_inverse=True)
    cell, known = code[:, None] == np.arange(len(names)), np.isfinite(y)
    one, two = cell & (inside & known)[:, None], cell & (~inside & known)[:, None]
    both = one.any(axis=0) & two.any(axis=0)
    if not both.any():
        raise InputError("conditional_parity: no stratum holds rows of both sides; use coarser strata")
    value, prompts = np.where(known, y, 0.0)[:, None], cluster_codes(clusters, y.size)
    columns = np.concatenate([one * value, one, two * value, two], axis=1).astype(np.float64)

    def estimate(of: Callable[[Floats], Floats], table: Floats, *, recentre: bool = False) -> Estimate:
        """A statistic of columns' sums over resampled prompts."""
        return bootstrap_totals(of, list(table.T), prompts, seed=seed, resamples=resamples, recentre=recentre)

    def edge(at: NDArray[np.bool_]) -> Estimate | None:
        """Where one side does not vary, see `edge_gap`."""
        one_stratum = np.zeros(int(at.sum()), dtype=np.int64)
        return edge_gap(y[at], inside[at], one_stratum, prompts[at], seed=seed, resamples=resamples)

    strata_both = [int(e) for e in np.flatnonzero(both)]
    edges = {e: edge(known & (code == e)) for e in strata_both}
    by_stratum = columns.reshape(y.size, 4, len(names))
    gaps = {e: edges[e] or estimate(_gap, by_stratum[:, :, e]) for e in strata_both}
    violation = estimate(partial(_violation, eps=eps), columns, recentre=True)
    if not math.isnan(violation.low):
        least = _least(columns, prompts, len(names), eps, seed=seed, resamples=resamples)
        violation = replace(
            violation, low=max(0.0, min(violation.low, least)), high=min(1.0, max(0.0, violation.high)),
            method=f"{violation.method}, with a band over sets of strata",
        )  # fmt: skip
    if any(edges.values()):
        weight = one.sum(axis=0)[strata_both].astype(np.float64)
        violation = _summed(violation, list(gaps.values()), weight / weight.sum(), eps)
    return ConditionalParity(
        violation=violation,
        gaps={str(names[e]): gap for e, gap in gaps.items()},
        marginal=edge(known) or estimate(_gap, by_stratum.sum(axis=2)),
        uncompared=float(one[:, ~both].sum() / one.sum()) if one.any() else math.nan,
    )


def _least(columns: Floats, prompts: NDArray[np.int64], k: int, eps: float, *, seed: int, resamples: int) -> float:
    """The least that the violation can be: the largest sum of `w_e (-gap_e - eps)` over sets of strata."""

    def terms(totals: Floats) -> Floats:
        s1, c1, s0, c0 = (totals[:, i * k : (i + 1) * k] for i in range(4))
        both = (c1 > 0) & (c0 > 0)
        gap = s1 / np.maximum(c1, 1e-300) - s0 / np.maximum(c0, 1e-300)
        weight = np.where(both, c1, 0.0)
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        return np.asarray(np.where(both, weight / total * (-gap - eps), np.nan))

    drawn = resampled_totals(list(columns.T), prompts, seed=seed, resamples=resamples)
    value = terms(columns.sum(axis=0, keepdims=True))[0]
    there = ~np.isnan(value)
    return largest_sum(value[there], terms(drawn)[:, there])


def _summed(found: Estimate, gaps: Sequence[Estimate], weight: Floats, eps: float) -> Estimate:
    """The violation's interval from those of the strata: `v - hypot(w_e (v_e - l_e))` to `v + hypot(w_e (u_e - v_e))`.

    It never takes away from the bootstrap's own.
    """
    value, low, high = (
        np.array([max(0.0, -(end if not math.isnan(end) else g.value) - eps) for g, end in ends])
        for ends in ([(g, g.value) for g in gaps], [(g, g.high) for g in gaps], [(g, g.low) for g in gaps])
    )
    below, above = (float(np.sqrt(np.sum((weight * d) ** 2))) for d in (value - low, high - value))
    ends = [e for e in (found.low, found.high) if not math.isnan(e)]
    return replace(
        found, low=max(0.0, min([found.value - below, *ends])), high=min(1.0, max([found.value + above, *ends])),
        method=f"{found.method}, with MOVER where a side is constant",
    )  # fmt: skip


def _gap(totals: Floats) -> Float[np.ndarray, " r"]:
    """Mean of the protected side less that of the others; NaN where a resample lacks one of them."""
    s1, c1, s0, c0 = totals.T
    return np.asarray(s1 / c1 - s0 / c0)


def _violation(totals: Floats, eps: float) -> Float[np.ndarray, " r"]:
    """Disadvantage beyond `eps`, weighted by the protected rows of each stratum."""
    s1, c1, s0, c0 = np.split(totals, 4, axis=1)
    both = (c1 > 0) & (c0 > 0)
    gap = np.where(both, s1 / np.maximum(c1, 1e-300) - s0 / np.maximum(c0, 1e-300), np.nan)
    weight = np.where(both, c1, 0.0)
    short = np.where(both, np.maximum(0.0, -np.nan_to_num(gap) - eps), 0.0)
    return np.asarray((weight * short).sum(axis=1) / weight.sum(axis=1))
