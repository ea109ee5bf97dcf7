import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Outcome
from plaudit.rewards.rules import CosineLengthReward, cosine_length
from plaudit.testing import RewardContract


def values(lengths, correct, **options):
    return cosine_length(np.array(lengths, dtype=float), np.full(len(lengths), correct), **options).tolist()


def test_published_values():
    assert values([512], True, limit=1024) == [1.5]
    assert values([512], False, limit=1024) == [-5.0]
    assert values([1008], True, limit=1024) == [-10.0]
    assert values([1007], True, limit=1024) == pytest.approx([1.00068], abs=1e-5)


def test_right_answers_fall_and_wrong_ones_rise_with_length():
    lengths = list(range(0, 1000, 50))
    assert np.all(np.diff(values(lengths, True, limit=1024)) < 0)
    assert np.all(np.diff(values(lengths, False, limit=1024)) > 0)
    with pytest.raises(InputError, match="limit is 0"):
        values([1], True, limit=0)


@pytest.fixture
def judge(tmp_path):
    (tmp_path / "judge.py").write_text("from small_verifiers import Same\n")
    return f"{tmp_path}/judge.py:Same"


class TestCosine(RewardContract):
    @pytest.fixture(autouse=True)
    def _judge(self, judge):
        self.judge = judge

    def make_reward(self):
        return CosineLengthReward(of=self.judge, limit=100)

    def make_samples(self):
        texts = ("4", "5", "", "4 " * 10)
        return [Sample(conversation("2 + 2"), text, "4") for text in texts]


def test_correctness_comes_from_the_other_reward(judge):
    reward = CosineLengthReward(of=judge, limit=4, margin=1)
    texts = [("4", "4"), ("5", "4"), ("", "4"), ("4", "?"), ("4 4 4", "4 4 4")]
    batch = reward([Sample(conversation("q"), text, gold) for text, gold in texts])
    # length 1 of 4: (1 + cos(pi/4))/2 = 0.853553: right 1 + 0.853553, wrong -10 * 0.853553; nothing said: -10
    assert batch.reward[:3].tolist() == pytest.approx([1.853553, -8.535534, -10.0], abs=1e-6)
    assert batch.outcome[3] == Outcome.ABSTAINED
    assert batch.reward[4] == -10.0  # three words run into a limit of four with a margin of one
    assert batch.detail[0]["correct"] is True
    assert reward.bounds == (-10.0, 2.0)


def test_the_other_reward_is_part_of_the_fingerprint(judge, tmp_path):
    (tmp_path / "other.py").write_text("from small_verifiers import Same\nmake = lambda: Same(longest=7)\n")
    first = CosineLengthReward(of=judge)
    second = CosineLengthReward(of=f"{tmp_path}/other.py:make")
    assert first.fingerprint != second.fingerprint


def test_options_are_checked():
    with pytest.raises(InputError, match="limit is 3 and margin 3"):
        CosineLengthReward(limit=3, margin=3)
    with pytest.raises(InputError, match="unit is 'tokens'"):
        CosineLengthReward(unit="tokens")
    with pytest.raises(InputError, match="no highest reward above 0"):
        CosineLengthReward(of="rule/length?sign=-1")([Sample(conversation("q"), "a")])


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_equals_trl_below_the_limit():
    rewards = pytest.importorskip("trl.rewards", reason="TRL is not installed (extra: bench)")
    lengths = np.arange(0, 100, 7)
    theirs = rewards.get_cosine_scaled_reward(
        100, min_value_wrong=-10.0, max_value_wrong=-1.0, min_value_correct=1.0, max_value_correct=2.0
    )
    for answer, correct in (("4", True), ("5", False)):
        texts = [[{"content": f"\\boxed{{{answer}}}"}]] * len(lengths)
        found = cosine_length(
            lengths, np.full(len(lengths), correct), limit=100, margin=0, correct_at_0=2, correct_at_limit=1,
            wrong_at_0=-10, wrong_at_limit=-1,
        )  # fmt: skip
        expected = theirs(texts, ["$4$"] * len(lengths), [[0] * n for n in lengths.tolist()])
        assert np.allclose(found, expected, atol=1e-12)
