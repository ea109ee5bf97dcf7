"""The formulas of transforms: hand values, the catalogue's checks, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.transforms import (
    Statistics,
    centred,
    clipped,
    clipped_by,
    group_ranks,
    log_sigmoid_centred,
    preference_as_reward,
    ranged_by,
    standardised_by,
    whitened,
)
from plaudit.shaping.transforms.bounded import arctan, log_sigmoid, polynomial, sigmoid, tanh

numbers = st.lists(st.one_of(st.just(math.nan), st.floats(-100, 100)), min_size=1, max_size=20)
CURVES = [sigmoid, log_sigmoid, tanh, arctan, polynomial, lambda x: clipped(x, low=-1, high=2)]


def test_par_by_hand():
    # sigmoid(2) + sigmoid(1) + sigmoid(-1) = 0.88080 + 0.73106 + 0.26894 = 1.88080, a third of it: 0.62693
    found = preference_as_reward([2.0, np.nan], [[0, 1, 3], [0, 1, 3]])
    assert found[0] == pytest.approx(0.62693, abs=1e-5)
    assert np.isnan(found[1])
    # fewer references than columns: sigmoid(2) alone
    assert preference_as_reward([2.0], [[0, np.nan, np.nan]])[0] == pytest.approx(0.88080, abs=1e-5)
    # k = 2 and a shift of 3: sigmoid(2 (2 - 3 - 0)) = sigmoid(-2)
    assert preference_as_reward([2.0], [[0.0]], k=2, shift=3)[0] == pytest.approx(0.11920, abs=1e-5)
    assert centred([2.0], [[0, 1, 3]])[0] == pytest.approx(2 - 4 / 3)


def test_log_sigmoid_sums_to_a_conjunction_by_hand():
    # one reference each, 1 and 2 below: log sigmoid(1) + log sigmoid(2) = log(0.73106 * 0.88080) = log 0.64391
    both = log_sigmoid_centred([1.0, 2.0], [[0.0], [0.0]])
    assert math.exp(both.sum()) == pytest.approx(0.64391, abs=1e-5)
    # references 0..4, quantile 0.85 at place 3.4: log sigmoid(3.4 - 3.4) = -log 2
    assert log_sigmoid_centred([3.4], [[0, 1, 2, 3, 4]])[0] == pytest.approx(-math.log(2))
    # normal: mean 2, deviation sqrt 2, 85th percentile at 1.03643 deviations
    at = 2 + 1.03643 * math.sqrt(2)
    assert log_sigmoid_centred([at], [[0, 1, 2, 3, 4]], normal=True)[0] == pytest.approx(-math.log(2), abs=1e-5)


@settings(deadline=None)
@given(numbers, st.floats(-30, 30))
def test_a_level_that_reward_and_references_share_does_not_count(r, shift):
    refs = np.tile([0.5, -1.0, 2.0], (len(r), 1))
    for formula in (preference_as_reward, centred, log_sigmoid_centred):
        moved = formula(np.array(r) + shift, refs + shift)
        assert np.allclose(moved, formula(np.array(r), refs), atol=1e-9, equal_nan=True)


@settings(deadline=None)
@given(numbers)
def test_curves_never_turn_two_rewards_round_and_leave_nan_alone(r):
    x = np.array(r)
    order = np.argsort(x)  # NaN last
    for curve in CURVES:
        found = curve(x)
        assert (np.isnan(found) == np.isnan(x)).all()
        sorted_ = found[order][: (~np.isnan(x)).sum()]
        assert (np.diff(sorted_) >= 0).all()


def test_the_slope_of_log_sigmoid_is_the_chance_of_losing():
    # d/dr log sigmoid(r - ref) = sigmoid(ref - r), by central differences
    for r in (-3.0, 0.0, 2.0):
        slope = (log_sigmoid(r + 1e-5) - log_sigmoid(r - 1e-5)) / 2e-5
        assert slope == pytest.approx(1 / (1 + math.exp(r)), abs=1e-8)


def test_the_polynomial_is_near_the_sigmoid_inside_and_flat_outside():
    at = np.linspace(-5, 5, 401)
    assert np.abs(polynomial(at) - sigmoid(at)).max() < 0.02
    assert polynomial([-5.1, 5.1, 0.0]) == pytest.approx([0, 1, 0.5], abs=1e-12)
    assert tanh(2.0, scale=2.0) == pytest.approx(0.761594, abs=1e-6)
    assert arctan(1.0) == pytest.approx(0.5)
    assert log_sigmoid(-800.0) == -800.0  # no overflow


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5))
def test_running_statistics_equal_those_of_everything_seen(batches):
    seen = Statistics()
    for batch in batches:
        seen = seen.updated(batch)
    every = np.array([x for batch in batches for x in batch])
    every = every[~np.isnan(every)]
    assert seen.n == every.size
    if every.size:
        assert seen.mean == pytest.approx(every.mean(), abs=1e-9)
        assert seen.square == pytest.approx(every.var(), abs=1e-7)
        assert (seen.low, seen.high) == (every.min(), every.max())
    assert Statistics.from_dict(seen.to_dict()) == seen


def test_an_average_with_a_rate_by_hand():
    # begins with the first batch (mean 2, variance 1); then 0.1 * 12 + 0.9 * 2 = 3, and the law of total variance:
    # 0.9 * 1 + 0.1 * 0 + 0.9 * 0.1 * (12 - 2)^2 = 9.9
    seen = Statistics(rate=0.1).updated([1.0, 3.0]).updated([12.0, 12.0])
    assert (seen.n, seen.mean, seen.square) == (4, pytest.approx(3.0), pytest.approx(9.9))


def test_what_was_seen_shapes_and_nothing_seen_leaves_alone():
    seen = Statistics().updated([0.0, 4.0])  # mean 2, deviation 2
    r = np.array([8.0, 1.0, np.nan])
    assert standardised_by(r, seen, epsilon=0.0)[:2].tolist() == [3.0, -0.5]
    assert clipped_by(r, seen)[:2].tolist() == [4.0, 1.0]
    assert ranged_by(r, seen)[:2].tolist() == [1.0, 0.25]
    for formula in (standardised_by, clipped_by):
        assert np.array_equal(formula(r, Statistics()), r, equal_nan=True)
    assert ranged_by(r, Statistics())[:2].tolist() == [0.5, 0.5]


@settings(deadline=None)
@given(numbers, st.sampled_from([np.exp, np.tanh, lambda x: 3 * x - 2]))
def test_ranks_know_nothing_but_the_order(r, monotone):
    x = np.round(np.array(r) / 40, 3)  # far enough apart that the map keeps them apart
    groups = np.arange(len(r)) % 3
    assert np.allclose(group_ranks(x, groups), group_ranks(monotone(x), groups), equal_nan=True)


def test_ranks_by_hand():
    # (rank - 1/2) / n: of 3, 1, 1 and an outlier the ties share rank 1.5; a missing one leaves the count
    assert group_ranks([3, 1, 1, 900, np.nan], [0] * 5)[:4].tolist() == [2.5 / 4, 1 / 4, 1 / 4, 3.5 / 4]
    assert group_ranks([3.0], [0]).tolist() == [0.5]


def test_whitening_and_the_direction_of_its_flag():
    # 1, 3: mean 2, variance over n - 1 is 2
    assert whitened([1.0, 3.0, np.nan], epsilon=0.0)[:2] == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)])
    kept = whitened([1.0, 3.0], center=False, epsilon=0.0)
    assert kept == pytest.approx([2 - 1 / math.sqrt(2), 2 + 1 / math.sqrt(2)])
    assert whitened([5.0, 5.0], epsilon=0.0).tolist() == [0.0, 0.0]
    assert whitened([5.0, 5.0], center=False, epsilon=0.0).tolist() == [5.0, 5.0]
    assert np.isnan(whitened([np.nan])).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: preference_as_reward([1.0], [[0.0]], k=0), "par: k is 0; give a positive slope"),
        (lambda: preference_as_reward([1.0, 2.0], [[0.0]]), r"rewards \(2,\) and references \(1, 1\)"),
        (lambda: centred([1.0], [[np.nan]]), "centred: sample 0 has no reference reward; give at least one a prompt"),
        (lambda: log_sigmoid_centred([1.0], [[0.0]], quantile=2), "quantile is 2; give a share between 0 and 1"),
        (lambda: log_sigmoid_centred([1.0], [[0.0]], quantile=1, normal=True), "is infinite; give another"),
        (lambda: clipped([1.0], low=2, high=1), "clip: low is 2 and high is 1; give low <= high"),
        (lambda: clipped_by([1.0], Statistics(), width=0), "clip: width is 0; give a positive number of deviations"),
        (lambda: tanh(1.0, scale=0.0), "tanh: scale is 0.0; give a positive number of reward units"),
        (lambda: whitened([1.0], epsilon=-1), "whiten: epsilon is -1"),
        (lambda: Statistics(rate=2.0), "rate is 2.0; give a share between 0 and 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
