"""Statistics within groups, against a loop over the groups, by hand, and under what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups import (
    Grouped,
    Groups,
    batch_standardised,
    leave_one_out,
    mean_only,
    standardised,
)

ADVANTAGES = {
    "mean_only": mean_only,
    "leave_one_out": leave_one_out,
    "standardised": standardised,
    "batch_standardised": batch_standardised,
}
values = st.one_of(
    st.just(float("nan")), st.integers(-3, 3).map(float), st.floats(-1e3, 1e3).map(lambda x: round(x, 6))
)
rows = st.lists(st.tuples(values, st.integers(0, 5)), min_size=1, max_size=30)


def split(drawn):
    return np.array([r for r, _ in drawn]), np.array([g for _, g in drawn])


def by_loop(name, r, g):
    """The textbook's formulas, group by group."""
    out = np.zeros(len(r))
    left = []
    for label in set(g.tolist()):
        at = np.flatnonzero((g == label) & ~np.isnan(r))
        if len(at) < 2:
            continue
        x = r[at]
        if name == "mean_only":
            out[at] = x - x.mean()
        elif name == "leave_one_out":
            out[at] = [x[i] - np.delete(x, i).mean() for i in range(len(x))]
        elif name == "standardised":
            out[at] = (x - x.mean()) / (x.std(ddof=1) + 1e-4)
        else:
            out[at] = x - x.mean()
            left += (x - x.mean()).tolist()
    if name == "batch_standardised" and len(left) > 1:
        out /= np.std(left, ddof=1) + 1e-4
    return out


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from(sorted(ADVANTAGES)))
def test_advantages_equal_a_loop_over_groups(drawn, name):
    r, g = split(drawn)
    assert np.allclose(ADVANTAGES[name](r, g), by_loop(name, r, g), atol=1e-8, rtol=1e-9)


