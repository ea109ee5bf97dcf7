"""Published group statistics: the checks of their catalogue entries, by hand, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups import (
    Stretch,
    TaskDeviations,
    best_random_weights,
    best_weights,
    best_worst_weights,
    branch_advantages,
    brevity_reward,
    data_hardness,
    difficulty_scale,
    efficient_reward,
    group_win_rates,
    hardness_scale,
    mastered_groups,
    mean_spread,
    most_reliable,
    pairs_within,
    pairwise_advantages,
    power_weights,
    prefix_values,
    reliability,
    responsiveness_scale,
    standardised,
    trust_weights,
    trusted_reward,
)

scores = st.lists(st.integers(-20, 20).map(lambda x: x / 4), min_size=2, max_size=8)


def preferences(score, pairs):
    """1 where the first scores higher, 1/2 for a tie."""
    apart = np.asarray(score)[pairs[:, 0]] - np.asarray(score)[pairs[:, 1]]
    return (np.sign(apart) + 1) / 2, apart


def test_pairs_within_groups():
    assert pairs_within([0, 1, 0, 0, 2]).tolist() == [[0, 2], [0, 3], [2, 3]]
    assert pairs_within([]).tolist() == []


@settings(deadline=None)
@given(scores)
def test_win_rates_have_mean_one_half_and_know_only_the_order(score):
    groups = [0] * len(score)
    pairs = pairs_within(groups)
    rates = group_win_rates(preferences(score, pairs)[0], pairs, n=len(score))
    assert rates.mean() == pytest.approx(0.5)
    again = group_win_rates(preferences(np.exp(score), pairs)[0], pairs, n=len(score))
    assert np.allclose(rates, again)


def test_an_outlier_squeezes_scores_and_not_win_rates():
    # scores .1 to .7 and 10: mean 1.6, squares 10.36 + 70.56, deviation sqrt(80.92 / 8) = 3.1804: the outlier leaves
    # the other seven within (0.1 - 1.6) / 3.1804 = -0.4716 and (0.7 - 1.6) / 3.1804 = -0.2830
    # win rates 0 to 7 sevenths: deviation sqrt(63 / 12) / 7, so they lie evenly from -3.5 / sqrt(5.25) = -1.5275
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 10.0])
    groups = [0] * 8
    pairs = pairs_within(groups)
    squeezed = standardised(score, groups, ddof=0, epsilon=0)[:7]
    assert [squeezed.min(), squeezed.max()] == pytest.approx([-0.4716, -0.2830], abs=1e-4)
    rates = standardised(group_win_rates(preferences(score, pairs)[0], pairs, n=8), groups, ddof=0, epsilon=0)
    assert rates[[0, -1]] == pytest.approx([-1.5275, 1.5275], abs=1e-4)
    assert np.diff(rates) == pytest.approx(np.full(7, 2 * 1.5275 / 7), abs=1e-4)


@settings(deadline=None)
@given(scores, st.floats(0.1, 10))
def test_pairwise_advantages_of_score_differences_are_group_advantages(score, factor):
    groups = [0] * len(score)
    pairs = pairs_within(groups)
    strength = preferences(score, pairs)[1]
    found = pairwise_advantages(strength, pairs, groups, epsilon=0.0)
    assert np.allclose(found, standardised(score, groups, epsilon=0.0), atol=1e-9)
    assert found.sum() == pytest.approx(0, abs=1e-9)
    assert np.allclose(pairwise_advantages(factor * strength, pairs, groups, epsilon=0.0), found, atol=1e-9)


def test_undecided_pairs_change_nothing_for_the_others():
    pairs = pairs_within([0, 0, 0])  # (0, 1), (0, 2), (1, 2)
    rates = group_win_rates([1.0, np.nan, 0.5], pairs, n=4)
    assert rates[:3].tolist() == [1.0, 0.25, 0.5]
    assert np.isnan(rates[3])  # it met nobody
    assert group_win_rates([1.0, 1.0, 1.0], pairs, n=3, with_self=True).tolist() == [2.5 / 3, 1.5 / 3, 0.5 / 3]
    # D_01 = 2, the others unreadable (0): sums 2, -2, 0 over 3, scale sqrt(2 * 4 / (2 * 3 * 2)) = sqrt(2/3)
    found = pairwise_advantages([2.0, 0.0, 0.0], pairs, [0, 0, 0], epsilon=0.0)
    assert found == pytest.approx(np.array([2, -2, 0]) / 3 / math.sqrt(2 / 3))
    # the others not judged at all: two members are left, scale sqrt(2 * 4 / (2 * 2 * 1)) = sqrt 2
    found = pairwise_advantages([2.0, np.nan, np.nan], pairs, [0, 0, 0], epsilon=0.0)
    assert found == pytest.approx(np.array([2, -2, 0]) / 2 / math.sqrt(2))
    assert pairwise_advantages([0.0] * 3, pairs, [0, 0, 0]).tolist() == [0.0] * 3


def test_task_deviations_by_hand():
    r, g, tasks = [1, 0, 0, 0, 1, 1, 1, 0.0], [0] * 4 + [1] * 4, ["box"] * 8
    seen = TaskDeviations().updated(r, tasks)
    assert seen.std("box") == 0.5  # both moments 1/2
    found = seen.advantages(r, g, tasks)
    assert found == pytest.approx([1.5, -0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -1.5], abs=1e-5)
    # the next batch: m1 = 0.99 * 0.5 + 0.01 * 1, m2 the same: variance 0.505 - 0.255025
    later = seen.updated([1.0, 1.0, np.nan], ["box"] * 3)
    assert later.std("box") == pytest.approx(math.sqrt(0.505 - 0.255025))
    assert TaskDeviations().restored(later.state()) == later


@settings(deadline=None)
@given(st.floats(0.5, 20))
def test_a_factor_on_a_task_changes_nothing_and_its_groups_sum_to_zero(factor):
    rng = np.random.default_rng(0)
    r, g = rng.normal(size=24), np.repeat(np.arange(6), 4)
    tasks = ["a"] * 12 + ["b"] * 12
    found = []
    for scale in (1.0, factor):
        scaled = np.where(np.array(tasks) == "a", scale * r, r)
        found.append(TaskDeviations().updated(scaled, tasks).advantages(scaled, g, tasks))
    assert np.allclose(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert np.allclose(found[0].reshape(6, 4).sum(axis=1), 0, atol=1e-9)


def test_a_group_far_out_falls_back_to_its_own_deviation():
    seen = TaskDeviations(moments={"a": (0.0, 1e-4)})  # deviation 0.01
    r, g = [0.0, 1.0, 0.501, 0.5], [0, 0, 1, 1]
    found = seen.advantages(r, g, ["a"] * 4)
    assert found[:2] == pytest.approx([-1, 1], abs=1e-5)  # 50 is beyond 5: its own deviation is 1/2
    assert found[2:] == pytest.approx([0.05, -0.05], abs=1e-5)
    with pytest.raises(InputError, match="task 'b' was never seen; update with its rewards first"):
        seen.advantages(r, g, ["b"] * 4)


def test_difficulty_of_equal_prompts_is_one():
    assert difficulty_scale([0.3] * 4, [1.2] * 4).tolist() == [1.0] * 4
    assert difficulty_scale([np.nan, 0.3], [np.nan, np.nan]).tolist() == [1.0, 1.0]


def test_data_hardness_by_hand():
    same = np.eye(3)
    assert data_hardness(same, same[::-1]) == pytest.approx(0.0)
    # of two clauses one is there and the other at 60 degrees from the nearest: 1 - (1 + 1/2) / 2
    sample = np.array([[1, 0], [math.cos(math.radians(150)), math.sin(math.radians(150))]])
    assert data_hardness([[1.0, 0], [0, 1.0]], sample) == pytest.approx(0.25)
    with pytest.raises(ShapeError, match=r"embeddings are \(0, 2\) and \(1, 2\)"):
        data_hardness(np.zeros((0, 2)), np.ones((1, 2)))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_hardness_stays_between_its_ends(hardness):
    found = hardness_scale(hardness)
    low, high = 0.5 / (1 / (1 + math.exp(-1))), (1 / (1 + math.exp(-1))) / 0.5
    assert (found >= low - 1e-9).all()
    assert (found <= high + 1e-9).all()


def test_an_outlying_gap_counts_as_the_mean_of_the_others():
    usual = [1.0, 1.2, 0.8, 1.1, 0.9]
    found = responsiveness_scale([*usual, 50.0])
    assert found[-1] == pytest.approx(1.0)  # replaced by the mean of the usual, which then is the mean of all
    assert found[:5] == pytest.approx(responsiveness_scale(usual))
    with pytest.raises(InputError, match="cut is 0; give a positive number"):
        responsiveness_scale(usual, cut=0)


def test_brevity_by_hand():
    # 100, 200, 300: deviation over n 81.65; sigmoid(-+1.22474) = 0.22710, 0.77290: 1 - 0.6 of these
    found = brevity_reward([1, 1, 1, 0, np.nan], [100, 200, 300, 50, 50], [0] * 5)
    assert found[:4] == pytest.approx([0.86374, 0.7, 0.53626, 0.0], abs=1e-5)
    assert np.isnan(found[4])
    assert brevity_reward([1, 0], [9, 9], [0, 0]).tolist() == [0.7, 0.0]  # alone: one half of alpha


def test_only_mastered_groups_are_rewarded_for_brevity():
    correct, length = [1, 1, 1, 0, 0, 0.0], [10, 20, 10, 20, 10, 20]
    g = [0, 0, 1, 1, 2, 2]
    assert mastered_groups(correct, g, share=0.34).tolist() == [True, True, False]
    assert mastered_groups(correct, g, share=0.0).tolist() == [True, False, False]  # at least one
    assert mastered_groups([1.0] * 15, np.arange(15), share=0.2).sum() == 3  # 0.2 * 15 is a hair above 3
    found = efficient_reward(correct, length, g)
    assert found[2:].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found[0] > 0.7 > found[1]
    assert efficient_reward(correct, length, g, share=1.0).tolist() == brevity_reward(correct, length, g).tolist()


def test_trust_by_hand():
    # group 0: right 0.9, wrong 0.2: trusted; group 1: right 0.3, wrong 0.8: exp(-0.5); group 2: all right: nothing
    outcome, thinking, g = [1, 0, 1, 0, 1, 1], [0.9, 0.2, 0.3, 0.8, 0.5, 0.6], [0, 0, 1, 1, 2, 2]
    assert trust_weights(outcome, thinking, g) == pytest.approx([1.0, 0.60653, 0.0], abs=1e-5)
    found = trusted_reward(outcome, thinking, g, step=0)
    assert found == pytest.approx([1 + 0.27, 0.06, 1 + 0.60653 * 0.09, 0.60653 * 0.24, 1, 1], abs=1e-5)
    late = trusted_reward(outcome, thinking, g, step=500)
    assert late[0] == pytest.approx(1 + 0.27 / math.e)
    assert trusted_reward(outcome, thinking, g, step=0, alpha=0.0).tolist() == [float(x) for x in outcome]
    assert np.isnan(trusted_reward([np.nan, 1], [0.5, 0.5], [0, 0], step=0)[0])
    with pytest.raises(InputError, match=r"step is -1 and decay_steps 500.0"):
        trusted_reward(outcome, thinking, g, step=-1)


@settings(deadline=None)
@given(scores, st.floats(0.1, 9), st.floats(-9, 9))
def test_stretching_keeps_the_order_and_forgets_scale_and_level(score, factor, shift):
    s, g = np.array(score), [0] * len(score)
    found = Stretch().updated(s)(s, g)
    for i in range(len(s)):
        for j in range(len(s)):
            assert not (s[i] < s[j] and found[i] > found[j] + 1e-12)
            assert s[i] != s[j] or found[i] == found[j]
    moved = factor * s + shift
    assert np.allclose(Stretch().updated(moved)(moved, g), found, atol=1e-6)


def test_stretching_by_hand_and_what_it_is_for():
    # ends 0.8 and 0.9: 0.82 -> 0.2, 0.88 -> 0.8; their deviation 0.3 is above the target, so ranks count nothing
    by = Stretch(ends=(0.8, 0.9))
    assert by([0.82, 0.88], [0, 0]) == pytest.approx([0.2, 0.8])
    # 0.85 and 0.8502: 0.5 and 0.502, deviation 0.001: m = 0.99, ranks 1/4 and 3/4
    assert by([0.85, 0.8502], [0, 0]) == pytest.approx([0.01 * 0.5 + 0.99 * 0.25, 0.01 * 0.502 + 0.99 * 0.75])
    assert by([0.85] * 3, [0] * 3) == pytest.approx([0.5] * 3)
    rng = np.random.default_rng(0)
    s, g = 0.85 + 0.01 * rng.normal(size=64), np.repeat(np.arange(8), 8)
    assert mean_spread(by.updated(s)(s, g), g) > 10 * mean_spread(s, g)
    assert Stretch().restored(by.state()) == by
    assert np.isnan(mean_spread([1.0], [0]))
    with pytest.raises(InputError, match="give 0 <= low < high <= 1"):
        Stretch(low=0.9, high=0.1)


def test_filters_by_hand():
    r, g = [3.0, 1, 2, 5, 4, np.nan], [0] * 6
    assert best_weights(r, g).tolist() == [0, 0, 0, 1, 0, 0]
    # the paper's 0.4 and 0.1, times 1 / 0.8
    assert best_random_weights(r, g) == pytest.approx(np.array([0.1, 0.1, 0.1, 0.4, 0.1, 0]) / 0.8)
    assert best_worst_weights(r, g).tolist() == [0, 0.5, 0, 0.5, 0, 0]
    assert power_weights([1.0, -2.0], [0, 0]).tolist() == [0.2, 0.8]
    equal = [2.0, 2.0]
    for weigh in (best_weights, best_random_weights, best_worst_weights):
        assert weigh(equal, [0, 0]).tolist() == [0.5, 0.5]  # there is no best one
    assert power_weights([0.0, 0.0], [0, 0]).tolist() == [0.5, 0.5]


@settings(deadline=None)
@given(scores)
def test_filters_sum_to_one_and_all_but_one_know_only_the_order(score):
    r, g = np.array(score), [0] * len(score)
    for weigh in (best_weights, best_random_weights, best_worst_weights, power_weights):
        assert weigh(r, g).sum() == pytest.approx(1.0)
    for weigh in (best_weights, best_random_weights, best_worst_weights):
        assert np.allclose(weigh(r, g), weigh(np.exp(r), g))


def test_rewards_that_are_sure_at_the_ends_call_for_a_filter():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(400), 5)
    actual = rng.normal(size=2000)
    sure = np.abs(actual) > 1
    reward = np.where(sure, actual, 0.0) + rng.normal(size=2000) * np.where(sure, 0.1, 0.8)
    name, found = most_reliable(reward, actual, g)
    assert name in ("best-worst", "power")
    assert found["best-worst"] > found["best-random"] > found["none"]
    assert reliability(actual, actual, np.ones(2000)) == pytest.approx(1.0)
    assert np.isnan(reliability([1.0], [1.0], [1.0]))
    with pytest.raises(InputError, match="under no filter do rewards and worth both vary"):
        most_reliable([1.0, 1.0], [0.0, 1.0], [0, 0])


def test_prefix_values_by_hand():
    # a b c (1), a b d (0), a e (0), f (1): V(a) = 1/3, V(a b) = 1/2
    values = prefix_values([[1, 2, 3], [1, 2, 4], [1, 5], [6]], [1.0, 0, 0, 1])
    assert values[0].tolist() == [0.5, 1 / 3, 0.5, 1.0]
    assert values[1].tolist() == [0.5, 1 / 3, 0.5, 0.0]
    assert values[2].tolist() == [0.5, 1 / 3, 0.0]
    assert values[3].tolist() == [0.5, 1.0]
    found = branch_advantages([[1, 2, 3], [1, 2, 4], [1, 5], [6]], [1.0, 0, 0, 1], epsilon=0.0)
    # deviation 1/2: (1/2 - 1/6) / (1/2), (1/2 + 1/6) / (1/2), (1/2 + 1/2) / (1/2)
    assert found[0] == pytest.approx([2 / 3, 4 / 3, 2.0])


bodies = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=2, max_size=7)


@settings(deadline=None)
@given(bodies, st.data())
def test_values_equal_a_loop_over_prefixes_and_telescope(texts, data):
    r = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=len(texts), max_size=len(texts))))
    if np.isnan(r).all():
        return
    found = prefix_values(texts, r)
    for text, v in zip(texts, found, strict=True):
        last = 0.0
        for t in range(len(text) + 1):
            mates = np.array([x for other, x in zip(texts, r, strict=True) if other[:t] == text[:t]])
            mates = mates[~np.isnan(mates)]
            last = mates.mean() if mates.size else last
            assert v[t] == pytest.approx(last)
    for i, advantage in enumerate(branch_advantages(texts, r, epsilon=0.0)):
        if np.isnan(r[i]):
            assert not advantage.any()
        elif (
            advantage.any()
            and texts.count(texts[i]) == 1
            and not any(other[: len(texts[i])] == texts[i] for j, other in enumerate(texts) if j != i)
        ):
            n, known = len(texts[i]), r[~np.isnan(r)]
            # without equals the differences of V sum to r - mean: (n + 1) (r - mean) / std in all
            assert advantage.sum() * known.std() == pytest.approx((n + 1) * (r[i] - known.mean()), abs=1e-9)


def test_completions_that_differ_at_once_differ_from_plain_advantages_there_only():
    found = branch_advantages([[1, 7, 7], [2, 7, 7]], [1.0, 0.0], epsilon=0.0)
    assert found[0].tolist() == [2.0, 1.0, 1.0]
    assert found[1].tolist() == [-2.0, -1.0, -1.0]
    assert [a.tolist() for a in branch_advantages([[1], [2]], [1.0, np.nan])] == [[0.0], [0.0]]
    with pytest.raises(InputError, match="no completion has a reward; leave out groups without any"):
        prefix_values([[1]], [np.nan])
    with pytest.raises(ShapeError, match=r"1 completions and rewards of shape \(2,\)"):
        prefix_values([[1]], [0.0, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_win_rates([2.0], [[0, 1]], n=2), r"a probability is 2.0; give values in \[0, 1\], or NaN"),
        (lambda: group_win_rates([1.0], [[0, 3]], n=2), "pairs name samples 0 to 3 of 2; give indices of samples"),
        (lambda: group_win_rates([1.0, 0.0], [[0, 1]], n=2), r"\(2,\) values for 1 pairs; give one a pair"),
        (lambda: pairwise_advantages([1.0], [[0, 1]], [0, 1]), "samples 0 and 1 are of two groups"),
        (lambda: TaskDeviations(decay=1.0), "decay is 1.0, guard 5.0, epsilon 1e-06; give a decay in"),
        (lambda: brevity_reward([1], [1], [0], alpha=2), "alpha is 2; give a number between 0 and 1"),
        (lambda: mastered_groups([1], [0], share=2), "share is 2; give a number between 0 and 1"),
        (lambda: best_random_weights([1.0], [0], best=2), "best is 2; give a probability"),
        (lambda: power_weights([1.0], [0], power=-1), "power is -1; give a number of at least 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
