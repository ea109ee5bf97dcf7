"""Numbers of a benchmark as functions of column sums, so that every one of them has an interval over prompts.

A score of a benchmark is a function of sums over items: a mean, a weighted mean of means, a harmonic mean of two
accuracies, a kappa. Kept as columns and a function, one resampling serves the score, its subsets, and the paired
difference with a content-blind rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import ShapeError

Floats = NDArray[np.float64]
Totals = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Parts:
    """Of what a number is the weighted mean.

    Attributes:
        values: (n,) of each item; NaN has none.
        weights: of the g parts.
        inside: makes which items belong to which part, (n, g).
    """

    values: Floats
    weights: tuple[float, ...]
    inside: Callable[[], NDArray[np.bool_]]


@dataclass(frozen=True)
class Statistic:
    """One number of a benchmark.

    Attributes:
        name: in tables.
        make: makes the columns (n, c), a row an item; NaN where the item has no judgement, and it then leaves the
            number. They are made when they are first needed: rules and random draws need the headlines only.
        function: from column sums (r, c) to values (r,); NaN where not defined.
        headline: whether content-blind rules stand beside it.
        share: whether its range is [0, 1], so that Wilson's interval stands in where the bootstrap has no width.
        absent: why it is not given; the value is then NaN, and this is its `method`.
        rows: the items that the columns are of, where they are of some only.
        parts: of what it is the weighted mean, or another function that rises in each.
        bounds: lowest and highest value of an item, where it is no share but bounded.
        signed: whether it is a mean of differences, in which no change is the usual.
        rising: the number as a function of its parts' means (g,), where it is no mean but rises in each.
        by_order: whether an item's columns depend on the order of its rewards alone, and on no other item, so that what
            random rewards reach is known exactly.
    """

    name: str
    make: Callable[[], Floats]
    function: Totals
    headline: bool = False
    share: bool = True
    absent: str = ""
    rows: NDArray[np.int64] | None = None
    parts: Parts | None = None
    bounds: tuple[float, float] | None = None
    signed: bool = False
    rising: Callable[[Floats], float] | None = None
    by_order: bool = True

    @property
    def reach(self) -> tuple[float, float] | None:
        """Lowest and highest value; None where it has no bounds."""
        return (0.0, 1.0) if self.share else self.bounds

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


def mean_of(
    name: str, values: ArrayLike, *, headline: bool = False, share: bool = True,
    bounds: tuple[float, float] | None = None, signed: bool = False,
) -> Statistic:  # fmt: skip
    """The plain mean of (n,) values; NaN leaves it.

    Args:
        name: in tables.
        values: (n,).
        headline: whether content-blind rules stand beside it.
        share: whether the values lie in [0, 1].
        bounds: in which they lie otherwise.
        signed: whether they are differences.
    """
    v = np.asarray(values, dtype=np.float64)
    parts = Parts(v, (1.0,), lambda: np.ones((len(v), 1), dtype=bool))
    return Statistic(
        name, lambda: np.stack([v, np.ones_like(v)], axis=1), ratio, headline, share, parts=parts, bounds=bounds,
        signed=signed,
    )  # fmt: skip


def ratio(totals: Floats) -> Floats:
    """The first column's sum over the second's: a mean."""
    return np.asarray(totals[:, 0] / totals[:, 1])


def weighted_means(
    name: str, values: ArrayLike, groups: Sequence[str], weights: Mapping[str, float], *, headline: bool = False,
    share: bool = True, bounds: tuple[float, float] | None = None,
) -> Statistic:  # fmt: skip
    """`sum_g w_g mean_g / sum_g w_g` over named groups; items of other groups take no part.

    Args:
        name: in tables.
        values: (n,); NaN leaves its group's mean. A group of NaN only has no mean, and neither has the whole.
        groups: (n,) the group of each item.
        weights: group to weight, positive.
        headline: whether content-blind rules stand beside it.
        share: whether the values lie in [0, 1].
        bounds: in which they lie otherwise.
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

    def inside() -> NDArray[np.bool_]:
        label = np.array([place.get(g, -1) for g in groups], dtype=np.int64).reshape(-1)
        return np.asarray(label[:, None] == np.arange(len(place)))

    parts = Parts(v, tuple(float(w) for w in share_of), inside)
    return Statistic(name, make, function, headline, share, parts=parts, bounds=bounds)


def sections(
    values: ArrayLike, groups: Sequence[str], published: Mapping[str, Mapping[str, float]], *, overall: str,
    prefix: str = "", share: bool = True, elsewhere: Sequence[str] = (),
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
        elsewhere: subsets that count in no section, as the caller knows.
    """
    v = np.asarray(values, dtype=np.float64)
    names, there = sorted(set(groups)), set(groups)
    rows = [weighted_means(f"{prefix}subset/{g}", v, groups, {g: 1.0}, share=share) for g in names]
    notes = []
    known = {g for part in published.values() for g in part} | set(elsewhere)
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
