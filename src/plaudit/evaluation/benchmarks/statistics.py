"""Numbers of a benchmark as functions of column sums, so that every one of them has an interval over prompts.

A score of a benchmark is a function of sums over items: a mean, a weighted mean of means, a harmonic mean of two
accuracies, a kappa. Kept as columns and a function, one resampling serves the score, its subsets, and the paired
difference with a content-blind rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import ShapeError
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson

Floats = NDArray[np.float64]
Totals = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Statistic:
    """One number of a benchmark.

    Attributes:
        name: in tables.
        make: makes the columns (n, c), a row an item; NaN where the item has no judgement, and it then leaves the
            number. They are made when they are first needed: rules and random draws need the headlines only.
        function: from column sums (r, c) to values (r,); NaN where not defined.
        headline: whether content-blind rules stand beside it.
        share: whether its range is [0, 1], so that Wilson's interval stands in at the ends.
        absent: why it is not given; the value is then NaN, and this is its `method`.
        rows: the items that the columns are of, where they are of some only.
    """

    name: str
    make: Callable[[], Floats]
    function: Totals
    headline: bool = False
    share: bool = True
    absent: str = ""
    rows: NDArray[np.int64] | None = None

    @cached_property
    def columns(self) -> Floats:
        """The columns (n, c)."""
        return self.make()


@dataclass(frozen=True)
class Found:
    """What a benchmark's statistics are, with what a reader must know of them.

    Attributes:
        statistics: in the order to show.
        notes: lines.
    """

    statistics: tuple[Statistic, ...]
    notes: tuple[str, ...] = ()


def absent(name: str, why: str) -> Statistic:
    """A number that cannot be given: NaN, with the reason."""
    return Statistic(name, lambda: np.zeros((0, 1)), lambda t: np.full(len(t), math.nan), absent=why)


def mean_of(name: str, values: ArrayLike, *, headline: bool = False, share: bool = True) -> Statistic:
    """The plain mean of (n,) values; NaN leaves it."""
    v = np.asarray(values, dtype=np.float64)
    return Statistic(name, lambda: np.stack([v, np.ones_like(v)], axis=1), ratio, headline, share)


def ratio(totals: Floats) -> Floats:
    """The first column's sum over the second's: a mean."""
    return np.asarray(totals[:, 0] / totals[:, 1])


def weighted_means(
    name: str, values: ArrayLike, groups: Sequence[str], weights: Mapping[str, float], *, headline: bool = False,
    share: bool = True,
) -> Statistic:  # fmt: skip
    """`sum_g w_g mean_g / sum_g w_g` over named groups; items of other groups take no part.

    Args:
        name: in tables.
        values: (n,); NaN leaves its group's mean. A group of NaN only has no mean, and neither has the whole.
        groups: (n,) the group of each item.
        weights: group to weight, positive.
        headline: whether content-blind rules stand beside it.
        share: whether the values lie in [0, 1].
    """
    v = np.asarray(values, dtype=np.float64)
    if len(groups) != len(v):
        raise ShapeError(f"weighted_means: {len(groups)} groups for {len(v)} values; give one each")
    place = {g: i for i, g in enumerate(weights)}

    def make() -> Floats:
        label = np.array([place.get(g, -1) for g in groups], dtype=np.int64).reshape(-1)
        columns = np.full((len(v), 2 * len(place)), math.nan)
        rows = np.flatnonzero((label >= 0) & ~np.isnan(v))
        columns[rows] = 0.0
        columns[rows, label[rows]] = v[rows]
        columns[rows, len(place) + label[rows]] = 1.0
        return columns

    share_of = np.array(list(weights.values())) / sum(weights.values())

    def function(totals: Floats) -> Floats:
        g = len(share_of)
        # weights that add to 1 but for the last bit would make 1.0000000000000002 of ones
        return np.asarray(np.round((totals[:, :g] / totals[:, g:]) @ share_of, 12))

    return Statistic(name, make, function, headline, share)


def sections(
    values: ArrayLike, groups: Sequence[str], published: Mapping[str, Mapping[str, float]], *, overall: str,
    prefix: str = "", share: bool = True,
) -> Found:  # fmt: skip
    """Accuracy by subset, published sections of weighted subsets, and the unweighted mean of the sections.

    A section or the overall of which a subset is missing is NaN under its published name, with the missing subsets
    named; the same over what is present is called `present_...`.

    Args:
        values: (n,) credits; NaN leaves.
        groups: (n,) subset of each item.
        published: section to subset to weight.
        overall: name of the mean of sections.
        prefix: of every name.
        share: whether the credits lie in [0, 1].
    """
    v = np.asarray(values, dtype=np.float64)
    names, there = sorted(set(groups)), set(groups)
    rows = [weighted_means(f"{prefix}subset/{g}", v, groups, {g: 1.0}, share=share) for g in names]
    notes = []
    known = {g for part in published.values() for g in part}
    if other := [g for g in names if g not in known]:
        notes.append(f"{prefix}no published section has the subsets {', '.join(other)}; they count in no section")
    flat: dict[str, float] = {}
    lacking: list[str] = []
    for title, part in published.items():
        have = {g: w for g, w in part.items() if g in there}
        missing = [g for g in part if g not in there]
        lacking += missing
        rows += _named(f"{prefix}section/{title}", v, groups, have, missing, share, headline=False)
        flat.update({g: w / sum(have.values()) for g, w in have.items()})
    # each section's weights sum to 1, so their mean weighs sections alike
    rows += _named(f"{prefix}{overall}", v, groups, flat, lacking, share, headline=True)
    if lacking:
        notes.append(
            f"{prefix}missing subsets: {', '.join(lacking)}; {prefix}{overall} is not given, and what is called "
            "present_ is over the others and compares with no published number"
        )
    return Found(tuple(rows), tuple(notes))


def _named(
    name: str, values: Floats, groups: Sequence[str], have: Mapping[str, float], missing: Sequence[str], share: bool,
    headline: bool,
) -> list[Statistic]:  # fmt: skip
    if not missing:
        return [weighted_means(name, values, groups, have, headline=headline, share=share)]
    found = [absent(name, f"missing subsets: {', '.join(missing)}")]
    if have:
        path, _, last = name.rpartition("/")
        shown = f"{path}/present_{last}" if path else f"present_{last}"
        found.append(weighted_means(shown, values, groups, have, headline=headline, share=share))
    return found


def estimate(statistic: Statistic, clusters: Clusters, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """The number with its percentile interval over clusters.

    At 0 and 1 a share's bootstrap has no width; Wilson's interval over the number of clusters stands in.

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
    found = bootstrap_totals(statistic.function, list(statistic.columns.T), clusters, seed=seed, resamples=resamples)
    if statistic.share and found.n > 1 and found.value in (0.0, 1.0):
        return wilson(found.n * found.value, found.n)
    return found


