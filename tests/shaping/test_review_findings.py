"""What a review found: each of these once gave a wrong number, a warning or a crash."""

import json

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.records.message import Message
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.rewards.rules import LengthReward
from plaudit.shaping.combine import Combined, Front, Term, lexicographic_ranks, minimum, mixed_grain, normalised_sum
from plaudit.shaping.groups import (
    Groups,
    batch_standardised,
    efficient_reward,
    mastered_groups,
    pairs_within,
    pairwise_advantages,
    power_weights,
    reliability,
    responsiveness_scale,
    standardised,
)
from plaudit.shaping.length import kept_steps, length_slope
from plaudit.shaping.steps import Stream, potential_shaping, stream_advantages
from plaudit.shaping.transforms import Affine, Rank, References, Shaped, Standardise, Statistics, Whiten


def test_gaps_in_labels_and_groups_of_time_outs_do_not_count_as_groups():
    correct, length = [1.0, 1, 1, 0], [10, 20, 10, 20]
    listed = efficient_reward(correct, length, [60, 60, 61, 61])
    assert efficient_reward(correct, length, np.array([60, 60, 61, 61])).tolist() == listed.tolist()
    assert mastered_groups([1, 1, np.nan], np.array([0, 1, 2]), share=0.5).tolist() == [True, False, False]


@pytest.mark.parametrize("baseline", ["none", "mean", "leave-one-out", "standardised", "process-leave-one-out"])
@pytest.mark.parametrize("whiten", [False, True])
def test_a_faulted_completion_changes_nothing_for_the_others_in_a_stream(baseline, whiten):
    values = np.array([[0, 1.0], [0, 0], [0, 1], [0, np.nan]])
    mask = np.ones((4, 2), bool)
    found = stream_advantages([Stream(values, 0.9, baseline=baseline)], mask, [0] * 4, whiten=whiten)
    three = stream_advantages([Stream(values[:3], 0.9, baseline=baseline)], mask[:3], [0] * 3, whiten=whiten)
    assert found[:3] == pytest.approx(three)
    assert found[3].tolist() == [0.0, 0.0]


def test_completions_that_start_later_are_read_from_their_first_token():
    values, mask = np.zeros((2, 4)), np.array([[False, False, True, True], [True, True, False, False]])
    values[0, 3] = values[1, 1] = 1.0
    found = stream_advantages([Stream(values, 0.5, baseline="mean")], mask, [0, 0])
    assert found[0, 2:].tolist() == found[1, :2].tolist()


def test_prompts_with_tool_calls_are_grouped():
    asked = (
        *conversation("a"),
        Message("assistant", "", tool_calls=({"function": {"name": "f", "arguments": {"x": [1]}}},)),
    )
    found = Shaped(LengthReward(), Rank())([Sample(asked, "one two"), Sample(asked, "one"), Sample("b", "one")])
    assert found.reward.tolist() == [0.75, 0.25, 0.5]


@pytest.mark.parametrize("n", [3, 100, 1000, 20_000])
def test_equal_rewards_are_equal_however_many_there_are(n):
    for value in (0.1, 1e8 + 0.1):
        assert not standardised(np.full(n, value), np.zeros(n, int), epsilon=0).any()
    two = batch_standardised([0.1] * n + [0.7] * n, [0] * n + [1] * n, epsilon=0)
    assert not two.any()
    assert normalised_sum([[1.0, 1.0]] * n, [0] * n, epsilon=0).tolist() == [0.0] * n


def test_a_sample_that_no_judge_could_compare_leaves_its_group():
    pairs = pairs_within([0, 0, 0])
    found = pairwise_advantages([2.0, np.nan, np.nan], pairs, [0] * 3, epsilon=0)
    assert found[:2] == pytest.approx(pairwise_advantages([2.0], [[0, 1]], [0, 0], epsilon=0))
    assert found[2] == 0.0


def test_one_large_group_among_many_small_ones_makes_no_more_pairs_than_there_are():
    labels = np.concatenate([np.zeros(300, int), np.arange(1, 200_001)])
    assert len(pairs_within(labels)) == 300 * 299 // 2
    assert pairs_within([0, 1, 0, 1, 1]).tolist() == [[0, 2], [1, 3], [1, 4], [3, 4]]


