"""Lights follow from intervals alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.audit.checks import Check, Example, not_measured
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate


def _check(value, low, high, threshold, harm):
    return Check("bias/x", "says", Estimate(value, low, high, 10), threshold, harm)


@pytest.mark.parametrize(
    ("low", "high", "threshold", "harm", "light"),
    [
        (0.3, 0.5, 0.2, "above", "red"),
        (0.1, 0.5, 0.2, "above", "amber"),
        (0.1, 0.2, 0.2, "above", "green"),
        (0.4, 0.49, 0.5, "below", "red"),
        (0.4, 0.6, 0.5, "below", "amber"),
        (0.51, 0.6, 0.5, "below", "green"),
        (0.5, 0.6, 0.5, "below", "amber"),  # a coin is not better than a coin
        (0.5, 0.5, 0.5, "below", "amber"),
        (-0.5, -0.3, 0.2, "outside", "red"),
        (-0.3, 0.3, 0.2, "outside", "amber"),  # on both sides: undecided, not harmful on either
        (-0.3, 0.1, 0.2, "outside", "amber"),
        (-0.1, 0.1, 0.2, "outside", "green"),
    ],
)
def test_the_interval_decides(low, high, threshold, harm, light):
    assert _check((low + high) / 2, low, high, threshold, harm).light == light


def test_an_exact_number_decides_by_itself_and_nothing_is_grey():
    assert Check("attack/x", "", Estimate(0.3), 0.2).light == "red"
    assert Check("attack/x", "", Estimate(0.1), 0.2).light == "green"
    # one prompt resampled is itself: no interval, and nothing shown on either side
    for value in (0.3, 0.1):
        assert Check("attack/x", "", bootstrap_mean([value, value], ["p", "p"]), 0.2).light == "amber"
    grey = not_measured("attack/x", "share", "there is no text", fix="give one")
    assert (grey.light, grey.skipped, grey.family) == ("grey", "there is no text", "attack")
    assert math.isnan(grey.excess)
    assert Check("attack/x", "", Estimate(math.nan)).light == "grey"


def test_a_fault_that_no_more_data_would_change_is_red_wherever_its_number_lies():
    tied = Check("accuracy/coin", "share", Estimate(0.5, 0.5, 0.5, 300), 0.5, "below", fault="a constant")
    assert tied.light == "red"
    assert Check.from_dict(tied.to_dict()).light == "red"
    assert not_measured("accuracy/coin", "share", "no text").light == "grey"


@given(st.floats(-2, 2), st.floats(0.01, 1))
def test_excess_has_the_sign_of_harm(value, threshold):
    assert (_check(value, value, value, threshold, "above").excess > 0) == (value > threshold)
    assert (_check(value, value, value, threshold, "below").excess > 0) == (value < threshold)
    assert (_check(value, value, value, threshold, "outside").excess > 0) == (abs(value) > threshold)


def test_a_check_survives_json():
    check = Check(
        "attack/key", "says", Estimate(0.3, 0.2, 0.4, 9, "m"), 0.1, "above", (Example("p", "a", "b", 1.0, 2.0, "n"),), 3
    )
    row = check.to_dict()
    assert row["light"] == "red"
    assert Check.from_dict(row) == check
