import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from plaudit.errors import ShapeError
from plaudit.stats.correlation import (
    centred,
    kendall_tau,
    partial_within_group,
    within_group_correlation,
    within_group_std,
)


def test_centred_by_hand():
    out = centred([1.0, 3.0, 10.0, math.nan, 5.0], ["a", "a", "b", "a", "c"])
    assert out[:2] == pytest.approx([-1.0, 1.0])
    assert np.isnan(out[2:]).all()  # alone in its group, unknown, alone


def test_within_group_std_by_hand():
    # {1, 3}: SS 2, df 1; {0, 0, 3}: SS 6, df 2; sqrt(8 / 3)
    estimate = within_group_std([1, 3, 0, 0, 3, 9], ["a", "a", "b", "b", "b", "alone"])
    assert estimate.value == pytest.approx(math.sqrt(8 / 3))
    assert estimate.n == 2


def test_one_group_is_plain_pearson_and_spearman():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    groups = np.zeros(30)
    assert within_group_correlation(x, y, groups).value == pytest.approx(pearsonr(x, y).statistic)
    assert within_group_correlation(x, y, groups, rank=True).value == pytest.approx(spearmanr(x, y).statistic)


@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6))
def test_shifts_a_group_do_not_matter(shifts):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 5)
    x, y = rng.normal(size=30), rng.normal(size=30)
    base = within_group_correlation(x, y, groups, resamples=20).value
    moved = within_group_correlation(x + np.array(shifts)[groups], y, groups, resamples=20).value
    assert moved == pytest.approx(base, abs=1e-6)


def test_pooled_and_within_may_have_opposite_signs():
    # Simpson: falls within both groups, rises between them
    x, y = [0, 1, 10, 11], [1, 0, 11, 10]
    assert pearsonr(x, y).statistic > 0.9
    assert within_group_correlation(x, y, ["a", "a", "b", "b"]).value == pytest.approx(-1.0)


def test_partial_equals_the_correlation_of_residuals():
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    x, y = z + rng.normal(size=200), z + rng.normal(size=200)
    design = np.stack([np.ones(200), z], axis=1)
    rx, ry = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    expected = pearsonr(rx, ry).statistic
    assert partial_within_group(x, y, z, np.zeros(200)).value == pytest.approx(expected, abs=1e-9)


def test_partial_has_no_value_where_truth_explains_everything():
    rng = np.random.default_rng(0)
    z, groups = rng.normal(size=40), np.repeat(np.arange(10), 4)
    assert math.isnan(partial_within_group(z * 2, rng.normal(size=40), z, groups).value)


def test_nan_is_left_out_before_centring():
    x, y, groups = [1.0, 2.0, 3.0, 100.0], [1.0, 2.0, 3.0, math.nan], ["a"] * 4
    assert within_group_correlation(x, y, groups).value == pytest.approx(1.0)


def test_constant_has_no_correlation():
    assert math.isnan(within_group_correlation([1, 1, 1, 1], [1, 2, 1, 2], ["a", "a", "b", "b"]).value)


def test_kendall_by_hand():
    # 1234 against 1243: five concordant pairs, one discordant: 4/6
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 3, math.nan], [3, 2, 1, 0]) == pytest.approx(-1.0)
    assert math.isnan(kendall_tau([1.0], [1.0]))
    with pytest.raises(ShapeError, match="kendall_tau"):
        kendall_tau([1.0], [1.0, 2.0])
