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
    # what is flat on top stops on the way, and has no numbers beyond; all others come to the last level
    for arm, numbers in found.items():
        told = [level for level in hacking.LEVELS if f"true_{level:g}" in numbers]
        flat = arm in ("clipped", "saturated")
        assert told == [level for level in hacking.LEVELS if level <= numbers["level_high"]]
        assert (numbers["kl_high"] < 5) == flat == (numbers["level_high"] < 5)
        assert flat or numbers["kl_high"] == pytest.approx(5.0, abs=1e-6)
        assert numbers["peak_kl"] <= numbers["kl_high"]
        assert "true_1_odd" in numbers


def test_the_pressure_meets_the_kl_that_is_asked_for():
    proxy = np.random.default_rng(0).normal(size=(6, 512))
    for level in (0.5, 2.0, 5.0):
        policy = hacking._tilted(proxy, hacking._pressure(proxy, level))
        # by hand: sum p log(p / (1/k)), the mean over prompts
        assert np.mean([(p * np.log(p * 512)).sum() for p in policy]) == pytest.approx(level, abs=1e-6)
    # what rises with the proxy, prompt by prompt and alike, is optimised to the same policy's order
    assert (policy.argmax(axis=1) == proxy.argmax(axis=1)).all()


def test_ties_on_top_keep_the_kl_below_the_level_that_is_asked_for():
    # four of sixteen completions tie for the best, by hand: no further than log(16 / 4) = 1.386294 nats, and half of
    # that where the other prompt knows nothing at all
    flat = np.minimum(np.arange(16.0), 12.0)[None]
    both = np.concatenate([flat, np.zeros((1, 16))])
    for proxy, most in ((flat, 1.386294), (both, 0.693147)):
        assert hacking._most(proxy) == pytest.approx(most, abs=1e-6)
        policy = hacking._at(proxy, 5.0)
        assert hacking._kl(policy) == pytest.approx(most, abs=1e-6)
        assert policy[0] == pytest.approx(np.repeat([0.0, 0.25], [12, 4]))
        # below that a level is met
        assert hacking._kl(hacking._at(proxy, most / 2)) == pytest.approx(most / 2, abs=1e-6)
    assert hacking._at(both, 5.0)[1] == pytest.approx(np.full(16, 1 / 16))


def test_what_ties_on_top_is_said_with_the_kl_that_it_reaches(monkeypatch):
    truth = np.stack([np.linspace(-1, 1, 16)] * 2)
    members = np.minimum(truth, 0.6)[
        :, :, None
    ]  # by hand: 0.6 and above are the last four, 2 (12, 13, 14, 15) / 15 - 1
    monkeypatch.setattr(hacking, "_world", lambda *_: hacking.World(np.zeros((2, 16, 1)), truth, members))
    found = hacking.run_instance(0, "unshaped", budget={"flips": 0.0}, fit=None)
    assert found["kl_high"] == pytest.approx(np.log(4))
    assert found["level_high"] == 1.0
    assert {key for key in found if key[-1].isdigit()} == {"true_0.5", "true_1"}
    # by hand: the mean of the last four, (0.6 + 0.7333 + 0.8667 + 1) / 4
    assert found["true_high"] == found["true_high_odd"] == pytest.approx(0.8)
    assert found["peak_kl"] == found["kl_high"]  # the truth rises as far as it goes
    assert found["drop"] == 0.0
