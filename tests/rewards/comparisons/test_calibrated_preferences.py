"""Stated log-odds through a calibrator: deviations are carried along, sets abstain, details are added to."""

import numpy as np
import pytest

from plaudit.rewards.base import Outcome
from plaudit.rewards.calibrators import Conformal, Temperature
from plaudit.rewards.comparisons.calibrated import calibrated_preferences

SCORED = np.zeros(3, dtype=np.int8)


def test_a_small_deviation_is_carried_by_the_slope_of_the_map():
    # p = sigmoid(m) and q = sigmoid(a m): dq / dp = a q (1 - q) / (p (1 - p)); at m = 1, a = 1/2: 0.5 * 0.2350 / 0.1966
    margin, std = np.array([1.0]), np.array([1e-4])
    said = calibrated_preferences(Temperature(0.5, 60), margin, SCORED[:1], [{}], std=std)
    assert said.probability[0] == pytest.approx(0.62246, abs=1e-5)
    assert said.std[0] == pytest.approx(1e-4 * 0.5 * 0.23500 / 0.19661, rel=1e-3)


def test_an_identity_keeps_a_large_deviation_near_one_half():
    # at m = 0: s = std / 0.25 = 0.4, and (sigmoid(0.4) - sigmoid(-0.4)) / 2 = 0.09869
    said = calibrated_preferences(Temperature(1.0, 60), np.zeros(1), SCORED[:1], [{}], std=np.array([0.1]))
    assert said.std[0] == pytest.approx(0.09869, abs=1e-5)


def test_what_does_not_count_has_neither_probability_nor_deviation():
    outcome = np.array([Outcome.SCORED, Outcome.INSTRUMENT_FAULT, Outcome.TIMED_OUT], dtype=np.int8)
    margin = np.array([2.0, np.nan, np.nan])
    detail = [{"log_odds": 2.0}, {"error": "overflow"}, {}]
    said = calibrated_preferences(Temperature(1.0, 60), margin, outcome, detail, std=np.array([0.1, np.nan, np.nan]))
    assert np.isnan(said.probability).tolist() == np.isnan(said.std).tolist() == [False, True, True]
    assert said.detail[1] == {"error": "overflow"}
    assert said.outcome.tolist() == outcome.tolist()


def test_a_set_that_holds_both_abstains_and_is_told():
    # nine pairs are ranked right, one wrong by 5. The p-value of "second" at margin m is
    # (1 + wrong ones by at least m) / 11: 2/11 at 0.01, above 10%, and 1/11 at 20, below
    fitted = Conformal.fit([1.0, 2, 3, 4, 6, 7, 8, 9, 10, -5], level=0.9)
    said = calibrated_preferences(fitted, np.array([0.01, 20.0, np.nan]), SCORED, [{}, {}, {}])
    assert said.outcome.tolist()[:2] == [Outcome.ABSTAINED, Outcome.SCORED]
    assert said.detail[0]["set"] == ["first", "second"]
    assert said.detail[1]["set"] == ["first"]
    assert "set" not in said.detail[2]
    assert np.isnan(said.probability).tolist() == [True, False, True]
    # a fault of the policy's own is never excused by an honest "I cannot say"
    faults = np.full(1, Outcome.POLICY_FAULT, dtype=np.int8)
    assert calibrated_preferences(fitted, np.array([0.01]), faults, [{}]).outcome.tolist() == [Outcome.POLICY_FAULT]
