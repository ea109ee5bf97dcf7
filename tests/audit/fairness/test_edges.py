"""Groups that are always right, or never: intervals keep a width. Expected numbers are Newcombe's, worked out by hand.

Wilson's interval of k of k begins at `k / (k + z^2)`: with z^2 = 3.8415 (95%) 30 of 30 begins at 0.8865 and 100 of 100
at 0.9630; with z^2 = 5.0239 (97.5%, two cells together) at 0.8566 and 0.9522.
"""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.audit.biases.gaps import edge_gap, group_gaps
from plaudit.audit.fairness.checks import Attribute, fairness_checks
from plaudit.audit.fairness.disparity import disparity_estimates
from plaudit.audit.fairness.parity import conditional_parity
from plaudit.audit.fairness.selection import preference_excess, score_gaps, selection_gaps
from plaudit.records import Message, Pair
from plaudit.rewards.base import RewardBatch

TWO = {"minority": 30, "majority": 100}


def _pairs(sizes=TWO):
    names = [g for g, n in sizes.items() for _ in range(n)]
    return [Pair((Message("user", f"q{i}"),), "yes", "no", meta={"g": g}) for i, g in enumerate(names)]


def _checks(pairs, right, **options):
    chosen, rejected = RewardBatch(np.where(right, 1.0, 0.0)), RewardBatch(np.where(right, 0.0, 1.0))
    checks = fairness_checks(pairs, chosen, rejected, [Attribute("g")], **options)
    return {c.name: c for c in checks if c.light != "grey"}


def test_thirty_of_thirty_are_no_proof_of_always():
    # a group that is right in 93% shows thirty of thirty in 0.93^30 = 11% of the cases
    found = _checks(_pairs(), np.ones(130, dtype=bool))
    gap = found["fairness/g=minority"].evidence
    # low: -hypot(1 - .8566, 0), high: hypot(0, 1 - .9522)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.0, -0.1434, 0.0478), abs=1e-4)
    other = found["fairness/g=majority"].evidence
    assert (other.low, other.high) == pytest.approx((-0.0478, 0.1434), abs=1e-4)
    assert {c.light for c in found.values()} == {"amber"}
    # best minus worst over the accuracy of 1: up to the upper end of 100 of 100 minus 30 of 30, 1 - .8865
    spread = found["fairness/spread/g"].evidence
    assert (spread.value, spread.low, spread.high) == pytest.approx((0.0, 0.0, 0.1135), abs=1e-4)


def test_a_thousand_of_a_thousand_beside_ten_thousand_are_enough():
    found = _checks(_pairs({"a": 1000, "b": 4000}), np.ones(5000, dtype=bool))
    # 1 - 1000 / 1005.02 = 0.005
    assert {c.light for c in found.values()} == {"green"}
    assert found["fairness/g=a"].evidence.low == pytest.approx(-0.0050, abs=1e-4)


def test_a_group_that_is_always_failed_stays_red():
    found = _checks(_pairs(), np.array([False] * 30 + [True] * 100))
    gap = found["fairness/g=minority"].evidence
    # -1 up to -1 + hypot(.1434, .0478)
    assert (gap.low, gap.high) == pytest.approx((-1.0, -1 + 0.1512), abs=1e-3)
    assert found["fairness/g=minority"].light == "red"


def test_one_side_that_varies_keeps_its_bootstrap():
    x = np.array([1.0] * 30 + [1.0] * 80 + [0.0] * 20)
    inside, prompts = np.arange(130) < 30, np.arange(130)
    gap = edge_gap(x, inside, np.zeros(130, dtype=np.int64), prompts)
    # outside .8 +- 1.96 sqrt(.16 / 100) = .0784; low: .2 - hypot(.1135, .0784), high: .2 + .0784
    assert (gap.low, gap.high) == pytest.approx((0.2 - 0.1379, 0.2784), abs=0.012)
    both = np.where(np.arange(130) == 0, 0.0, x)
    assert edge_gap(both, inside, np.zeros(130, dtype=np.int64), prompts) is None
    assert edge_gap(3 * x, inside, np.zeros(130, dtype=np.int64), prompts) is None


def test_unequal_strata_cost_prompts():
    # inside: 1 row in stratum 0, 3 in 1; outside 3 and 1, which count 1/3 and 3: (4)^2 / (3/9 + 9) = 1.71 of 4 prompts,
    # rounded 2. Wilson: 4 of 4 from 4 / 7.8415 = .5101, 2 of 2 from 2 / 5.8415 = .3424
    inside = np.array([True] * 4 + [False] * 4)
    stratum = np.array([0, 1, 1, 1, 0, 0, 0, 1])
    gap = edge_gap(np.ones(8), inside, stratum, np.arange(8))
    assert (gap.low, gap.high) == pytest.approx((-0.4899, 0.6576), abs=1e-4)


