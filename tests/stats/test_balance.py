import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.stats import (
    adaptive_calibration_error,
    balance_estimate,
    balance_gains,
    balance_score,
    calibration_error,
    calibration_estimate,
    calibration_floor,
    fold,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=40)


def test_by_hand():
    # confidences .8, .7, .6 (folded), right, wrong, right: gains .2, -.7, .4, mean -.1/3
    gains = balance_gains([0.8, 0.3, 0.6], [1, 1, 1])
    assert gains.tolist() == [pytest.approx(0.2), pytest.approx(-0.7), pytest.approx(0.4)]
    assert balance_score([0.8, 0.3, 0.6], [1, 1, 1], signed=True) == pytest.approx(-0.1 / 3)
    assert balance_score([0.8, 0.3, 0.6], [1, 1, 1]) == pytest.approx(0.1 / 3)
    assert balance_gains([0.5, np.nan, 0.8], [1, 1, 0.5]).tolist()[0] == 0.0
    assert np.isnan(balance_gains([0.5, np.nan, 0.8], [1, 1, 0.5])[1])
    assert balance_gains([0.8], [0.5])[0] == pytest.approx(-0.3)  # a tie is half a win
    assert np.isnan(balance_score([], []))
    with pytest.raises(InputError, match=r"balance: probability 0 is 1\.2"):
        balance_score([1.2], [1])


def test_a_constant_base_rate_has_balance_zero_and_a_wrong_constant_its_distance():
    y = np.repeat([1.0, 0.0], [7, 3])
    assert balance_score(np.full(10, 0.7), y) == pytest.approx(0.0, abs=1e-12)
    assert balance_score(np.full(10, 0.9), y) == pytest.approx(0.2)  # |q - p|


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_turning_a_row_round_changes_nothing_and_it_is_accuracy_minus_confidence(rows):
    p, y = np.array(rows).T
    assert balance_score(1 - p, 1 - y, signed=True) == pytest.approx(balance_score(p, y, signed=True), abs=1e-9)
    confidence, _ = fold(p)
    accuracy = np.mean(np.where(p > 0.5, y, np.where(p < 0.5, 1 - y, 0.5)))
    assert balance_score(p, y, signed=True) == pytest.approx(accuracy - confidence.mean(), abs=1e-9)


def test_the_blind_spot_and_that_the_binned_error_sees_it():
    # over-confident by .2 on one half, under-confident by .2 on the other: they cancel, and the bins do not
    p = np.repeat([0.9, 0.6], 100)
    y = np.concatenate([np.repeat([1.0, 0.0], [70, 30]), np.repeat([1.0, 0.0], [80, 20])])
    assert balance_score(p, y) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(*[p, y], n_bins=2) == pytest.approx(0.2)


def test_it_is_nearer_to_the_truth_than_binned_errors():
    """The catalogue's check: Beta(2, 2) probabilities, 300 rows, calibrated and at temperature 1/2."""
    rng, found = np.random.default_rng(0), {1.0: [], 0.5: []}
    for _ in range(300):
        q = rng.beta(2, 2, size=300)
        y = (rng.random(300) < q).astype(float)
        for temperature, rows in found.items():
            p = 1 / (1 + ((1 - q) / q) ** (1 / temperature))
            c, right = fold(p)
            correct = np.where(p > 0.5, y, 1 - y)
            truth = abs((np.maximum(q, 1 - q) - c).mean())
            rows.append((balance_score(p, y), calibration_error(c, correct), truth))
            del right
    calm, sharp = (np.mean(found[t], axis=0) for t in (1.0, 0.5))
    assert calm[0] < calm[1]  # the truth is 0
    assert abs(sharp[0] - sharp[2]) < abs(sharp[1] - sharp[2])
    # the mean of |N(0, s)| with s^2 = E[c (1 - c)] / 300 and E[q (1 - q)] = 1/5 for Beta(2, 2): sqrt(2 / (1500 pi))
    assert calm[0] == pytest.approx(np.sqrt(2 / (1500 * np.pi)), abs=0.002)


def test_intervals():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, size=400)
    y = (rng.random(400) < p).astype(float)
    signed, absolute = balance_estimate(p, y, signed=True), balance_estimate(p, y)
    assert signed.low < 0 < signed.high
    assert (absolute.low, absolute.high) == (0.0, max(-signed.low, signed.high))
    sure = balance_estimate(np.full(400, 0.99), y, np.repeat(np.arange(100), 4))
    assert (sure.n, sure.low > 0) == (100, True)
    below = balance_estimate(np.full(400, 0.99), y, np.repeat(np.arange(100), 4), signed=True)
    assert (sure.low, sure.high) == (-below.high, -below.low)


def test_adaptive_error_by_hand():
    # two bins a class, of two rows each: class 1 has means .3 (0 of 2) and .75 (2 of 2), gaps .3 and .25; class 0
    # mirrors it: mean .275
    p, y = np.array([0.2, 0.4, 0.7, 0.8]), [0, 0, 1, 1]
    assert adaptive_calibration_error(p, y, n_bins=2) == pytest.approx(0.275)
    assert adaptive_calibration_error(np.stack([1 - p, p], axis=1), y, n_bins=2) == pytest.approx(0.275)
    three = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    # one bin a class: means .35, .25, .4; frequencies .5, 0, .5
    assert adaptive_calibration_error(three, [0, 2], n_bins=1) == pytest.approx((0.15 + 0.25 + 0.1) / 3)
    assert np.isnan(adaptive_calibration_error([], []))
    with pytest.raises(InputError, match="a label is no class number; give 0 to 1"):
        adaptive_calibration_error(p, [0, 0, 1, 2])


def test_bins_of_something_else():
    # binned by confidence, .6 (right) and .8 (wrong) stand apart: gaps .4 and .8; binned by a constant they share a
    # bin: mean confidence .7, accuracy .5
    c, y = np.repeat([0.6, 0.8], 10), np.repeat([1.0, 0.0], 10)
    assert calibration_estimate(c, y, n_bins=2, resamples=10).value == pytest.approx(0.6)
    assert calibration_estimate(c, y, by=np.zeros(20), n_bins=2, resamples=10).value == pytest.approx(0.2)
    assert calibration_floor(c, by=np.zeros(20)).value < calibration_floor(c, n_bins=10).value
