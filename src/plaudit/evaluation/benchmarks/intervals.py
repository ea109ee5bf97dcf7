"""Intervals of a benchmark's numbers, and of what they are above a content-blind rule.

Prompts are resampled. Where that says nothing (all rows agree, or a part has so few that resamples lack it), numbers
that are weighted means of bounded values have the Wilson intervals of their parts, combined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plaudit.evaluation.benchmarks.statistics import Floats, Statistic, Totals
from plaudit.evaluation.strata import UNDEFINED, between_parts, flat, signed_stratified, stratified
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, wilson


class _Watched:
    """A function of totals that counts how often it was called for, and where it is not defined."""

    def __init__(self, function: Totals) -> None:
        self.function, self.calls, self.undefined = function, 0, 0

    def __call__(self, totals: Floats) -> Floats:
        value = self.function(totals)
        self.calls += len(value)
        self.undefined += int(np.isnan(value).sum())
        return value

    @property
    def often(self) -> bool:
        """Whether more than a small share was not defined."""
        return self.undefined > UNDEFINED * self.calls


def estimate(statistic: Statistic, clusters: Clusters, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """The number with its percentile interval over clusters.

    Where that has no width, or more than one resample in a hundred lacks a part of the number, Wilson's interval over
    the number of clusters stands in, part by part where there are several (`stratified`); a number that is no mean of
    bounded values has no interval there, and says why.

    Args:
        statistic: columns (n, c).
        clusters: (n,) labels of the prompts.
        seed: of the resampling.
        resamples: number of them.
    """
    if statistic.absent:
        return Estimate(math.nan, method=statistic.absent)
    if statistic.rows is not None:
        clusters = [clusters[i] for i in statistic.rows]
    watched = _Watched(statistic.function)
    found = bootstrap_totals(watched, list(statistic.columns.T), clusters, seed=seed, resamples=resamples)
    if found.n < 2 or math.isnan(found.value) or not (flat(found) or watched.often):
        return found
    reach = statistic.reach
    if statistic.parts is not None and reach is not None:
        known, inside, weights = _judged(statistic), statistic.parts.inside(), statistic.parts.weights
        if statistic.rising is not None:
            closed = between_parts(statistic.rising, known, inside, clusters)
        elif statistic.signed:
            closed = signed_stratified(known, inside, weights, clusters, bound=max(map(abs, reach)))
        else:
            closed = stratified(known, inside, weights, clusters, bounds=reach)
        return replace(closed, value=found.value)
    if statistic.share and found.value in (0.0, 1.0):
        return wilson(found.n * found.value, found.n)
    return Estimate(found.value, n=found.n, method=f"no interval: {_why(watched)}")


def _why(watched: _Watched) -> str:
    return "resamples lack a part of it" if watched.often else "every resample says the same"


def value_of(statistic: Statistic) -> float:
    """The number without an interval.

    Args:
        statistic: columns (n, c).
    """
    columns = statistic.columns
    known = columns[~np.isnan(columns).any(axis=1)]
    if not len(known):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(statistic.function(known.sum(axis=0, keepdims=True))[0])


def _judged(statistic: Statistic) -> Floats:
    """The values of the items that have all columns, (n,)."""
    assert statistic.parts is not None
    return np.where(np.isnan(statistic.columns).any(axis=1), math.nan, statistic.parts.values)


def advantage(own: Statistic, rule: Statistic, clusters: Clusters, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """The number minus a rule's, paired over the items that both have.

    Where resampling has no width, often lacks a part, or no item went one of the two ways, gains and losses have
    Wilson's intervals, combined; numbers that are no means of bounded values then count as independent.

    Args:
        own: the judge's columns.
        rule: the rule's columns, of the same statistic.
        clusters: (n,) labels of the prompts.
        seed: of the resampling.
        resamples: number of them.
    """
    if own.absent:
        return Estimate(math.nan, method=own.absent)
    if own.rows is not None:
        clusters = [clusters[i] for i in own.rows]
        own, rule = replace(own, rows=None), replace(rule, rows=None)
    c = own.columns.shape[1]

    def apart(totals: Floats) -> Floats:
        return np.asarray(own.function(totals[:, :c]) - own.function(totals[:, c:]))

    watched = _Watched(apart)
    columns = [*own.columns.T, *rule.columns.T]
    found = bootstrap_totals(watched, columns, clusters, seed=seed, resamples=resamples)
    if found.n < 2 or math.isnan(found.value):
        return found
    edge = flat(found)
    paired = own.parts is not None and rule.parts is not None and own.reach is not None and own.rising is None
    if paired:
        change = _judged(own) - _judged(rule)
        edge |= not (np.nansum(np.maximum(change, 0)) and np.nansum(np.maximum(-change, 0)))
    if not (edge or watched.often):
        return found
    if own.parts is not None and own.reach is not None and paired:
        bound = own.reach[1] - own.reach[0]
        closed = signed_stratified(change, own.parts.inside(), own.parts.weights, clusters, bound=bound)
    else:
        options = {"seed": seed, "resamples": resamples}
        both = estimate(own, clusters, **options), estimate(rule, clusters, **options)
        if any(math.isnan(e.low) for e in both):
            return Estimate(found.value, n=found.n, method=f"no interval: {_why(watched)}")
        closed = replace(difference(*both), method="MOVER of the two numbers, 95%")
    return replace(closed, value=found.value, n=found.n)


def restricted(rule: Statistic, own: Statistic) -> Statistic:
    """A rule's statistic on the items that the judge has judged."""
    if own.absent or rule.absent:
        return rule

    def make() -> Floats:
        return np.where(np.isnan(own.columns).any(axis=1, keepdims=True), math.nan, rule.columns)

    return replace(rule, make=make)


def averaged(draws: Sequence[Statistic], counts: NDArray[np.bool_] | None = None) -> Statistic:
    """The statistic of expected columns: what random judgements reach, without one draw's noise.

    Args:
        draws: the statistic of each draw.
        counts: (draws, n) which draws count for each item; None for all.
    """

    def make() -> Floats:
        total, number = np.zeros_like(draws[0].columns), np.zeros((len(draws[0].columns), 1))
        for d, draw in enumerate(draws):
            w = np.ones_like(number) if counts is None else counts[d, :, None].astype(np.float64)
            total += w * draw.columns  # NaN where an item is not judged, in every draw
            number += w
        return total / number

    return replace(draws[0], make=make, parts=None)
