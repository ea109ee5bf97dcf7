import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.stats.calibration import (
    ReliabilityCurve,
    adaptive_calibration_error,
    calibration_error,
    calibration_estimate,
    calibration_floor,
    equal_mass_bins,
    fold,
    maximum_calibration_error,
    reliability_curve,
)


def test_the_maximum_is_that_of_the_worst_bin():
    confidence, correct = [0.1, 0.2, 0.6, 0.8, 0.9, 1.0], [0, 1, 1, 1, 1, 0]
    # bins of two: |0.15 - 0.5|, |0.7 - 1|, |0.95 - 0.5|
    assert maximum_calibration_error(confidence, correct, n_bins=3) == pytest.approx(0.45)
    assert calibration_error(confidence, correct, n_bins=3) == pytest.approx((0.35 + 0.3 + 0.45) / 3)
    assert maximum_calibration_error(confidence, correct, n_bins=1) == pytest.approx(4 / 6 - 0.6)
    assert maximum_calibration_error([0.5] * 4, [0, 1, 0.5, np.nan]) == 0
    assert np.isnan(maximum_calibration_error([], []))


def test_fold():
    confidence, correct = fold([0.9, 0.2, 0.5, math.nan])
    assert confidence[:3] == pytest.approx([0.9, 0.8, 0.5])
    assert correct[:3] == pytest.approx([1.0, 0.0, 0.5])
    assert math.isnan(confidence[3])
    assert math.isnan(correct[3])


def test_error_by_hand():
    # bins {0.6, 0.6} right half the time: gap 0.1; {0.9, 0.9} always right: gap 0.1; ECE 0.1, RMS 0.1
    c, y = [0.6, 0.6, 0.9, 0.9], [1, 0, 1, 1]
    assert calibration_error(c, y, n_bins=2) == pytest.approx(0.1)
    assert calibration_error(c, y, n_bins=2, norm=2) == pytest.approx(0.1)
    # debiased, norm 2: bin 1 gives 0.01 - 0.25/1, bin 2 gives 0.01 - 0: mean -0.115, floored at 0
    assert calibration_error(c, y, n_bins=2, norm=2, debias=True) == 0.0
    # four rows a bin, right 3 of 4 at 0.55: gap^2 0.04, noise 0.1875/3 = 0.0625
    # and 2 of 4 at 0.95: gap^2 0.2025, noise 0.25/3: mean of (-0.0225, 0.11917) = 0.04833, root 0.21985
    c, y = [0.55] * 4 + [0.95] * 4, [1, 1, 1, 0, 1, 1, 0, 0]
    assert calibration_error(c, y, n_bins=2, norm=2, debias=True) == pytest.approx(0.21985, abs=1e-5)


@pytest.mark.parametrize("n_bins", [1, 5, 10, 20])
def test_who_knows_all_and_who_knows_nothing_are_calibrated(n_bins):
    # entry 130: probabilities equal to the labels, and 1/2 throughout on balanced labels
    label = [1, 0, 1, 1, 0, 0, 1, 0]
    for error in (calibration_error, adaptive_calibration_error):
        assert error(label, label, n_bins=n_bins) == 0
        assert error([0.5] * 8, label, n_bins=n_bins) == 0
        assert error([0.5] * 4, [1, 1, 1, 0], n_bins=n_bins) == 0.25  # of labels that are not balanced
    # and pairs with the chosen one first: always sure of it, never sure of either
    assert calibration_error(*fold([1.0] * 8), n_bins=n_bins) == 0
    assert calibration_error(*fold([0.5] * 8), n_bins=n_bins) == 0


def test_a_calibrated_model_shows_the_published_floor_at_500():
    # LAB.md: about 0.045 at n = 500
    confidence = np.random.default_rng(0).uniform(0.5, 1.0, 500)
    floor = calibration_floor(confidence, seed=0)
    assert floor.value == pytest.approx(0.045, abs=0.004)
    assert floor.low < floor.value < floor.high


