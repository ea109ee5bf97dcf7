"""Groups as whole numbers, and sums, extremes and ranks within them: what every group statistic is built on.

`NaN` marks a value that is missing: a time-out, an abstention, an instrument's fault. It enters no statistic and gets
no number back. No function loops over groups: a million rewards in a hundred thousand groups cost milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.ranks import tabled_ranks, tables_by_size

Floats = NDArray[np.float64]
Labels = Sequence[object] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class Groups:
    """Which of n samples are compared with each other.

    Attributes:
        code: int64 (n,), the group of each sample, 0 to `count - 1`.
        count: number of codes; some may be empty.
    """

    code: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, labels: Labels | Groups) -> Groups:
        """The groups that labels name.

        Args:
            labels: a label a sample, any hashable values; whole numbers from 0 that are not much larger than n are
                taken as they are, which costs nothing.

        Raises:
            ShapeError: if an array of labels is not one-dimensional.
            InputError: if a label cannot be hashed.
        """
        if isinstance(labels, Groups):
            return labels
        if not isinstance(labels, np.ndarray) and hasattr(labels, "__array__"):
            labels = np.asarray(labels)  # a tensor's entries are objects of their own, none equal to another
        if isinstance(labels, np.ndarray) and labels.ndim != 1:
            raise ShapeError(f"groups: labels have shape {labels.shape}; give one label a sample, (n,)")
        if isinstance(labels, np.ndarray) and np.issubdtype(labels.dtype, np.integer):
            return cls._of_integers(labels.astype(np.int64))
        places: dict[Any, int] = {}
        try:
            code = np.fromiter((places.setdefault(label, len(places)) for label in labels), np.int64, len(labels))
        except TypeError as error:
            raise InputError(f"groups: {error}; give labels such as numbers, strings or tuples") from error
        return cls(code, len(places))

    @classmethod
    def _of_integers(cls, labels: NDArray[np.int64]) -> Self:
        if not labels.size:
            return cls(labels, 0)
        if labels.min() >= 0 and labels.max() < 4 * labels.size + 64:
            return cls(labels, int(labels.max()) + 1)
        found, code = np.unique(labels, return_inverse=True)
        return cls(code.astype(np.int64).reshape(-1), int(found.size))

    def __len__(self) -> int:
        return int(self.code.size)

    @cached_property
    def sorted(self) -> bool:
        """Whether the samples of each group follow one another, in the order of the codes."""
        return bool((self.code[1:] >= self.code[:-1]).all())

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Samples sorted by group, in their order within each: what functions that need neighbours go through."""
        n = self.code.size
        if self.sorted:
            return np.arange(n)
        # a counting sort, which numpy has for short integers only: faster than argsort from some thousands on
        from scipy.sparse import coo_array

        table = coo_array((np.arange(1, n + 1), (self.code, np.arange(n))), shape=(self.count, n))
        return np.asarray(table.tocsr().data - 1)

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """Samples of each group, missing values included, (count,)."""
        return np.bincount(self.code, minlength=self.count)

    @cached_property
    def mates(self) -> Floats:
        """How many samples the group of each has, itself and missing values included, (n,)."""
        return self.size[self.code].astype(np.float64)

    def spread(self, by_group: ArrayLike) -> NDArray[Any]:
        """A value a group to a value a sample."""
        return np.asarray(by_group)[self.code]

    @cached_property
    def filled(self) -> NDArray[np.int64]:
        """Codes of the groups that have samples."""
        return np.flatnonzero(self.size)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """For each of `filled`, where its samples begin in `order`."""
        return (np.cumsum(self.size) - self.size)[self.filled]

    @cached_property
    def tables(self) -> tuple[NDArray[np.int64], ...]:
        """Sample indices in tables of groups of one size, member by group: a rectangle without filling."""
        return tables_by_size(self.order, self.starts, self.size[self.filled])

    @cached_property
    def rectangle(self) -> NDArray[np.int64]:
        """Sample indices, a group a row, (count, largest size); -1 fills rows of smaller groups."""
        if not len(self):
            return np.zeros((self.count, 0), dtype=np.int64)
        if (self.size == self.size[0]).all():
            return self.order.reshape(self.count, -1)
        found = np.full((self.count, int(self.size.max())), -1, dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(self.size)[:-1]])
        found[self.code[self.order], np.arange(len(self)) - np.repeat(first, self.size)] = self.order
        return found

    def laid(self, value: Float[np.ndarray, " n"]) -> Floats:
        """Values in the shape of `rectangle`; NaN fills rows of smaller groups."""
        found = np.asarray(value, dtype=np.float64)
        if self.rectangle.size == len(self):  # no filling
            return (found if self.sorted else found[self.order]).reshape(self.rectangle.shape)
        return np.append(found, np.nan)[self.rectangle]


