"""Comparators of several sizes as rewards: their world, and that what is better rewarded is said more often."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.experiments.rewards.comparator_size.experiment import FEATURES, Truth, run_instance

BUDGET = {"prompts": 10, "steps": 3, "asked": 3, "updates": 60, "rate": 0.2}


def test_smoke(smoke):
    arms = smoke("comparator_size")
    assert arms["oracle"]["accuracy"] == 1
    assert len({numbers["truth"] for numbers in arms.values()}) == len(arms)
    for numbers in arms.values():
        assert numbers["reward_spread_first"] > 0
        assert 1 / 256 < numbers["surest"] < 1


def test_the_true_reward_is_improved():
    found = run_instance(3, "oracle", budget=BUDGET, fit=None)
    # the best of 256 is some 2.8 deviations above the mean, and its reward's spread is used up on the way
    assert found["truth"] > 1.5
    assert found["kl"] > 1
    assert found["reward_spread"] < found["reward_spread_first"]


@pytest.mark.parametrize("linear", [False, True])
def test_worth_has_deviation_one_within_prompts(linear):
    truth = Truth(7, linear=linear)
    x = truth.draw(2000, 16, 9)
    assert x.shape == (2000, 16, 2 * FEATURES)
    assert (x[:, :1, :FEATURES] == x[:, :, :FEATURES]).all()
    worth = truth.of(x)
    assert np.sqrt(worth.var(axis=1, ddof=1).mean()) == pytest.approx(1, rel=0.08)
    # what was asked matters, or does not: another prompt with the same candidates
    other = np.concatenate([x[::-1, :, :FEATURES], x[:, :, FEATURES:]], axis=2)
    assert np.allclose(truth.of(other), worth) == linear


def test_an_arm_that_is_not_known():
    with pytest.raises(InputError, match="arm 'yes_2' is not known"):
        run_instance(1, "yes_2", budget=BUDGET, fit=None)
