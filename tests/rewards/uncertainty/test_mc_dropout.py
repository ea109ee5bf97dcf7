"""Thinned networks as members: what a mask does, and that no batch changes it."""

import numpy as np
import pytest
import torch

import plaudit
from plaudit.errors import InputError, UnsupportedError
from plaudit.rewards.uncertainty import DropoutReward, leaf_features
from plaudit.testing import RewardContract


class TestHeadDropout(RewardContract):
    tolerance = 1e-4
    where = "head"

    @pytest.fixture(autouse=True)
    def _made(self, make_reward):
        self.reward = DropoutReward(make_reward(), passes=4, where=self.where)

    def make_reward(self):
        return self.reward


class TestLayerDropout(TestHeadDropout):
    where = "layers"


@pytest.mark.parametrize("where", ["head", "layers"])
def test_a_member_is_one_network_whatever_the_batch(where, make_reward, samples):
    dropout = DropoutReward(make_reward(), passes=5, where=where)
    whole = dropout(samples)
    order = np.random.default_rng(0).permutation(len(samples))
    again = dropout([samples[i] for i in order])
    assert np.allclose(again.members, whole.members[order], atol=1e-5)
    assert np.allclose(dropout(samples[:1]).members, whole.members[:1], atol=1e-5)
    assert np.allclose(whole.std, whole.members.std(axis=1))
    assert (whole.std > 0).all()
    assert np.allclose(whole.reward, make_reward()(samples).reward, atol=1e-6)  # the whole network's, unchanged


def test_a_head_s_mask_by_hand(make_reward, samples):
    reward = make_reward()
    dropout = DropoutReward(reward, passes=3, rate=0.25, seed=7)
    states, weight = leaf_features(reward, samples).double(), reward.model.score.weight.detach().double()
    rng = np.random.default_rng([7, 1, 0, 43])  # seed, member, layer
    mask = torch.from_numpy((rng.random(32) >= 0.25) / 0.75)
    assert 0 < int((mask == 0).sum()) < 32
    score = ((states * mask) @ weight.T)[:, 0].numpy()
    wanted = (score - reward.manifest.offset) / reward.manifest.scale
    assert np.allclose(dropout(samples).members[:, 1], wanted, atol=1e-5)


def test_trees_and_padding_agree_and_hooks_stay_with_their_pass(make_reward, samples):
    tree, padded = make_reward(mode="tree"), make_reward(mode="padded")
    a, b = (DropoutReward(r, passes=2, where="layers", rate=0.3)(samples) for r in (tree, padded))
    assert np.allclose(a.members, b.members, atol=1e-4)
    assert np.allclose(tree(samples).reward, a.reward, atol=1e-6)  # a hook thins nothing outside of its passes
    other = DropoutReward(tree, passes=2, where="layers", rate=0.3)  # a second wrapper of the same model
    assert np.allclose(other(samples).members, a.members, atol=1e-6)


@pytest.mark.parametrize("where", ["head", "layers"])
def test_members_keep_what_lies_below_the_floor(where, make_reward, samples):
    lifted = DropoutReward(make_reward(floor=5.0), passes=3, where=where)(samples)
    assert (lifted.reward == 5.0).all()
    assert np.allclose(lifted.members, DropoutReward(make_reward(), passes=3, where=where)(samples).members, atol=1e-5)


def test_more_dropout_moves_more(make_reward, samples):
    little, much = (DropoutReward(make_reward(), rate=rate)(samples).std.mean() for rate in (0.05, 0.5))
    assert much > 2 * little


def test_references_and_what_is_refused(make_reward, tmp_path, samples):
    make_reward().save(tmp_path / "m")
    found = plaudit.load(f"uncertainty/dropout?of={tmp_path / 'm'}&passes=3&rate=0.2&where=layers")
    assert found(samples).members.shape == (len(samples), 3)
    assert found.fingerprint != plaudit.load(f"uncertainty/dropout?of={tmp_path / 'm'}").fingerprint
    for options, message in (
        ({"passes": 1}, "passes is 1; a deviation needs at least 2"),
        ({"rate": 1.0}, "rate is 1.0; it is a probability"),
        ({"where": "all"}, "where is 'all'; give 'head' or 'layers'"),
    ):
        with pytest.raises(InputError, match=message):
            DropoutReward(make_reward(), **options)
    with pytest.raises(UnsupportedError, match="is not a linear one at the last token"):
        DropoutReward(make_reward("bert", reader="classification"))
    with pytest.raises(UnsupportedError, match="has no MLPs to hook; where=head"):
        DropoutReward(make_reward("bert", reader="classification"), where="layers")