def test_pairs_of_one_prompt_are_one():
    inside = np.repeat([True, False], 60)
    prompts = np.repeat(np.arange(60), 2)  # 30 prompts inside, 30 outside
    gap = edge_gap(np.ones(120), inside, np.zeros(120, dtype=np.int64), prompts)
    assert gap.low == pytest.approx(-0.1135, abs=1e-4)


def test_a_tie_everywhere_is_not_sure_of_equal_treatment():
    # a half of 30 and a half of 100: half widths .1684 and .0961; hypot = .1939
    gap = edge_gap(np.full(130, 0.5), np.arange(130) < 30, np.zeros(130, dtype=np.int64), np.arange(130))
    assert (gap.low, gap.high) == pytest.approx((-0.1939, 0.1939), abs=2e-4)


def test_gaps_of_a_runs_report_keep_a_width_too():
    found = {g.value: g for g in group_gaps(_pairs(), np.ones(130), ["g"])}
    assert (found["minority"].accuracy_gap.low, found["minority"].accuracy_gap.high) == pytest.approx(
        (-0.1135, 0.037), abs=1e-4
    )


def test_all_disparities_of_groups_that_are_always_right():
    found = disparity_estimates(np.ones(130), [p.meta["g"] for p in _pairs()])
    assert found.groups["minority"].low == pytest.approx(0.8865, abs=1e-4)
    # the range is at most .1135: the deviation of two at most half of it; all of 130 of 130 begin at .9713, over
    # 1 + 2 * .1135
    assert (found.psd_mean.low, found.psd_mean.high) == pytest.approx((0.0, 0.0568), abs=1e-4)
    assert (found.equity_scaled.low, found.equity_scaled.high) == pytest.approx((0.9713 / 1.2270, 1.0), abs=1e-3)


def test_preferences_that_always_agree_with_the_labels():
    ones = np.ones(30)
    found = {g.group: g for g in preference_excess(ones, ["a"] * 30, ["b"] * 30, ones)}
    # no pair went either way: 0 of 30 ends at .1135
    assert (found["a"].excess.low, found["a"].excess.high) == pytest.approx((-0.1135, 0.1135), abs=1e-4)
    assert found["a"].preferred.low == pytest.approx(0.8865, abs=1e-4)


def test_selection_that_never_varies():
    prompts = np.repeat(np.arange(25), 2)
    reward = np.tile([1.0, 0.0], 25)
    found = {g.group: g for g in selection_gaps(reward, ["a", "b"] * 25, prompts, n=2)}
    # a is always selected: 25 of 25 begins at 25 / 28.8415 = .8668, half of it expected
    assert (found["a"].lift.value, found["a"].lift.low, found["a"].lift.high) == pytest.approx(
        (0.5, 0.3668, 0.5), abs=1e-4
    )
    assert (found["b"].lift.low, found["b"].lift.high) == pytest.approx((-0.5, -0.3668), abs=1e-4)
    chance = score_gaps(reward, ["a", "b"] * 25, prompts)["a"]
    assert (chance.value, chance.low, chance.high) == pytest.approx((0.5, 0.3668, 0.5), abs=1e-4)
    matched = score_gaps(reward, ["a", "b"] * 25, prompts, truth=reward)["a"]
    # 0 of 25 ends at 3.8415 / 28.8415
    assert (matched.low, matched.high) == pytest.approx((-0.1332, 0.1332), abs=1e-4)


def test_parity_of_strata_in_which_everybody_is_favoured():
    protected = np.array([True] * 30 + [False] * 100)
    one = conditional_parity(np.ones(130), protected, np.zeros(130))
    assert (one.violation.value, one.violation.low, one.violation.high) == pytest.approx((0.0, 0.0, 0.1135), abs=1e-4)
    assert (one.gaps["0.0"].low, one.gaps["0.0"].high) == pytest.approx((-0.1135, 0.0370), abs=1e-4)
    # two equal strata, each with half of the weight: hypot(.5 * .1135, .5 * .1135)
    two = conditional_parity(np.ones(260), np.tile(protected, 2), np.repeat([0, 1], 130))
    assert two.violation.high == pytest.approx(0.0803, abs=1e-4)
    # a tolerance is taken off each end before
    assert conditional_parity(np.ones(130), protected, np.zeros(130), eps=0.1).violation.high == pytest.approx(
        0.0135, abs=1e-4
    )
