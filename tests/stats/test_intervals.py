import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, proportion, share, signed_share, t_interval, wilson


def test_t_interval_by_hand():
    # 1, 2, 3, 4, 5: mean 3, s = sqrt(10/4) = 1.5811, t(0.975, 4) = 2.7764, half width 2.7764 * 1.5811 / sqrt
    # 5 = 1.9632
    estimate = t_interval([1, 2, 3, 4, 5])
    assert estimate.value == 3.0
    assert estimate.low == pytest.approx(3 - 1.9632, abs=1e-4)
    assert estimate.high == pytest.approx(3 + 1.9632, abs=1e-4)
    assert estimate.n == 5


def test_t_interval_leaves_out_nan_and_refuses_an_interval_for_one():
    assert t_interval([1.0, math.nan, 3.0]).n == 2
    one = t_interval([2.0])
    assert (one.value, one.n) == (2.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(t_interval([]).value)


def test_wilson_published_numbers():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611
    estimate = wilson(81, 263)
    assert (estimate.low, estimate.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    nothing = wilson(0, 20)
    assert (nothing.low, nothing.high) == pytest.approx((0.0, 0.1611), abs=1e-4)


@given(st.integers(1, 200), st.data())
def test_wilson_is_symmetric_and_holds_its_value(n, data):
    k = data.draw(st.integers(0, n))
    there, back = wilson(k, n), wilson(n - k, n)
    assert there.low == pytest.approx(1 - back.high)
    assert 0 <= there.low <= there.value <= there.high <= 1


def test_wilson_refuses_impossible_counts():
    with pytest.raises(InputError, match="5 successes of 4 trials"):
        wilson(5, 4)
    assert math.isnan(wilson(0, 0).value)


def test_proportion_never_claims_certainty():
    # all right on 20 prompts (2 rows each): Wilson over 20, not 40, not a width of zero
    prompts = np.repeat(np.arange(20), 2)
    estimate = proportion(np.ones(40), prompts)
    assert estimate.value == 1.0
    assert estimate.low == pytest.approx(1 - 0.1611, abs=1e-4)
    assert estimate.n == 20
    assert "Wilson" in estimate.method
    assert "bootstrap" in proportion([1.0, 0.0, 0.5, math.nan]).method


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_differences_of_proportions_published_numbers(first, second, low, high):
    found = difference(wilson(*first), wilson(*second))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_difference_of_symmetric_intervals_is_the_root_of_squares_and_exact_numbers_have_none():
    # 0.5 +- 0.3 and 0.1 +- 0.4: half width sqrt(0.09 + 0.16) = 0.5
    found = difference(Estimate(0.5, 0.2, 0.8, 40), Estimate(0.1, -0.3, 0.5, 30))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.4, -0.1, 0.9, 30))
    exact = difference(Estimate(0.5, n=9), Estimate(0.1, 0.0, 0.3, 9))
    assert (exact.low, exact.high) == pytest.approx((0.2, 0.5))
    assert math.isnan(difference(Estimate(math.nan), Estimate(0.1)).value)


def test_shares_that_never_vary_keep_a_width():
    # a half on each of 30 prompts: z^2 = 3.8415, half width 1.96 sqrt(.25/30 + 3.8415/3600) / (1 + 3.8415/30) = .1684
    found = share(np.full(30, 0.5))
    assert (found.low, found.high) == pytest.approx((0.5 - 0.1684, 0.5 + 0.1684), abs=1e-4)
    # no row either way: the upper end of 0 of 30 is 3.8415 / 33.8415 = 0.1135, on both sides
    none = signed_share(np.zeros(30))
    assert (none.value, none.low, none.high) == pytest.approx((0.0, -0.1135, 0.1135), abs=1e-4)
    # each of 30 prompts by 1: Wilson's 30 of 30, less 0 of 30 above: 1 - hypot(.1135, .1135), and never beyond 1
    every = signed_share(np.ones(30))
    assert (every.low, every.high) == pytest.approx((1 - 0.1605, 1.0), abs=1e-4)


def test_signed_shares_that_go_both_ways_are_the_bootstraps():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 0.0, 1.0], 200)
    found = signed_share(x, seed=3, resamples=300)
    assert "bootstrap" in found.method
    # sd of a mean of 200: sqrt(2/3 / 200) = 0.0577, so 1.96 of it on either side
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.0577, rel=0.15)
    assert math.isnan(signed_share([]).value)
