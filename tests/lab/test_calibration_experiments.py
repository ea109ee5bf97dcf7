"""Smoke runs of the experiments on calibration and stated confidence: the machinery, not the claims."""

import math
from dataclasses import replace

import numpy as np
import pytest

from plaudit.lab.experiments.training.confidence_calibration.experiment import (
    MORE,
    in_true_order,
    more_rows,
    stating_rows,
)
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.shaping import read_confidence
from plaudit.training.fitting import completions_of


def test_post_hoc_calibration(smoke):
    arms = smoke("post_hoc_calibration")
    least = arms["oracle"]["log_loss"]
    assert all(numbers["log_loss"] >= least - 1e-12 for numbers in arms.values())  # nothing beats the truth
    assert arms["oracle"]["calibration_error"] == pytest.approx(0.0, abs=1e-12)
    # a temperature keeps the order of one model's margins, or finds that it is worth nothing
    assert arms["temperature"]["accuracy"] in (arms["none"]["accuracy"], 0.5)
    assert arms["random"]["log_loss"] == pytest.approx(math.log(2), abs=0.1)


def test_conformal_coverage(smoke):
    arms = smoke("conformal_coverage")
    for numbers in arms.values():
        assert 0 <= numbers["coverage"] <= 1
        held = numbers["abstained"] + (1 - numbers["abstained"]) * numbers["single_coverage"]
        assert numbers["coverage"] == pytest.approx(held)  # a set with both always covers
    assert arms["oracle_reversed"]["accuracy"] == 1.0


def test_confidence_calibration(smoke):
    # one arm of each kind: what rows the others go on from is tested below
    arms = smoke("confidence_calibration", ("start", "continued", "ppo_m_lists", "oracle"))
    for numbers in arms.values():
        assert numbers["separation"] == pytest.approx(numbers["chosen_high"] - numbers["rejected_high"])
    assert arms["oracle"]["accuracy"] == 1.0
    assert len({tuple(numbers.values()) for numbers in arms.values()}) == 4  # four different rewards


PAIRS = [Pair(conversation(f"q{i}"), f"good {i}", f"bad {i}") for i in range(400)]


@pytest.mark.parametrize("arm", MORE)
def test_every_arm_goes_on_from_four_completions_a_pair(arm):
    rows = more_rows(arm, PAIRS, 0.6, np.random.default_rng(0))
    texts = [c for row in rows for c in completions_of(row)]
    assert len(texts) == 4 * len(PAIRS)
    assert all(read_confidence(text)[1] is not None for text in texts)


def test_test_pairs_are_in_true_order():
    rows = [replace(PAIRS[i], meta={"true_margin": m}) for i, m in enumerate((0.5, -0.5, 0.0))]
    assert [(r.chosen, r.rejected) for r in in_true_order(rows)] == [("good 0", "bad 0"), ("bad 1", "good 1")]


def test_a_correlation_is_what_it_says():
    for correlation in (0.0, 0.6, 1.0):
        rows = stating_rows(PAIRS, correlation, np.random.default_rng(1))
        higher = np.mean([read_confidence(r.chosen)[1] > read_confidence(r.rejected)[1] for r in rows])
        assert higher == pytest.approx((1 + correlation) / 2, abs=0.075)  # three standard errors of 400 draws
