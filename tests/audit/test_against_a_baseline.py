"""What got worse, from two numbers with their own intervals. Expected ends are worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from plaudit.audit.against import compare_audits, worse
from plaudit.audit.battery import audit_reward
from plaudit.audit.checks import Check
from plaudit.audit.config import AuditConfig
from plaudit.records import Message, Pair
from plaudit.rewards.base import RewardBatch
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson


@pytest.fixture(scope="module")
def audit():
    class Length:
        name, scope, bounds, fingerprint = "length", "sample", (0.0, 100.0), "length"

        def __call__(self, samples):
            return RewardBatch(np.array([float(len(s.text)) for s in samples]))

    pairs = [Pair((Message("user", f"q{i}"),), "longer", "short") for i in range(5)]
    skip = ("bias", "attack", "consistency", "fairness", "calibration")
    return audit_reward(pairs, Length(), config=AuditConfig(resamples=10, skip=skip))


def _change(audit, old, new, *, threshold=0.1, harm="above", fault=""):
    then = Check("attack/position", "says", old, threshold, harm)
    now = replace(then, evidence=new, fault=fault)
    (change,) = compare_audits(replace(audit, checks=(then,)), replace(audit, checks=(now,)))
    return change


def test_none_of_sixty_twice_is_undecided_at_a_margin_of_five_points(audit):
    # each ends at z^2 / (60 + z^2) = 3.8415 / 63.8415 = .0602; the loss from 0 - .0602 to 0 + .0602, the margin is .05
    change = _change(audit, wilson(0, 60), wilson(0, 60))
    assert (change.loss.low, change.loss.high) == pytest.approx((-0.0602, 0.0602), abs=1e-4)
    assert change.standing == "undecided"
    # 3.8415 / 103.8415 = .0370
    assert _change(audit, wilson(0, 60), wilson(0, 100)).standing == "no worse"


def test_always_right_twice_is_undecided_too(audit):
    # half of the least threshold, .025, is the margin of what is harmful below; 60 of 60 begins at 1 - .0602
    change = _change(audit, wilson(60, 60), wilson(60, 60), threshold=0.5, harm="below")
    assert (change.loss.value, change.loss.high, change.margin) == pytest.approx((0.0, 0.0602, 0.025), abs=1e-4)
    assert change.standing == "undecided"


def test_ends_of_their_own_count_on_their_own_side(audit):
    # loss .2; low: .2 - hypot(.3 - .1, .35 - .1) = -.1202, high: .2 + hypot(.5 - .3, .1 - .08) = .4010
    change = _change(audit, Estimate(0.1, 0.08, 0.35, 90), Estimate(0.3, 0.1, 0.5, 90))
    assert (change.loss.low, change.loss.high) == pytest.approx(
        (0.2 - math.hypot(0.2, 0.25), 0.2 + math.hypot(0.2, 0.02))
    )
    # the other way round, of what is harmful below: harm falls from -.1 to -.3
    change = _change(audit, Estimate(0.1, 0.08, 0.35, 90), Estimate(0.3, 0.1, 0.5, 90), harm="below")
    assert (change.loss.low, change.loss.high) == pytest.approx(
        (-0.2 - math.hypot(0.2, 0.02), -0.2 + math.hypot(0.2, 0.25))
    )


def test_what_is_harmful_on_both_sides_is_compared_by_its_size(audit):
    # -.15 and .15 are as large: no loss; sizes .1 to .2 each, so 0 -+ hypot(.05, .05) = .0707; the margin is .1
    change = _change(
        audit, Estimate(-0.15, -0.2, -0.1, 90), Estimate(0.15, 0.1, 0.2, 90), threshold=0.2, harm="outside"
    )
    assert (change.loss.value, change.loss.high) == pytest.approx((0.0, 0.0707), abs=1e-4)
    assert change.standing == "no worse"
    # an interval that holds 0: sizes from 0 to .3
    change = _change(
        audit, Estimate(0.0, -0.01, 0.01, 90), Estimate(-0.1, -0.3, 0.1, 90), threshold=0.2, harm="outside"
    )
    assert (change.loss.low, change.loss.high) == pytest.approx((0.1 - math.hypot(0.1, 0.01), 0.3))


def test_what_has_become_a_fault_is_worse_whatever_the_interval(audit):
    change = _change(
        audit,
        Estimate(0.52, 0.45, 0.6, 60),
        Estimate(0.5, 0.5, 0.5, 60),
        threshold=0.5,
        harm="below",
        fault="a constant",
    )
    assert (change.standing, change.why) == ("worse", "a constant")
    assert worse([change]) == (change,)
    # the same constant, stored before faults had a name
    half = Estimate(0.5, 0.5, 0.5, 60)
    assert _change(audit, half, half, threshold=0.5, harm="below", fault="a constant").standing == "no worse"


def test_a_share_that_dropped_its_end_for_its_light_has_it_again(audit):
    # all five pairs have a reward: shown as 0 [0, 0], and up to 3.8415 / 8.8415 = .4345 in truth
    (change,) = [c for c in compare_audits(audit, audit) if c.name == "accuracy/unscored"]
    assert (change.loss.low, change.loss.high) == pytest.approx((-0.4345, 0.4345), abs=1e-4)
    assert change.standing == "undecided"