@pytest.mark.parametrize("norm", [1, 2])
def test_debiasing_takes_off_the_floor_and_keeps_the_error(norm):
    rng = np.random.default_rng(1)
    plain, debiased, tilted = [], [], []
    for _ in range(60):
        c = rng.uniform(0.5, 0.9, 500)
        y = (rng.random(500) < c).astype(float)
        plain.append(calibration_error(c, y, norm=norm))
        debiased.append(calibration_error(c, y, norm=norm, debias=True))
        wrong = (rng.random(500) < c - 0.1).astype(float)
        tilted.append(calibration_error(c, wrong, norm=norm, debias=True))
    assert np.mean(debiased) < 0.62 * np.mean(plain)
    assert np.mean(tilted) == pytest.approx(0.1, abs=0.01)  # the true error is 0.1 everywhere


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.75, 0.99]), st.integers(0, 1)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_order_of_rows_does_not_matter(rows, random):
    shuffled = rows[:]
    random.shuffle(shuffled)
    first, second = (calibration_error(*np.array(r, dtype=float).T, n_bins=4) for r in (rows, shuffled))
    assert first == pytest.approx(second)
    assert 0 <= first <= 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(1, 12))
def test_bins_are_monotone_and_not_empty(values, n_bins):
    x = np.array(values)
    bins = equal_mass_bins(x, n_bins=n_bins)
    assert set(bins) == set(range(bins.max() + 1))
    assert bins.max() < n_bins
    order = np.argsort(x, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    for value in set(values):
        assert len(set(bins[x == value])) == 1


def test_bins_are_of_equal_mass_without_ties():
    assert list(np.bincount(equal_mass_bins(np.arange(100) / 100, n_bins=10))) == [10] * 10


def test_reliability_curve():
    rng = np.random.default_rng(0)
    c = rng.uniform(0.5, 1.0, 2000)
    honest = reliability_curve(c, (rng.random(2000) < c).astype(float), seed=0)
    inside = [lo <= a <= hi for lo, a, hi in zip(honest.band_low, honest.accuracy, honest.band_high, strict=True)]
    assert sum(inside) >= 8
    assert sum(honest.count) == 2000
    boastful = reliability_curve(c, (rng.random(2000) < 0.6).astype(float), seed=0)
    assert boastful.accuracy[-1] < boastful.band_low[-1]
    assert ReliabilityCurve.from_dict(honest.to_dict()) == honest


def test_nothing_known():
    assert math.isnan(calibration_error([math.nan], [1.0]))
    assert calibration_floor([math.nan]).n == 0
    assert reliability_curve([], []).count == ()


def test_nan_rows_are_left_out():
    assert calibration_error([0.7, math.nan, 0.9], [1, 0, math.nan]) == pytest.approx(0.3)


def test_errors():
    with pytest.raises(InputError, match=r"a confidence is 1\.5"):
        calibration_error([1.5], [1])
    with pytest.raises(ShapeError, match="1 confidences and 2 labels"):
        calibration_error([0.5], [1, 0])
    with pytest.raises(InputError, match="n_bins is 0"):
        calibration_error([0.5], [1], n_bins=0)


def test_estimate_is_the_error_with_an_interval_that_holds_it():
    rng = np.random.default_rng(3)
    c = rng.uniform(0.5, 0.9, 400)
    y = (rng.random(400) < c).astype(float)
    for debias in (False, True):
        estimate = calibration_estimate(c, y, seed=0, debias=debias, resamples=500)
        assert estimate.value == pytest.approx(calibration_error(c, y, debias=debias))
        assert estimate.low <= max(estimate.value, 0) <= estimate.high
        assert estimate.n == 400


def test_interval_covers_the_true_error():
    # accuracy is confidence - 0.15 everywhere, so the true error is 0.15; 60 data sets of 300 pairs, 95%
    # asked for
    rng, covered = np.random.default_rng(0), 0
    for trial in range(60):
        c = rng.uniform(0.6, 0.95, 300)
        y = (rng.random(300) < c - 0.15).astype(float)
        estimate = calibration_estimate(c, y, seed=trial, debias=True, resamples=300)
        covered += estimate.low <= 0.15 <= estimate.high
    assert covered >= 50


def test_an_interval_holds_a_debiased_error_below_zero():
    # 30 coins in one bin: gap 0, variance 0.25 / 29; the folded normal's mean, sd sqrt(2 / pi), is taken off
    found = calibration_estimate(np.full(30, 0.5), np.full(30, 0.5), debias=True)
    assert found.value == pytest.approx(-math.sqrt(0.25 / 29 * 2 / math.pi))
    assert found.low <= found.value <= found.high
