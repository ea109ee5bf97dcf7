"""Ranks in groups of many sizes: compared or sorted, in one table or many, they are those of SciPy and of a count."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.shaping.groups import Grouped, Groups
from plaudit.shaping.groups import ranks as module
from plaudit.shaping.groups.ranks import compared, sorted_ranks, tables_by_size
from plaudit.shaping.transforms import group_ranks

# few different numbers, numbers that float32 would make equal, and numbers at the ends of the range
numbers = st.one_of(
    st.integers(-2, 2).map(float), st.sampled_from([1.0, 1.0 + 2**-50, 1e300, -1e300, 5e-324, -0.0]), st.just(math.nan)
)


def by_count(value, labels):
    """How many of its group are below, and half of those that are equal (itself too), and 1/2."""
    found = np.full(len(value), np.nan)
    for i, (x, label) in enumerate(zip(value, labels, strict=True)):
        mates = [v for v, other in zip(value, labels, strict=True) if other == label and not math.isnan(v)]
        if not math.isnan(x):
            found[i] = sum(v < x for v in mates) + (sum(v == x for v in mates) + 1) / 2
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(numbers, st.integers(0, 6)), max_size=40), st.integers(1, 5), st.integers(1, 30))
def test_ranks_equal_a_count_whatever_is_compared_sorted_or_cut_into_tables(rows, widest, cells):
    value, labels = np.array([v for v, _ in rows], dtype=float), np.array([g for _, g in rows], dtype=int)
    whole = (module.WIDEST, module.CELLS)
    module.WIDEST, module.CELLS = widest, cells  # so that small groups meet every path
    try:
        found = Grouped.of("test", value, labels).rank
    finally:
        module.WIDEST, module.CELLS = whole
    assert np.array_equal(found, by_count(value.tolist(), labels.tolist()), equal_nan=True)


@pytest.mark.parametrize("widest", [1, 32, 63])
def test_groups_of_every_size_up_to_seventy(widest, monkeypatch):
    """Twice a rank in a group of 63 is 126 at most, which is what eight bits can hold."""
    monkeypatch.setattr(module, "WIDEST", widest)
    rng = np.random.default_rng(widest)
    labels = rng.permutation(np.repeat(np.arange(70), np.arange(1, 71)))
    value = rng.integers(0, 12, labels.size).astype(float)
    value[rng.random(labels.size) < 0.1] = np.nan
    assert np.array_equal(
        Grouped.of("test", value, labels).rank, by_count(value.tolist(), labels.tolist()), equal_nan=True
    )


@pytest.mark.peer
@pytest.mark.parametrize("ties", [False, True])
def test_ranks_equal_scipy(ties):
    from scipy.stats import rankdata

    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(400), rng.integers(1, 90, 400)))
    value = rng.integers(-3, 3, labels.size).astype(float) if ties else rng.normal(size=labels.size)
    found, shares = Grouped.of("test", value, labels).rank, group_ranks(value, labels)
    for label in range(400):
        at = labels == label
        theirs = rankdata(value[at], method="average")
        assert np.array_equal(found[at], theirs)
        assert np.allclose(shares[at], (theirs - 0.5) / at.sum(), atol=1e-15)


def test_both_ways_by_hand():
    # columns: 3, 1, 2 without ties; 5, 5, 4: the two share (2 + 3) / 2; all alike share 2
    table = np.array([[3.0, 5.0, 7.0], [1.0, 5.0, 7.0], [2.0, 4.0, 7.0]])
    expected = [[3.0, 2.5, 2.0], [1.0, 2.5, 2.0], [2.0, 1.0, 2.0]]
    assert (compared(table) / 2).tolist() == expected
    assert sorted_ranks(table).tolist() == expected
    assert compared(table[:1]).tolist() == [[2, 2, 2]]  # alone: rank 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40))
def test_every_sample_is_in_one_table_with_its_whole_group(labels):
    groups = Groups.of(np.array(labels, dtype=int))
    seen = [i for at in groups.tables for column in at.T for i in column.tolist()]
    assert sorted(seen) == list(range(len(labels)))
    for at in groups.tables:
        for column in at.T.tolist():
            own = labels[column[0]]
            assert column == [i for i, label in enumerate(labels) if label == own]
    assert groups.mates.tolist() == [labels.count(label) for label in labels]


def test_nothing_in_nothing_out():
    none = np.zeros(0, dtype=np.int64)
    assert tables_by_size(none, none, none) == ()
    assert Grouped.of("test", [], []).rank.tolist() == []
    assert np.isnan(group_ranks([np.nan, np.nan], [0, 3])).all()
