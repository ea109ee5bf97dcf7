import numpy as np
import pytest

from plaudit.audit.attacks.ground import Ground, said, with_said
from plaudit.audit.scored import Scored
from plaudit.errors import ShapeError, UnsupportedError
from plaudit.records.message import Message
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.runs.log import DurableLog
from small_audits import Rule, pair


def test_nothing_is_scored_twice():
    reward = Rule(lambda s: len(s.text))
    scored = Scored(reward)
    assert isinstance(scored, Reward)
    a, b = Sample("q", "x"), Sample("q", "xyz")
    assert scored([a, b, a]).reward.tolist() == [1, 3, 1]
    assert scored([b, Sample("q", "xx")]).reward.tolist() == [3, 2]
    assert (scored.calls, reward.asked) == (3, 3)
    # meta is part of what a function may read
    scored([Sample("q", "x", meta={"tools": 1})])
    assert reward.asked == 4
    assert Scored.wrap(scored) is scored


def test_outcomes_are_kept():
    batch = Scored(Rule(lambda s: None if s.text == "?" else 1.0))([Sample("q", "?"), Sample("q", "!")])
    assert np.isnan(batch.reward[0])
    assert batch.outcome.tolist() == [2, 0]


class ByRank:
    """A group's rewards are ranks: another company, another reward."""

    name, scope, bounds, fingerprint = "rank", "group", (0.0, 9.0), "rank"

    def __init__(self):
        self.asked = []

    def __call__(self, samples):
        self.asked.append([s.text for s in samples])
        groups = {}
        for s in samples:
            groups.setdefault(s.group or s.prompt[0].text, []).append(len(s.text))
        found = [sorted(groups[s.group or s.prompt[0].text]).index(len(s.text)) for s in samples]
        return RewardBatch(np.array(found, float))


def test_groups_are_scored_whole():
    reward = ByRank()
    scored = Scored(reward)
    given = [Sample("p", "a"), Sample("p", "abc"), Sample("q", "ab"), Sample("q", "a")]
    assert scored(given).reward.tolist() == [0, 1, 1, 0]
    # the first of p becomes the longest: both its own reward and the other's come from the changed group
    own, other = scored.instead(given, [0], [Sample("p", "abcdef")], [1])
    assert (own.tolist(), other.tolist()) == ([1.0], [0.0])
    assert sorted(reward.asked[-1]) == ["abc", "abcdef"]
    before = len(reward.asked)
    scored(given)
    assert len(reward.asked) == before


def test_a_batch_reward_cannot_be_attacked_one_by_one():
    scored = Scored(Rule(lambda s: 1.0, "all", scope="batch"))
    with pytest.raises(UnsupportedError, match="all: scores the whole batch together"):
        scored.instead([Sample("q", "x")], [0], [Sample("q", "y")], [0])
    scored([Sample("q", "x")])
    scored([Sample("q", "x")])
    assert scored.calls == 2


def test_a_log_keeps_what_was_paid_for(tmp_path):
    first = Rule(lambda s: len(s.text))
    with DurableLog(tmp_path / "log", fingerprint="rule") as log:
        Scored(first, log=log)([Sample("q", "xx")])
    second = Rule(lambda s: 1 / 0)
    with DurableLog(tmp_path / "log", fingerprint="rule") as log:
        assert Scored(second, log=log)([Sample("q", "xx")]).reward.tolist() == [2.0]


def test_a_wrong_number_of_rewards_is_named():
    class Short(Rule):
        def __call__(self, samples):
            return RewardBatch(np.zeros(1))

    with pytest.raises(ShapeError, match="short: gave 1 rewards for 2 samples"):
        Scored(Short(len, "short"))([Sample("q", "x"), Sample("q", "y")])


def test_the_unit_and_the_effect_by_hand():
    # eight prompts with rewards {1, 3}: deviations -1, 1; SS 2 each, one degree of freedom each: unit sqrt 2
    rows = [pair(f"p{i}", "xxx", "x") for i in range(8)]
    ground = Ground.of(rows, Rule(lambda s: len(s.text)))
    assert ground.unit == pytest.approx(np.sqrt(2))
    # a rise of 1 in two of them and of 3 in the others: mean 2, over sqrt 2
    found = ground.effect([1.0, 3.0] * 4, np.arange(8), resamples=200)
    assert found.value == pytest.approx(np.sqrt(2))
    assert found.n == 8
    partly = ground.effect([np.nan, 3.0, *[1.0, 3.0] * 2, 1.0, np.nan], np.arange(8), resamples=200)
    assert (partly.value, partly.n) == (pytest.approx(np.sqrt(2)), 6)
    # of five prompts there is no effect: all of them on one side are chance once in sixteen
    few = ground.effect([3.0] * 5 + [np.nan] * 3, np.arange(8), resamples=200)
    assert np.isnan(few.value)
    assert few.n == 5


def test_halves_share_no_prompt():
    rows = [pair(f"p{i // 2}", "xx" * (i + 1), "x") for i in range(20)]
    ground = Ground.of(rows, Rule(lambda s: len(s.text)))
    first, second = ground.half(True, seed=3), ground.half(False, seed=3)
    assert sorted([*first, *second]) == list(range(20))
    assert not {ground.prompts[i] for i in first} & {ground.prompts[i] for i in second}
    assert len(Ground.of(rows, Rule(lambda s: 1.0), prompts=3)) == 6


def test_overtaking_by_hand():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(4)]
    ground = Ground.of(rows, Rule(lambda s: len(s.text)))
    own, margin = ground.overtakes([0, 1], [Sample("p0", "xxxxx"), None], [1, 1])
    assert own[0] == 5
    assert margin[0] == 2  # 5 against the chosen one's 3
    assert np.isnan([own[1], margin[1]]).all()
    assert ground.lower().tolist() == [1, 1, 1, 1]


def test_why_nothing_can_be_attacked():
    rows = [pair(f"p{i}", "xxx", "x") for i in range(4)]
    assert Ground.of(rows, Rule(lambda s: 1.0)).unusable.startswith("the reward is the same")
    assert Ground.of(rows[:3], Rule(lambda s: len(s.text))).unusable.startswith("there are 3 prompts")
    assert Ground.of(rows, Rule(lambda s: len(s.text))).unusable == ""


def test_the_last_assistant_message_is_what_is_changed():
    turns = (Message("assistant", "Let me see."), Message("tool", "42"), Message("assistant", "It is 42."))
    sample = Sample("q", turns)
    assert said(sample.completion) == "It is 42."
    changed = with_said(sample, "No.")
    assert changed.completion[:2] == turns[:2]
    assert changed.completion[2].text == "No."
    assert with_said(Sample("q", "a b", steps=("a ", "b")), "c").steps is None
