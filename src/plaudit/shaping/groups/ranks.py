"""Ranks within groups of one size at a time, so that no table has a hole in it: exact, with ties averaged.

Small groups are compared member by member, a comparison for all groups at once; large ones are sorted. Both go through
tables (size, groups) that fit the processor's cache, one column a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

WIDEST = 32
"""Members up to which a group is compared; from about 40 on sorting is faster. Twice a rank must fit eight bits."""
CELLS = 80_000
"""Numbers a table: what is compared over and over stays near."""


def tables_by_size(
    order: Int[np.ndarray, " n"], starts: Int[np.ndarray, " filled"], size: Int[np.ndarray, " filled"]
) -> tuple[NDArray[np.int64], ...]:
    """Sample indices in tables of groups of one size, (size, some groups): member by group.

    Args:
        order: samples by group.
        starts: where each group begins in it.
        size: of each group, at least 1.
    """
    if not size.size:
        return ()
    by_size = np.lexsort((order[starts], size))  # neighbours begin near each other, and memory is read in its order
    ends = np.flatnonzero(np.diff(size[by_size], append=-1)) + 1
    found, begin = [], 0
    for end in ends.tolist():
        members = int(size[by_size[begin]])
        many = max(1, CELLS // members)
        for first in range(begin, end, many):
            columns = starts[by_size[first : min(first + many, end)]]
            found.append(order[columns + np.arange(members)[:, None]])
        begin = end
    return tuple(found)


def tabled_ranks(value: Float[np.ndarray, " n"], tables: Sequence[NDArray[np.int64]]) -> Float[np.ndarray, " n"]:
    """Rank of each value within its group, from 1 for the least; ties share their mean rank.

    Args:
        value: float64 (n,), without NaN: a missing value is infinite, and ranks last without a change to the others.
        tables: of `tables_by_size`, with every sample in one of them.
    """
    twice = np.zeros(value.size, dtype=np.int8)  # scattered as bytes, which is half the time of scattering floats
    for at in tables:
        if len(at) <= WIDEST:
            twice[at] = compared(value.take(at))
    found = twice * 0.5
    for at in tables:
        if len(at) > WIDEST:
            found[at] = sorted_ranks(value.take(at))
    return np.asarray(found)


def tabled_lexicographic_ranks(
    values: Sequence[Float[np.ndarray, " n"]], tables: Sequence[NDArray[np.int64]]
) -> Float[np.ndarray, " n"]:
    """Rank within its group by the first value, ties by the second, and so on; rows that are equal share their rank.

    Args:
        values: at least one, each float64 (n,) without NaN.
        tables: of `tables_by_size`, with every sample in one of them.
    """
    found = np.zeros(values[0].size)
    for at in tables:
        key = _twice_ranked(values[0].take(at))
        for value in values[1:]:
            # twice a rank is at most twice the size: pairs of ranks in one whole number, in their order
            key = _twice_ranked(key * (2 * len(at) + 1) + _twice_ranked(value.take(at)))
        found[at] = key * 0.5
    return found


def _twice_ranked(table: Float[np.ndarray, "size groups"] | Int[np.ndarray, "size groups"]) -> NDArray[Any]:
    if len(table) <= WIDEST:
        return compared(table).astype(np.int16)
    return np.asarray(2 * sorted_ranks(table)).astype(np.int64)


def compared(table: Float[np.ndarray, "size groups"]) -> Int[np.ndarray, "size groups"]:
    """Twice the rank within each column, int8, by comparing every member with every later one.

    Twice a rank is 1 + the sum over all members of [other < own] + [other <= own], itself included. What a pair adds to
    its later member is c = [first < later] + [first <= later], and to its first one 2 - c.

    Args:
        table: no more than 63 rows, without NaN.
    """
    size = len(table)
    twice = np.empty(table.shape, dtype=np.int8)
    twice[:] = np.arange(2 * size, 0, -2, dtype=np.int8)[:, None]  # 2, and 2 for each later member
    below, equal = np.empty(table.shape, dtype=bool), np.empty(table.shape, dtype=bool)
    for apart in range(1, size):
        first, later = table[:-apart], table[apart:]
        c = np.less(first, later, out=below[apart:]).view(np.int8)
        c += np.less_equal(first, later, out=equal[apart:]).view(np.int8)
        twice[apart:] += c
        twice[:-apart] -= c
    return twice


def sorted_ranks(table: Float[np.ndarray, "size groups"]) -> Float[np.ndarray, "size groups"]:
    """The rank within each column, by sorting; runs of equal values share their mean place.

    Args:
        table: without NaN.
    """
    rows = np.ascontiguousarray(table.T)
    order = rows.argsort(axis=1)
    value = np.take_along_axis(rows, order, 1)
    new = np.ones(rows.shape, dtype=bool)
    np.not_equal(value[:, 1:], value[:, :-1], out=new[:, 1:])
    place = np.tile(np.arange(1.0, rows.shape[1] + 1), len(rows))
    if not new.all():
        run = np.cumsum(new.reshape(-1)) - 1
        place = (np.bincount(run, weights=place) / np.bincount(run))[run]
    found = np.empty(rows.shape)
    np.put_along_axis(found, order, place.reshape(rows.shape), 1)
    return found.T
