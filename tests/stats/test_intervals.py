import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.stats.intervals import proportion, t_interval, wilson


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
    assert 0 <= there.low <= there.value + 1e-12
    assert there.value - 1e-12 <= there.high <= 1


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