def test_limits_are_of_deviations_and_begin_with_something_seen():
    samples = [Sample("a", str(i)) for i in range(3)]
    batch = RewardBatch(np.array([100.0, 101.0, 103.0]))
    assert Standardise()(batch, samples).reward.tolist() == [100.0, 101.0, 103.0]
    assert Standardise().limits((-5.0, 200.0)) == (-5.0, 200.0)
    whole = Whiten(center=False)(batch, samples).reward
    assert whole.mean() == pytest.approx(304 / 3)
    assert Whiten(center=False).limits((0.0, 200.0)) == (-10.0, 210.0)
    equal = Standardise(epsilon=0.0).updated(RewardBatch(np.ones(2)), samples[:2])
    assert equal(batch, samples).reward.tolist() == [0.0, 0.0, 0.0]


def test_statistics_that_saw_nothing_are_plain_numbers():
    text = json.dumps(Statistics().to_dict(), allow_nan=False)
    assert Statistics.from_dict(json.loads(text)).updated([2.0]).low == 2.0


class Faulty:
    """A reward whose faults are not at its floor, as somebody's may be."""

    name, scope, bounds, fingerprint = "faulty", "sample", (-1.0, 1.0), "faulty"

    def __call__(self, samples):
        return RewardBatch(np.zeros(len(samples)), np.full(len(samples), Outcome.POLICY_FAULT, np.int8))


class One(Faulty):
    name = fingerprint = "one"

    def __call__(self, samples):
        return RewardBatch(np.ones(len(samples)))


def test_a_fault_contributes_its_floor_whatever_the_reward_says():
    assert Combined((Term(Faulty()), Term(One())))([Sample("a", "b")]).reward.tolist() == [0.0]


def test_names_of_terms_never_meet():
    made = Combined(tuple(Term(type("X", (One,), {"name": n})()) for n in ("a", "a", "a-1")))
    assert len(set(made.labels)) == 3


def test_members_of_what_does_not_count_are_not_shaped_and_faults_are_floored():
    outcome = np.array([Outcome.INSTRUMENT_FAULT, Outcome.SCORED, Outcome.POLICY_FAULT], np.int8)
    batch = RewardBatch(np.array([np.nan, 1.0, -1.0]), outcome, members=np.full((3, 2), 0.9))

    class Ensemble(Faulty):
        def __call__(self, samples):
            return batch

    found = Shaped(Ensemble(), Affine(2.0, 0.0))([Sample("a", "b")] * 3)
    assert np.isnan(found.members[0]).all()
    assert found.members[1:].tolist() == [[1.8, 1.8], [-2.0, -2.0]]


def test_the_first_of_several_transforms_saw_the_reward_itself():
    found = Shaped(Shaped(LengthReward(), Affine(0.1)), Affine(2.0))([Sample("a", "b c d")])
    assert found.detail[0]["unshaped"] == 3.0


def test_rounding_moves_nothing():
    assert lexicographic_ranks([[0.3], [0.2], [0.1]], [0] * 3, tolerance=0.1).tolist() == [2.5 / 3, 0.5, 0.5 / 3]
    assert (~kept_steps(np.ones(100), 0.29)).sum() == 29
    assert length_slope(np.arange(8.0), np.full(8, np.log(87.0)), [0] * 8) == 0.0
    assert np.isnan(reliability(np.full(7, 0.1), np.arange(7), np.full(7, 0.3)))
    front, rng = Front((0.0, 0.0, 0.0)), np.random.default_rng(0)
    for _ in range(5):
        front = front.updated(rng.random(3))
    for point in front.points:
        assert front.gain(np.array(point) * rng.random(3)) == 0.0


def test_other_edges():
    assert responsiveness_scale([1.0, 1, 1, 1, 50]).tolist() == [1.0] * 5
    items = np.array([[1.0, 2.0], [3.0, 4.0], [900.0, 900.0]])
    assert mixed_grain([1.0, 2.0, np.nan], items)[:2] == pytest.approx(mixed_grain([1.0, 2.0], items[:2]))
    assert power_weights([1e200, 0.0], [0, 0]).tolist() == [1.0, 0.0]
    assert power_weights([1e-160, 0.0], [0, 0]).tolist() == [1.0, 0.0]
    labels = np.array([0, 0, 1])
    groups = Groups.of(labels)
    labels[:] = 5
    assert groups.code.tolist() == [0, 0, 1]
    torch = pytest.importorskip("torch")
    assert Groups.of(torch.tensor([0, 0, 1, 1])).count == 2
    with pytest.raises(InputError, match="a step after a gap; put steps first"):
        potential_shaping(np.zeros((1, 2)), [[False, True]])
    with pytest.raises(InputError, match="references: there are none"):
        assert References({}).ends
    with pytest.raises(ShapeError, match="values have shape"):
        minimum([1.0, 2.0])
