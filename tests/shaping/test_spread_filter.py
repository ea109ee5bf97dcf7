"""Groups whose rewards hardly differ are dropped, once the running spread is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plaudit.errors import InputError
from plaudit.shaping.filtering import SpreadFilter, group_spread

FLAT, WIDE = np.full((1, 4), 0.5), np.array([[0.0, 1.0, 0.0, 1.0]])


def run(filter, reward, steps):
    for _ in range(steps):
        filter = filter.updated(reward)
    return filter


def test_spread_by_hand():
    # (0, 1, 0, 1) deviates by 1/2; of (0, NaN, 1) two count; one reward alone has no spread
    rewards = np.array([[0, 1, 0, 1], [0, np.nan, 1, np.nan], [1, np.nan, np.nan, np.nan]])
    assert group_spread(rewards).tolist()[:2] == [0.5, 0.5]
    assert np.isnan(group_spread(rewards)[2])


def test_a_constant_group_is_filtered_from_the_stated_step():
    both = np.concatenate([FLAT, WIDE])
    state = SpreadFilter()
    assert state.mean is None
    state = run(state, both, 5)
    assert state.mean is None  # the mean runs from step 6
    state = run(state, both, 1)
    assert state.mean == 0.25  # (0 + 1/2) / 2
    assert state.keep(both).all()  # step 7: nothing is dropped before step 11
    state = run(state, both, 4)
    assert state.keep(both).tolist() == [False, True]  # step 11: 0 < 0.125 <= 0.5


def test_the_running_mean_by_hand():
    state = SpreadFilter(decay=0.5, ema_from=1).updated(WIDE).updated(FLAT)
    assert state.mean == 0.25  # 1/2 of 1/2 + 1/2 of 0
    assert state.step == 2
    nothing = np.array([[np.nan, np.nan, 1.0, np.nan]])
    assert state.updated(nothing).mean == 0.25  # what does not count does not enter
    assert SpreadFilter(ema_from=1, filter_from=1).updated(FLAT).keep(FLAT).all()  # a mean of 0 says nothing


def test_a_group_with_fewer_than_two_rewards_is_dropped():
    state = SpreadFilter(ratio=0.0, ema_from=1, filter_from=1).updated(WIDE)
    lonely = np.array([[np.nan, np.nan, 1.0, np.nan]])
    assert state.keep(np.concatenate([lonely, FLAT, WIDE])).tolist() == [False, False, True]


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(0, 1)), st.floats(0.1, 10))
def test_scale_and_shift_of_all_rewards_do_not_matter(reward, scale):
    steps = SpreadFilter(ema_from=1, filter_from=1)
    plain, other = steps.updated(reward), steps.updated(scale * reward + 3)
    margin = np.abs(group_spread(reward) - 0.5 * (plain.mean or 0.0))
    clear = (margin > 1e-9) & (group_spread(reward) > 1e-9)
    assert (plain.keep(reward) == other.keep(scale * reward + 3))[clear].all()


@pytest.mark.parametrize("options", [{"ratio": -1.0}, {"decay": 1.0}, {"ema_from": 0}])
def test_refusals(options):
    with pytest.raises(InputError, match="spread filter"):
        SpreadFilter(**options)
