"""Selection, preference and score gaps between groups of completions."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pytest

from plaudit.audit.fairness.selection import preference_excess, score_gaps, selection_gaps
from plaudit.errors import InputError, ShapeError


def _by_hand(reward, groups, prompts, n, name):
    """The lift by listing every subset of n candidates."""
    lifts = []
    for p in sorted(set(prompts)):
        at = [i for i, q in enumerate(prompts) if q == p]
        share = sum(groups[i] == name for i in at) / len(at)
        if 0 < share < 1 and len(at) >= n:
            picked = []
            for subset in combinations(at, n):
                top = [i for i in subset if reward[i] == max(reward[j] for j in subset)]
                picked.append(sum(groups[i] == name for i in top) / len(top))
            lifts.append(np.mean(picked) - share)
    return float(np.mean(lifts))


def test_the_lift_equals_the_enumeration():
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(12), 6).tolist()
    reward = rng.permutation(72).astype(float)
    groups = rng.choice(["a", "b"], 72).tolist()
    found = {g.group: g for g in selection_gaps(reward, groups, prompts, n=3, min_prompts=2)}
    for name in ("a", "b"):
        assert found[name].lift.value == pytest.approx(_by_hand(reward, groups, prompts, 3, name))
    assert found["a"].lift.value == pytest.approx(-found["b"].lift.value)


def test_a_better_group_is_rightly_selected_more_often():
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(60), 8)
    groups = np.tile(["a", "b"], 240)
    truth = rng.normal(size=480) + np.where(groups == "a", 1.0, 0.0)
    fair = selection_gaps(2 * truth + 5, groups.tolist(), prompts, n=4, truth=truth)
    assert all(g.matched and g.lift.value == pytest.approx(0.0, abs=1e-12) for g in fair)
    assert next(g for g in fair if g.group == "a").raw.low > 0.1
    biased = {
        g.group: g for g in selection_gaps(truth - 2.0 * (groups == "a"), groups.tolist(), prompts, n=4, truth=truth)
    }
    assert biased["a"].lift.high < -0.2


def test_candidates_without_a_reward_leave_their_pool_and_small_pools_are_counted():
    prompts = np.repeat(np.arange(30), 4)
    reward = np.tile([4.0, 3.0, 2.0, 1.0], 30)
    reward[:8] = np.nan
    reward[8] = np.nan
    found = selection_gaps(reward, ["a", "b"] * 60, prompts, n=4, min_prompts=5)
    # two prompts have no reward at all (not mixed), one has three of four
    assert {g.group: (g.prompts, g.too_few) for g in found} == {"a": (27, 1), "b": (27, 1)}
    assert selection_gaps(reward, ["a", "b"] * 60, prompts, n=4, min_prompts=28) == ()


def test_ties_of_the_reward_share_the_choice():
    prompts = np.repeat(np.arange(25), 4)
    found = selection_gaps(np.zeros(100), ["a", "a", "a", "b"] * 25, prompts, n=2)
    assert all(g.lift.value == pytest.approx(0.0, abs=1e-12) for g in found)


def test_preference_beyond_what_is_deserved():
    # 40 mixed pairs: a is chosen in 30 by the labels and preferred in 10 by the reward
    first, second = ["a"] * 40 + ["a"] * 10, ["b"] * 40 + ["a"] * 10
    deserved = np.array([1.0] * 30 + [-1.0] * 10 + [1.0] * 10)
    margin = np.array([1.0] * 10 + [-1.0] * 30 + [1.0] * 10)
    found = {g.group: g for g in preference_excess(margin, first, second, deserved)}
    assert found["a"].pairs == 40
    assert found["a"].preferred.value == pytest.approx(0.25)
    assert found["a"].deserved.value == pytest.approx(0.75)
    assert found["a"].excess.value == pytest.approx(-0.5)
    assert found["b"].excess.value == pytest.approx(0.5)
    assert preference_excess(margin, first, second, deserved, min_pairs=41) == ()


def test_chances_compare_distributions_within_prompts():
    prompts = np.repeat(np.arange(20), 4)
    # within each prompt a has {4, 1}, b has {3, 2}: a wins 2 of 4
    reward = np.tile([4.0, 3.0, 2.0, 1.0], 20) + 100.0 * prompts
    found = score_gaps(reward, ["a", "b", "b", "a"] * 20, prompts)
    assert found["a"].value == pytest.approx(0.0)
    found = score_gaps(reward, ["a", "a", "b", "b"] * 20, prompts)
    assert found["a"].value == pytest.approx(0.5)
    assert score_gaps(reward, ["a", "a", "b", "b"] * 20, prompts, truth=reward)["a"].value == pytest.approx(0.0)


def test_wrong_shapes_and_numbers():
    with pytest.raises(InputError, match="n is 1"):
        selection_gaps([1.0], ["a"], [0], n=1)
    with pytest.raises(ShapeError, match="1 groups for 2 rewards"):
        selection_gaps([1.0, 2.0], ["a"], [0, 0], n=2)
    with pytest.raises(ShapeError, match="shapes"):
        preference_excess([1.0], ["a"], ["b"], [1.0, 2.0])


def test_without_candidates_there_are_no_gaps():
    for truth in (None, []):
        assert selection_gaps([], [], [], n=2, truth=truth) == ()
        assert score_gaps([], [], [], truth=truth) == {}
    # candidates without a reward are none
    nothing = np.full(4, np.nan)
    assert selection_gaps(nothing, ["a", "b"] * 2, [0, 0, 1, 1], n=2, min_prompts=1) == ()
    assert score_gaps(nothing, ["a", "b"] * 2, [0, 0, 1, 1], min_prompts=1) == {}


@pytest.mark.parametrize("gaps", [partial(selection_gaps, n=2), score_gaps])
def test_rows_that_differ_in_number_are_refused(gaps):
    with pytest.raises(ShapeError, match="1 groups for 2 rewards; give one a candidate"):
        gaps([1.0, 2.0], ["a"], [0, 0])
    with pytest.raises(ShapeError, match="1 true rewards for 2 rewards; give one a candidate"):
        gaps([1.0, 2.0], ["a", "b"], [0, 0], truth=[1.0])
