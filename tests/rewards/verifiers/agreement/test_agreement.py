import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome
from plaudit.rewards.verifiers.agreement import (
    CrossViewReward,
    MajorityReward,
    answer_classes,
    cross_labels,
    majority_label,
)
from plaudit.testing import RewardContract
from plaudit.testing.verifiers import fuzzed_texts


def said(answers, group="g", view=None):
    meta = {} if view is None else {"view": view}
    return [Sample(conversation("q"), f"#### {a}" if a else "no idea", None, group, meta=meta) for a in answers]


class TestMajority(RewardContract):
    def make_reward(self):
        return MajorityReward()

    def make_samples(self):
        return [*said(["4", "4", "5"]), *said(["1", "", "1"], "h")]


class TestCrossView(RewardContract):
    def make_reward(self):
        return CrossViewReward()

    def make_samples(self):
        return [*said(["4", "4", "5"], view="a"), *said(["5", "5", "4"], view="b")]


def test_classes_are_of_equal_answers_and_not_of_equal_spellings():
    answers = ["1/2", "0.5", None, "2", "\\frac{1}{2}", "2.0"]
    assert answer_classes(answers).tolist() == [0, 0, -1, 1, 0, 1]


def test_majority_by_hand():
    batch = MajorityReward()(said(["4", "4.0", "5", ""]))
    assert batch.reward.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert batch.outcome[3] == Outcome.POLICY_FAULT
    assert batch.detail[0]["share"] == pytest.approx(2 / 3)


def test_it_abstains_where_the_group_is_undecided():
    for answers in (["4", "5"], ["4"], ["4", "", ""]):
        batch = MajorityReward()(said(answers))
        assert batch.outcome[0] == Outcome.ABSTAINED
    assert MajorityReward(least_share=0.7)(said(["4", "4", "5"])).outcome[0] == Outcome.ABSTAINED
    assert (MajorityReward()(said(["", ""])).outcome == Outcome.POLICY_FAULT).all()
    with pytest.raises(InputError, match="least_share is 2"):
        MajorityReward(least_share=2)


def test_contradicting_oneself_is_no_vote():
    samples = [*said(["4", "5", "5"]), Sample(conversation("q"), "#### 4\n#### 5", None, "g")]
    batch = MajorityReward()(samples)
    assert batch.reward.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert batch.outcome[3] == Outcome.POLICY_FAULT


def test_the_other_wording_judges():
    first, second = said(["4", "4", "5", ""], view="a"), said(["5", "5", "4"], view="b")
    batch = CrossViewReward()([*first, *second])
    # b's majority is 5, a's is 4
    assert batch.reward.tolist() == [0, 0, 1, 0, 0, 0, 1]
    assert batch.detail[0]["label"] == "5"
    swapped = CrossViewReward()([*second, *first])
    assert swapped.reward.tolist() == [0, 0, 1, 0, 0, 1, 0]


def test_equal_answers_in_both_wordings_make_it_the_own_majority():
    answers = ["4", "4", "5"]
    crossed = CrossViewReward()([*said(answers, view="a"), *said(answers, view="b")])
    own = MajorityReward()(said(answers))
    assert crossed.reward.tolist() == own.reward.tolist() * 2


def test_without_another_wording_nothing_can_be_said():
    assert (CrossViewReward()(said(["4", "4"], view="a")).outcome == Outcome.ABSTAINED).all()
    assert (CrossViewReward()([*said(["4"], view="a"), *said([""], view="b")]).outcome[0]) == Outcome.ABSTAINED
    with pytest.raises(InputError, match="sample 0 has no group"):
        CrossViewReward()([Sample(conversation("q"), "#### 4")])


def test_the_prompt_is_the_wording_where_no_column_says():
    rows = [Sample(conversation(q), f"#### {a}", None, "g") for q, a in (("x?", 1), ("x?", 2), ("y?", 2), ("y?", 2))]
    assert CrossViewReward()(rows).reward[:2].tolist() == [0.0, 1.0]


@given(st.lists(st.integers(-1, 3), max_size=12), st.randoms())
def test_the_majority_does_not_depend_on_the_order(labels, random):
    shuffled = list(labels)
    random.shuffle(shuffled)
    label = majority_label(np.array(labels, dtype=int))
    assert label == majority_label(np.array(shuffled, dtype=int))
    votes = [x for x in labels if x >= 0]
    if label is not None:
        assert all(votes.count(label) > votes.count(x) for x in set(votes) - {label})


def test_labels_of_three_wordings_come_from_the_other_two():
    labels = cross_labels(np.array([0, 0, 1, 1, 1]), ["a", "a", "b", "c", "c"])
    assert labels == {"a": 1, "b": None, "c": 0}


@pytest.mark.parametrize("make", [MajorityReward, CrossViewReward])
def test_ten_thousand_random_answers_in_groups_of_eight(make):
    honest = ["#### 4", "\\boxed{\\frac{1}{2}}", "The answer is 17."]
    samples = [
        Sample(conversation("q"), text, None, f"g{i // 8}", meta={"view": str(i % 2)})
        for i, text in enumerate(fuzzed_texts(honest, 10_000, seed=1))
    ]
    batch = make()(samples)
    # judged, the candidate's fault, or its group undecided: the machine is never blamed for a text
    assert set(batch.outcome.tolist()) <= {Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED}
    assert set(batch.reward[batch.valid].tolist()) <= {0.0, 1.0}
    assert (batch.outcome == Outcome.SCORED).any()