@settings(max_examples=80, deadline=None)
@given(rows, st.sampled_from(sorted(ADVANTAGES)), st.floats(-50, 50), st.randoms(use_true_random=False))
def test_advantages_move_with_their_samples_and_not_with_the_level_of_a_group(drawn, name, shift, random):
    r, g = split(drawn)
    found = ADVANTAGES[name](r, g)
    order = list(range(len(r)))
    random.shuffle(order)
    assert np.allclose(ADVANTAGES[name](r[order], g[order]), found[order], atol=1e-9)
    renamed = {label: f"group {i}" for i, label in enumerate(reversed(sorted(set(g.tolist()))))}
    assert np.allclose(ADVANTAGES[name](r, [renamed[x] for x in g.tolist()]), found, atol=1e-9)
    assert np.allclose(ADVANTAGES[name](r + shift * (g == 0), g), found, atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(rows, st.sampled_from(["mean_only", "leave_one_out", "standardised"]))
def test_a_fault_of_the_machine_changes_nothing_for_the_others(drawn, name):
    r, g = split(drawn)
    more, groups = np.append(r, [np.nan, np.nan]), np.append(g, [g[0], 9])
    found = ADVANTAGES[name](more, groups)
    assert np.allclose(found[:-2], ADVANTAGES[name](r, g), atol=1e-9)
    assert found[-2:].tolist() == [0.0, 0.0]


def test_by_hand():
    # one group of four: mean 1/2, squares 4 * 1/4: std over n - 1 is sqrt(1/3) = 0.57735
    # leave one out: 1 - 1/3 and 0 - 2/3
    r, g = [1.0, 0, 0, 1], [7, 7, 7, 7]
    assert leave_one_out(r, g) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    assert standardised(r, g, epsilon=0.0) == pytest.approx(np.array([1, -1, -1, 1]) * 0.5 / 0.57735, abs=1e-5)
    assert standardised(r, g, epsilon=0.0, ddof=0) == pytest.approx([1, -1, -1, 1])
    assert mean_only(r, g) == pytest.approx([0.5, -0.5, -0.5, 0.5])


def test_what_says_nothing_gets_nothing():
    alone, equal, gone = [0.3, np.nan], [0.1] * 3, [np.nan, np.nan]
    r, g = [*alone, *equal, *gone], ["a", "a", "b", "b", "b", "c", "c"]
    for name, advantage in ADVANTAGES.items():
        assert np.allclose(advantage(r, g), 0.0, atol=1e-12), name
    # the mean of three 0.1 is not 0.1: a division by the deviation of that must not happen
    assert standardised(r, g, epsilon=0.0).tolist() == [0.0] * 7
    assert mean_only([], []).tolist() == []


def test_batch_scale_with_and_without_the_group_means():
    # what is left: -1, 1, -1, 1 with a deviation over 3 of sqrt(4/3)
    # the rewards 0, 2, 10, 12: mean 6, squares 36 + 16 + 16 + 36 = 104
    r, g = [0.0, 2, 10, 12], [0, 0, 1, 1]
    assert batch_standardised(r, g, epsilon=0.0) == pytest.approx(np.array([-1, 1, -1, 1]) / np.sqrt(4 / 3))
    raw = batch_standardised(r, g, epsilon=0.0, center=False)
    assert raw == pytest.approx(np.array([-1, 1, -1, 1]) / np.sqrt(104 / 3))


@settings(max_examples=100, deadline=None)
@given(rows)
def test_sums_extremes_and_ranks_equal_a_loop(drawn):
    r, g = split(drawn)
    x = Grouped.of("test", r, g)
    for label in set(g.tolist()):
        there = r[(g == label) & ~np.isnan(r)]
        at = x.groups.code[np.flatnonzero(g == label)[0]]
        assert x.n[at] == len(there)
        if len(there):
            assert x.least[at] == there.min()
            assert x.greatest[at] == there.max()
            assert x.std()[at] == pytest.approx(there.std(), abs=1e-9)
        else:
            assert np.isnan([x.mean[at], x.least[at], x.greatest[at]]).all()
    for i in range(len(r)):
        mates = r[(g == g[i]) & ~np.isnan(r)]
        expected = np.nan if np.isnan(r[i]) else (mates < r[i]).sum() + ((mates == r[i]).sum() + 1) / 2
        assert x.rank[i] == expected or np.isnan([x.rank[i], expected]).all()


def test_one_large_group_among_many_small_ones_is_ranked_alike():
    rng = np.random.default_rng(0)
    g = np.concatenate([np.zeros(500, int), np.repeat(np.arange(1, 200), 2)])
    r = rng.integers(0, 50, len(g)).astype(float)
    r[::17] = np.nan
    found = Grouped.of("test", r, g).rank
    for label in (0, 5):
        there = np.flatnonzero((g == label) & ~np.isnan(r))
        for i in there[:40]:
            assert found[i] == (r[there] < r[i]).sum() + ((r[there] == r[i]).sum() + 1) / 2


def test_labels_of_any_kind():
    assert Groups.of(["b", "a", "b"]).code.tolist() == [0, 1, 0]
    assert Groups.of(np.array([10**12, -5, 10**12])).count == 2
    assert Groups.of(np.array([2, 0, 2])).count == 3  # taken as they are; 1 is empty
    assert Groups.of(np.array([2, 0, 2])).order.tolist() == [1, 0, 2]
    made = Groups.of([1, 1])
    assert Groups.of(made) is made
    with pytest.raises(ShapeError, match=r"labels have shape \(1, 2\); give one label a sample"):
        Groups.of(np.zeros((1, 2), int))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_only([1.0, 2.0], [0]), r"mean_only: values have shape \(2,\) for 1 group labels"),
        (lambda: mean_only([np.inf, 2.0], [0, 0]), "value 0 is inf; give finite values, and NaN where there is none"),
        (lambda: standardised([1.0], [0], ddof=2), "ddof is 2; give 1"),
        (lambda: standardised([1.0], [0], epsilon=-1.0), "epsilon is -1.0; give a number of reward units, at least 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
