"""Reward hacking in text: the machinery on a tiny budget, and its numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.lab.experiments.shaping.hacking_in_text.experiment import ARMS, WINDOW, Coin, Proxy, curve
from plaudit.records.sample import Sample, content_hash, conversation
from plaudit.rewards.base import RewardBatch


def test_smoke(smoke):
    arms = smoke("hacking_in_text")
    assert set(arms) == set(ARMS)
    assert len({numbers["true_high"] for numbers in arms.values()}) > 1  # what is optimised makes a difference
    for numbers in arms.values():
        assert np.isfinite(numbers["true_high"])
        assert abs(numbers["kl"]) < 1  # k1 on a few samples: about zero after two updates, of either sign


class Words:
    """Rewards by the number of words."""

    def __init__(self, slope):
        self.slope, self.fingerprint = slope, str(slope)

    def __call__(self, samples):
        return RewardBatch(self.slope * np.array([float(len(s.text.split())) for s in samples]))


def test_the_conservative_proxy_is_the_mean_less_half_the_variance_of_centred_members():
    prompt = conversation("q")
    key = content_hash([m.to_dict() for m in prompt])
    samples = [Sample(prompt, "a b c"), Sample(prompt, "a")]
    means = ({key: 2.0}, {key: 6.0})
    alone = Proxy((Words(1.0), Words(3.0)), means, scale=2.0)
    # (3 - 2) / 2 and (1 - 2) / 2
    assert alone(samples).reward.tolist() == pytest.approx([0.5, -0.5])
    both = Proxy((Words(1.0), Words(3.0)), means, scale=2.0, penalty=0.5)
    # members 0.5, (9 - 6) / 2 = 1.5: mean 1, variance 0.25; and -0.5, -1.5: mean -1, variance 0.25
    assert both(samples).reward.tolist() == pytest.approx([0.875, -1.125])
    assert alone.fingerprint != both.fingerprint


def test_curves_never_go_back_in_kl():
    history = [{"kl": [0.0, 2.0, 1.0][i % 3] + i, "watched/truth": float(i)} for i in range(20)]
    kl, truth = curve(history)
    assert (np.diff(kl) >= 0).all()
    assert len(truth) == 20 - WINDOW + 1
    assert truth[0] == pytest.approx(np.mean(range(WINDOW)))


def test_the_placebo_remembers():
    samples = [Sample(conversation("q"), str(i)) for i in range(300)]
    assert (Coin(1)(samples).reward == Coin(1)(samples[::-1]).reward[::-1]).all()
    assert Coin(1)(samples).reward.std() == pytest.approx(1.0, abs=0.15)
