import pytest

from plaudit.errors import InputError
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.rules import LengthReward
from plaudit.testing import RewardContract


class TestCap(RewardContract):
    def make_reward(self):
        return LengthReward(cap=3)


def rewards(rule, *texts):
    return rule([Sample(conversation("q"), text) for text in texts]).reward.tolist()


def test_words_by_hand():
    texts = ("", "one", "one two three four", "w " * 50)
    assert rewards(LengthReward(), *texts) == [0, 1, 4, 50]
    assert rewards(LengthReward(sign=-1), *texts) == [0, -1, -4, -50]
    assert rewards(LengthReward(target=2), *texts) == [-1, -0.5, -1, -1]
    assert rewards(LengthReward(cap=3), *texts) == pytest.approx([0, 0, -1 / 3, -1])
    assert rewards(LengthReward(), "我们喜欢猫") == [5]


def test_target_and_cap_exclude_one_another():
    with pytest.raises(InputError, match="target is 2 and cap 3; give one"):
        LengthReward(target=2, cap=3)
    with pytest.raises(InputError, match="cap is -1"):
        LengthReward(cap=-1)