def advantage(own: Statistic, rule: Statistic, clusters: Clusters, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """The number minus a rule's, paired over the items that both have.

    Args:
        own: the judge's columns.
        rule: the rule's columns, of the same statistic.
        clusters: (n,) labels of the prompts.
        seed: of the resampling.
        resamples: number of them.
    """
    if own.absent:
        return Estimate(math.nan, method=own.absent)
    c = own.columns.shape[1]

    def difference(totals: Floats) -> Floats:
        return np.asarray(own.function(totals[:, :c]) - own.function(totals[:, c:]))

    columns = [*own.columns.T, *rule.columns.T]
    return bootstrap_totals(difference, columns, clusters, seed=seed, resamples=resamples)


def restricted(rule: Statistic, own: Statistic) -> Statistic:
    """A rule's statistic on the items that the judge has judged."""
    if own.absent or rule.absent:
        return rule

    def make() -> Floats:
        return np.where(np.isnan(own.columns).any(axis=1, keepdims=True), math.nan, rule.columns)

    return replace(rule, make=make)


def averaged(draws: Sequence[Statistic]) -> Statistic:
    """The statistic of expected columns: what random judgements reach, without one draw's noise."""

    def make() -> Floats:
        total = draws[0].columns.copy()
        for draw in draws[1:]:
            total += draw.columns
        return total / len(draws)

    return replace(draws[0], make=make)
