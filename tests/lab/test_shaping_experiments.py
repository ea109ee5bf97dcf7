"""Smoke runs of the experiments on shaping: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab.experiments.shaping.reward_hacking import experiment as hacking


def test_reward_hacking(smoke):
    found = smoke("shaping/reward_hacking")
    curve = [found["oracle"][f"true_{level:g}"] for level in hacking.LEVELS]
    assert (np.diff(curve) >= 0).all()  # the truth as its own proxy only rises
    assert found["oracle"]["drop"] == 0.0
    assert found["oracle"]["true_high"] == max(numbers["true_high"] for numbers in found.values())


def test_the_pressure_meets_the_kl_that_is_asked_for():
    proxy = np.random.default_rng(0).normal(size=(6, 512))
    for level in (0.5, 2.0, 5.0):
        policy = hacking._tilted(proxy, hacking._pressure(proxy, level))
        # by hand: sum p log(p / (1/k)), the mean over prompts
        assert np.mean([(p * np.log(p * 512)).sum() for p in policy]) == pytest.approx(level, abs=1e-6)
    # what rises with the proxy, prompt by prompt and alike, is optimised to the same policy's order
    assert (policy.argmax(axis=1) == proxy.argmax(axis=1)).all()