@dataclass(frozen=True, eq=False)
class Grouped:
    """Values in groups, with what is asked of them over and over.

    Attributes:
        value: float64 (n,), NaN where missing.
        groups: of the samples.
    """

    value: Floats
    groups: Groups

    @classmethod
    def of(cls, who: str, value: ArrayLike, groups: Labels | Groups, **columns: ArrayLike | None) -> Self:
        """Values and groups that belong together.

        Args:
            who: named in the error.
            value: (n,), NaN where missing.
            groups: a label a sample.
            **columns: what must have n entries too, or None.

        Raises:
            ShapeError: if lengths differ, or the values are not one-dimensional.
            InputError: if a value is infinite.
        """
        found, made = np.asarray(value, dtype=np.float64), Groups.of(groups)
        if found.ndim != 1 or found.size != len(made):
            raise ShapeError(f"{who}: values have shape {found.shape} for {len(made)} group labels; give (n,) both")
        for name, column in columns.items():
            if column is not None and len(np.asarray(column)) != found.size:
                raise ShapeError(f"{who}: {name} has {len(np.asarray(column))} entries for {found.size} values")
        grouped = cls(found, made)
        if grouped.missing is not None and np.isinf(found).any():
            i = int(np.flatnonzero(np.isinf(found))[0])
            raise InputError(f"{who}: value {i} is {found[i]}; give finite values, and NaN where there is none")
        return grouped

    @cached_property
    def missing(self) -> NDArray[np.bool_] | None:
        """True where the value is NaN, (n,); None where none is, which spares every function a pass."""
        finite = np.isfinite(self.value)
        return None if finite.all() else np.isnan(self.value)

    @cached_property
    def n(self) -> NDArray[np.int64]:
        """How many of each group's values are there, (count,)."""
        if self.missing is None:
            return self.groups.size
        return np.bincount(self.groups.code[~self.missing], minlength=self.groups.count)

    def total(self, value: Floats | None = None) -> Floats:
        """Sum over each group's values (or over others that lack the same ones), (count,); 0 where there is none."""
        weights = self.value if value is None else value
        kept = weights if self.missing is None else np.where(self.missing, 0.0, weights)
        found = np.bincount(self.groups.code, weights=kept, minlength=self.groups.count)
        return found.astype(np.float64, copy=False)  # without any samples bincount counts in whole numbers

    @cached_property
    def _any(self) -> Floats:
        """One of each group's values, (count,); NaN where it has none."""
        g, found = self.groups, np.full(self.groups.count, np.nan)
        if self.missing is not None:
            found[g.code[~self.missing]] = self.value[~self.missing]
        elif g.sorted:
            found[g.filled] = self.value[g.starts]
        else:
            found[g.code] = self.value
        return found

    @cached_property
    def varied(self) -> NDArray[np.bool_]:
        """True where a group's values are not all equal, (count,)."""
        g, found = self.groups, np.zeros(self.groups.count, dtype=bool)
        other = self.value != self._any[g.code]
        if self.missing is not None:
            other &= ~self.missing
        if g.sorted and len(g):
            found[g.filled] = np.logical_or.reduceat(other, g.starts)
        else:
            found[g.code[other]] = True
        return found

    @cached_property
    def mean(self) -> Floats:
        """Mean of each group, (count,); NaN where it has no value.

        Exactly their value where all are equal: a sum of equal numbers is off in its last bits, and what is divided by
        a deviation of last bits is noise.
        """
        return np.where(self.varied, self.total() / np.maximum(self.n, 1), self._any)

    @cached_property
    def centred(self) -> Floats:
        """Each value less the mean of its group, (n,)."""
        return self.value - self.mean[self.groups.code]

    def std(self, *, ddof: int = 0) -> Floats:
        """`sqrt(sum (v - mean)^2 / (n - ddof))` of each group, (count,), 0 for equal values; NaN where `n <= ddof`."""
        mean = self.total(np.square(self.centred)) / np.maximum(self.n - ddof, 1)
        return np.where(self.n > ddof, np.sqrt(mean), np.nan)

    @cached_property
    def least(self) -> Floats:
        """Least value of each group, (count,); NaN where it has none."""
        return self._extreme(np.fmin)

    @cached_property
    def greatest(self) -> Floats:
        """Greatest value of each group, (count,); NaN where it has none."""
        return self._extreme(np.fmax)

    def _extreme(self, which: np.ufunc) -> Floats:
        g, found = self.groups, np.full(self.groups.count, np.nan)
        if not g.sorted:
            which.at(found, g.code, self.value)
            return found
        if len(g):
            found[g.filled] = which.reduceat(self.value, g.starts)
        return found

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """True where a sample has a value and so has at least one of its siblings, (n,)."""
        enough = (self.n >= 2)[self.groups.code]
        return np.asarray(enough if self.missing is None else enough & ~self.missing)

    def or_nothing(self, advantage: Floats) -> Floats:
        """The advantage where a sample is `comparable`, 0 elsewhere, (n,)."""
        if self.missing is None and (self.n != 1).all():
            return advantage
        return np.where(self.comparable, advantage, 0.0)

    @cached_property
    def rank(self) -> Floats:
        """Rank of each value within its group, from 1 for the least; ties share their mean rank; NaN stays NaN."""
        if self.missing is None:
            return tabled_ranks(self.value, self.groups.tables)
        ranks = tabled_ranks(np.where(self.missing, np.inf, self.value), self.groups.tables)
        return np.where(self.missing, np.nan, ranks)
