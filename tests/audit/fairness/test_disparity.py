"""Performance-scaled and equity-scaled measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.audit.fairness.disparity import disparity_estimates, equity_scaled, performance_scaled
from plaudit.errors import InputError, ShapeError


def test_the_published_example():
    # groups 0.9 and 0.7 around 0.8: standard deviation 0.1, range 0.2, sum of distances 0.2
    assert performance_scaled(0.8, [0.9, 0.7]) == pytest.approx((0.1 / 0.8, 0.2 / 0.8))
    assert equity_scaled(0.8, [0.9, 0.7]) == pytest.approx(0.8 / 1.2)
    assert equity_scaled(0.8, [0.9, 0.7], spread="std") == pytest.approx(0.8 / 1.1)
    assert equity_scaled(0.8, [0.9, 0.7], alpha=0.0) == 0.8


@given(st.floats(0.1, 1.0), st.integers(1, 6))
def test_even_groups_lose_nothing(overall, k):
    assert performance_scaled(overall, [overall] * k) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert equity_scaled(overall, [overall] * k) == pytest.approx(overall)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8), st.floats(0.05, 1.0))
def test_the_order_of_groups_does_not_matter_and_unevenness_only_costs(groups, overall):
    assert equity_scaled(overall, groups) == pytest.approx(equity_scaled(overall, groups[::-1]))
    assert equity_scaled(overall, groups) <= overall + 1e-12
    assert performance_scaled(overall, groups)[0] <= performance_scaled(overall, groups)[1] + 1e-12


def test_nothing_to_divide_by_is_not_a_number():
    assert np.isnan(performance_scaled(0.0, [0.1, 0.2])).all()
    assert np.isnan(performance_scaled(0.5, [])).all()
    with pytest.raises(InputError, match="alpha is -1"):
        equity_scaled(0.5, [0.5], alpha=-1.0)


def test_estimates_hold_the_true_disparity_and_pool_nothing_away():
    rng = np.random.default_rng(0)
    groups = np.array(["a"] * 2000 + ["b"] * 2000 + ["c"] * 10)
    right = np.where(groups == "a", rng.random(4010) < 0.9, rng.random(4010) < 0.7).astype(float)
    found = disparity_estimates(right, groups.tolist())
    assert set(found.groups) == {"a", "b"}
    assert found.too_small == {"c": 10}
    assert found.psd_max.low < 0.2 / 0.8 < found.psd_max.high
    assert found.psd_mean.low < 0.125 < found.psd_mean.high
    assert found.equity_scaled.low < 0.8 / 1.2 < found.equity_scaled.high
    assert found.overall.value == pytest.approx(right.mean())


def test_rows_without_a_reward_leave_their_group():
    right = np.array([1.0, np.nan, 0.0, 1.0] * 20)
    found = disparity_estimates(right, ["a", "a", "b", "b"] * 20, min_group=20)
    assert found.groups["a"].value == 1.0
    assert found.groups["b"].value == 0.5
    assert found.psd_max.value == pytest.approx(0.5 / right[~np.isnan(right)].mean())


def test_one_group_has_no_disparity_and_wrong_lengths_are_refused():
    assert np.isnan(disparity_estimates(np.ones(50), ["a"] * 50).psd_max.value)
    with pytest.raises(ShapeError, match="2 groups for 3 values"):
        disparity_estimates(np.ones(3), ["a", "b"])


def test_a_mean_of_zero_has_no_share():
    """As `performance_scaled`: NaN, and no warning (warnings are errors here)."""
    always_wrong = disparity_estimates(np.zeros(100), ["a", "b"] * 50)
    cancelling = disparity_estimates(np.tile([-1.0, 1.0], 50), ["a", "b"] * 50)  # margins whose mean is 0
    for found in (always_wrong, cancelling):
        for measure in (found.psd_max, found.psd_mean, found.equity_scaled):
            assert np.isnan([measure.value, measure.low, measure.high]).all()
            assert measure.method == "the overall mean is 0"
    assert always_wrong.groups["a"].value == 0.0
    # right once: .02 and 0 around .01; resamples without it have no share either
    assert disparity_estimates(np.eye(1, 100)[0], ["a", "b"] * 50).psd_max.value == pytest.approx(2.0)


def test_intervals_stay_where_the_measures_can_be():
    rng = np.random.default_rng(0)
    for seed in range(20):
        right = (rng.random(240) < 0.95).astype(float)
        found = disparity_estimates(right, ["a", "b", "c", "d"] * 60, seed=seed, resamples=200)
        assert found.psd_max.low >= 0
        assert found.psd_mean.low >= 0
        assert 0 <= found.equity_scaled.low <= found.equity_scaled.high <= 1


def _covered(sizes, shares, times=60):
    """How often the intervals of PSD_max, PSD_mean and the equity-scaled mean hold the truth, of so many data sets."""
    sizes, shares = np.array(sizes), np.array(shares)
    mean = (sizes * shares).sum() / sizes.sum()
    truth = ((shares.max() - shares.min()) / mean, shares.std() / mean, mean / (1 + np.abs(shares - mean).sum()))
    groups, hits = np.repeat([f"g{i}" for i in range(len(sizes))], sizes).tolist(), np.zeros(3)
    for seed in range(times):
        right = np.random.default_rng(seed).random(sizes.sum()) < np.repeat(shares, sizes)
        d = disparity_estimates(right.astype(float), groups, seed=seed, resamples=300)
        hits += [e.low <= t <= e.high for e, t in zip((d.psd_max, d.psd_mean, d.equity_scaled), truth, strict=True)]
    return hits


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [([60] * 5, [0.8] * 5), ([60] * 2, [0.8] * 2), ([60] * 5, [0.9, 0.8, 0.8, 0.8, 0.6]), ([60] * 2, [0.9, 0.7])],
)
def test_intervals_cover_the_disparity_of_equal_groups_too(sizes, shares):
    # fewer than 52 of 60 have probability 0.003 at 95%; recentred quantiles alone held 0 for five equal groups 13 times
    assert (_covered(sizes, shares) >= 52).all()
