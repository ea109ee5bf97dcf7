import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import ShapeError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.search import select_best


def candidates(groups):
    return [Sample("q", f"answer {i}", group=g) for i, g in enumerate(groups)]


def test_best_of_each_group_in_order_of_appearance():
    samples = candidates(["b", "a", "b", "a"])
    chosen = select_best(samples, RewardBatch(np.array([1.0, 5.0, 2.0, 4.0])))
    assert chosen.groups == ("b", "a")
    assert chosen.indices.tolist() == [2, 1]
    assert chosen.unanswered == chosen.tied == ()


def test_group_without_valid_member_is_reported():
    reward = np.array([np.nan, np.nan, 0.0, np.nan])
    outcome = np.array([Outcome.ABSTAINED, Outcome.TIMED_OUT, Outcome.POLICY_FAULT, Outcome.ABSTAINED], dtype=np.int8)
    chosen = select_best(candidates(["a", "a", "b", "b"]), RewardBatch(reward, outcome))
    assert chosen.unanswered == ("a",)
    assert chosen.indices.tolist() == [2]


def test_samples_without_group_compete_by_prompt():
    samples = [Sample("p", "x"), Sample("q", "y"), Sample("p", "z")]
    assert select_best(samples, RewardBatch(np.array([0.0, 0.0, 1.0]))).indices.tolist() == [2, 1]


@given(st.permutations(range(6)))
def test_ties_do_not_depend_on_the_order(order):
    samples = candidates(["a"] * 6)
    reward = np.array([1.0, 3.0, 3.0, 0.0, 3.0, 2.0])
    first = samples[int(select_best(samples, RewardBatch(reward)).indices[0])]
    shuffled = [samples[i] for i in order]
    again = select_best(shuffled, RewardBatch(reward[list(order)]))
    assert shuffled[int(again.indices[0])] == first
    assert again.tied == ("a",)


def test_refuses_a_batch_of_another_length():
    with pytest.raises(ShapeError, match="2 samples and 1 rewards"):
        select_best(candidates(["a", "a"]), RewardBatch(np.zeros(1)))
