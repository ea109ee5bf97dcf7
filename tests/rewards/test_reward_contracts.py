"""The contract suite on the rewards that ship, and on a model under truncation, trees and padding."""

import pytest

from plaudit.errors import InputError
from plaudit.records import Sample
from plaudit.rewards.functions import FunctionReward
from plaudit.rewards.manifest import Manifest
from plaudit.rewards.pooled import PooledFeatures, PooledReward
from plaudit.rewards.rules.length import LengthReward
from plaudit.testing import RewardContract


class TestLength(RewardContract):
    def make_reward(self):
        return LengthReward()


class TestShortness(RewardContract):
    def make_reward(self):
        return LengthReward(sign=-1)


class TestTarget(RewardContract):
    def make_reward(self):
        return LengthReward(target=5)


class TestFunction(RewardContract):
    def make_reward(self):
        def vowels(samples):
            return [None if not s.text else sum(c in "aeiou" for c in s.text) / len(s.text) for s in samples]

        vowels.bounds = (0.0, 1.0)
        return FunctionReward(vowels)


class OfModels(RewardContract):
    tolerance = 1e-4
    mode, max_length = "auto", 2048

    @pytest.fixture(autouse=True)
    def _maker(self, make_reward):
        self.reward = make_reward(mode=self.mode, max_length=self.max_length)

    def make_reward(self):
        return self.reward


class TestModelOnTrees(OfModels):
    mode = "tree"


class TestModelPadded(OfModels):
    mode = "padded"


class TestPooled(RewardContract):
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _maker(self, make_model, bert_tokenizer):
        tokenizer = bert_tokenizer()
        features = PooledFeatures(make_model("bert", tokenizer).bert, tokenizer, context_chars=50, max_length=64)
        self.reward = PooledReward(features, [0.1] * features.width, Manifest(reader="pooled", scale=2.0))

    def make_reward(self):
        return self.reward


def test_length_by_hand():
    three, seven = Sample("q", "one two  three\n"), Sample("q", "a b c d e f g")
    assert LengthReward()([three, seven]).reward.tolist() == [3, 7]
    assert LengthReward(sign=-1)([three, seven]).reward.tolist() == [-3, -7]
    # -|3 - 4| / 4 and -|7 - 4| / 4; eight words too many would be -2, which is cut at -1
    assert LengthReward(target=4)([three, seven]).reward.tolist() == [-0.25, -0.75]
    assert LengthReward(target=4)([Sample("q", "w " * 12)]).reward.tolist() == [-1]
    assert LengthReward()([three]).detail == ({"words": 3},)


def test_length_names_and_fingerprints_differ():
    made = [LengthReward(), LengthReward(sign=-1), LengthReward(target=4), LengthReward(target=5)]
    assert [r.name for r in made] == ["length", "shortness", "length-4", "length-5"]
    assert len({r.fingerprint for r in made}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": -1}, "rule/length: target is -1; give words, at least 0 (0 for none)"),
        ({"sign": 2}, "rule/length: sign is 2; give 1 (longer is better) or -1 (shorter is better)"),
    ],
)
def test_length_options_out_of_range(options, message):
    with pytest.raises(InputError) as error:
        LengthReward(**options)
    assert str(error.value) == message
