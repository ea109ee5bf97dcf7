"""Distances within prompts: by hand, bounds that hold in simulation, and the comparison of two rewards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.distances import (
    best_of_n_regret_bound,
    compare_rewards,
    comparison_metrics,
    disagreement_bound,
    gaussian_disagreement,
    prompt_distance,
)
from plaudit.records import Sample
from plaudit.rewards.base import Outcome, RewardBatch


def samples(prompts, each, **meta):
    return [
        Sample(f"prompt {p}", f"completion {i}", meta={k: v(p, i) for k, v in meta.items()})
        for p in range(prompts)
        for i in range(each)
    ]


def test_distance_by_hand():
    # deviations (1, -1, 1, -1) and (1, -1, -1, 1): correlation 0, so sqrt 2; shifts a prompt do not matter
    groups = ["p", "p", "q", "q"]
    assert prompt_distance([1, -1, 101, 99], [5, 3, -1, 1], groups).value == pytest.approx(math.sqrt(2))
    assert prompt_distance([1, 2, 3, 4], [10, 12, -6, -4], groups).value == pytest.approx(0, abs=1e-7)
    assert prompt_distance([1, 2, 3, 4], [2, 1, 4, 3], groups).value == pytest.approx(2)
    assert math.isnan(prompt_distance([1, 1, 2, 2], [1, 2, 3, 4], groups).value)
    assert prompt_distance([1, 2, 3, np.nan], [1, 2, 5, 0], groups).n == 1


@given(st.integers(0, 200), st.floats(0, 1.5))
def test_bounds_hold(seed, noise):
    rng = np.random.default_rng(seed)
    prompts, each, n = 60, 32, 4
    a = rng.standard_t(4, size=(prompts, each))
    b = a + noise * rng.standard_t(4, size=(prompts, each)) * rng.uniform(0, 2, (prompts, 1))
    d = prompt_distance(a.ravel(), b.ravel(), np.repeat(np.arange(prompts), each), resamples=10).value
    one, two = ((r - r.mean(1, keepdims=True)) for r in (a, b))
    one, two = one / math.sqrt((one**2).mean()), two / math.sqrt((two**2).mean())
    # the completions themselves are the distribution: n draws with replacement, so the sample's d is exact
    draws = rng.integers(0, each, (400, prompts, n))
    rows = np.arange(prompts)[None, :, None]
    picked = [np.take_along_axis(draws, r[rows, draws].argmax(2)[:, :, None], 2)[:, :, 0] for r in (one, two)]
    lost = (one[np.arange(prompts), picked[0]] - one[np.arange(prompts), picked[1]]).mean()
    assert lost <= best_of_n_regret_bound(d, n) + 0.02
    first, second = one[:, :, None] - one[:, None, :], two[:, :, None] - two[:, None, :]
    for margin in (0.5, 1.0, 2.0):
        assert ((first >= margin) & (second < 0)).mean() + ((first <= -margin) & (second > 0)).mean() <= (
            disagreement_bound(d, margin) + 1e-12
        )


def test_gaussian_disagreement():
    # correlation 1/2 (distance 1): arccos(1/2) / pi = 1/3
    assert gaussian_disagreement(1.0) == pytest.approx(1 / 3)
    assert (gaussian_disagreement(0.0), gaussian_disagreement(2.0)) == pytest.approx((0.0, 1.0))
    assert best_of_n_regret_bound(0.3, 1) == 0
    with pytest.raises(InputError, match="margin is 0"):
        disagreement_bound(0.1, 0)
    with pytest.raises(InputError, match="n is 0"):
        best_of_n_regret_bound(0.1, 0)


def test_comparison_by_hand():
    # prompt 0: A orders 0 < 1 < 2, B orders 0 < 2 < 1: one of three pairs reversed. prompt 1: A 0 < 1 < 2 and B ties 0
    # and 1: one of three tied. Together 1 of 6 reversed, 1 of 6 tied
    a = RewardBatch(np.array([0.0, 1.0, 2.0, 0.0, 1.0, 2.0]))
    b = RewardBatch(np.array([0.0, 2.0, 1.0, 7.0, 7.0, 9.0]))
    found = compare_rewards(samples(2, 3), a, b)
    assert found.reversed_pairs.value == pytest.approx(1 / 6)
    assert found.tied_pairs.value == pytest.approx(1 / 6)
    # best of 2 by B of prompt 0: (2 + 2 + 1) / 3, by A: pairs 01, 02, 12 give 2, 1, 1; prompt 1: 7, 9, 9 for both
    std = math.sqrt((2 + 8 / 3) / 4)  # squares within prompts: 2 and 8/3, two degrees of freedom each
    assert found.costs[2][0].value == pytest.approx((5 / 3 - 4 / 3) / 2 / std)
    # gains over a random one: prompt 0 mean 1, prompt 1 mean 23/3: by A 1/3 + 2/3, by B 2/3 + 2/3
    assert found.kept[2][0].value == pytest.approx(1.0 / (4 / 3))
    (top,) = found.top
    assert (top.by_a, top.by_b) == (2, 1)
    assert top.margin_b == pytest.approx(1 / std)


def test_the_same_reward_costs_nothing():
    rng = np.random.default_rng(0)
    a = RewardBatch(rng.normal(size=120))
    b = RewardBatch(3 * a.reward + np.repeat(rng.normal(size=20), 6))
    found = compare_rewards(samples(20, 6), a, b)
    assert found.reversed_pairs.value == 0
    assert found.reversed_pairs.high > 0  # Wilson's: never seen is not never
    assert found.costs[4][0].value == pytest.approx(0, abs=1e-12)
    assert found.kept[4][1].value == pytest.approx(1)
    assert found.top == ()


def test_agreement_on_few_prompts_claims_no_certainty():
    # three prompts, both rewards the same: no resample differs, and a correlation or a cost has no interval then; of
    # reversed pairs 0 of 3 prompts were seen: Wilson's upper end is z^2 / (3 + z^2)
    a = RewardBatch(np.array([0.0, 1.0] * 3))
    found = compare_rewards(samples(3, 2), a, a)
    for number in (found.correlation, found.distance, found.costs[2][0], found.kept[2][0]):
        assert math.isnan(number.low)
        assert "every resample says the same" in number.method
    assert found.reversed_pairs.high == pytest.approx(1.959964**2 / (3 + 1.959964**2), abs=1e-6)


def test_a_correlation_of_one_prompt_among_many_has_no_interval():
    # only the first of six prompts tells anything apart: (5/6)^6 = .335 of the resamples have no correlation at all
    a = RewardBatch(np.array([0.0, 1.0, 3.0] + [1.0] * 15))
    b = RewardBatch(np.array([0.0, 2.0, 3.0] + [1.0] * 14 + [1.5]))
    found = compare_rewards(samples(6, 3), a, b).correlation
    assert math.isnan(found.low)
    assert "resamples undefined" in found.method


def test_what_one_cannot_judge_leaves_both_and_is_counted():
    rng = np.random.default_rng(1)
    reward, outcome = rng.normal(size=30), np.zeros(30, dtype=np.int8)
    outcome[:4] = Outcome.ABSTAINED
    reward[:4] = np.nan
    a, b = RewardBatch(reward, outcome), RewardBatch(rng.normal(size=30))
    found = compare_rewards(samples(6, 5), a, b)
    assert found.outcomes == {"a: abstained": 4}
    assert found.n_used == 25  # the fifth of the first prompt is alone
    assert found.n_prompts == 5
    same = compare_rewards(samples(6, 5)[5:], a.take(range(5, 30)), b.take(range(5, 30)))
    assert found.correlation == same.correlation


def test_by_column_tells_where():
    rng = np.random.default_rng(2)
    a = rng.normal(size=400)
    odd = np.arange(400) // 10 % 2 == 1
    b = np.where(odd, -a, a)
    found = compare_rewards(
        samples(40, 10, kind=lambda p, i: "odd" if p % 2 else "even"), RewardBatch(a), RewardBatch(b), by=["kind"]
    )
    table = comparison_metrics(found)
    assert table["correlation/kind=odd"].value == pytest.approx(-1)
    assert table["reversed_pairs/kind=even"].value == 0
    assert table["reversed_pairs/kind=odd"].value == 1
    with pytest.raises(InputError, match="no sample has a column 'kin'; did you mean 'kind'"):
        compare_rewards(samples(2, 2, kind=lambda p, i: 1), *[RewardBatch(np.arange(4.0))] * 2, by=["kin"])


def test_what_is_refused():
    with pytest.raises(ShapeError, match="4 samples, 4 and 3 rewards"):
        compare_rewards(samples(2, 2), RewardBatch(np.zeros(4)), RewardBatch(np.zeros(3)))
    with pytest.raises(InputError, match="no prompt has two completions"):
        compare_rewards(samples(4, 1), RewardBatch(np.zeros(4)), RewardBatch(np.zeros(4)))


def test_a_negative_number_of_disagreements_is_refused():
    samples = [Sample("q", t) for t in ("a", "bb")]
    one = RewardBatch(np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="top is -1; give the number of disagreements to show, 0 for none"):
        compare_rewards(samples, one, one, top=-1)
