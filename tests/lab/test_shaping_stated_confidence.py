"""The experiment on stated confidence: exact policies, and their numbers by hand."""

import numpy as np
import pytest

from plaudit.lab.experiments.shaping.stated_confidence.experiment import (
    LEVELS,
    World,
    at_kl,
    made,
    measured,
    shaped_policy,
)

NOTHING = (np.zeros((1, 2)), np.array([[True, False]]))


def test_smoke(smoke):
    found = smoke("shaping/stated_confidence")
    assert all(0 <= numbers[k] <= 1 for numbers in found.values() for k in ("ece", "auroc", "accuracy", "stated"))
    assert all(numbers["kl"] == pytest.approx(0.5, abs=1e-6) for numbers in found.values())
    # the liking does not matter to arms that do not see the statement, nor a shift of a prompt to what has no mean
    assert found["difference"] == found["difference@0"] == found["difference@2"]
    assert found["unshaped@shifted"]["ece"] == pytest.approx(found["unshaped"]["ece"])
    assert found["unshaped@0"] == found["stripped"]
    assert found["unshaped"]["stated"] < found["unshaped@2"]["stated"]
    assert found["difference@shifted"]["ece"] != pytest.approx(found["difference"]["ece"])


def test_numbers_by_hand():
    # a right and a wrong answer; of the policy's mass 0.3 says 1.0 of the right one, 0.1 says 0.5 of it, 0.6 says 0.5
    # of the wrong one
    policy = np.zeros((1, 2, 11))
    policy[0, 0, 10], policy[0, 0, 5], policy[0, 1, 5] = 0.3, 0.1, 0.6
    world = World(np.array([[True, False]]), np.zeros((1, 2)), np.full((1, 2, 11), -np.log(22)), NOTHING)
    found = measured(policy, world)
    # at 1.0 all are right; at 0.5 one in seven of a mass of 0.7 is: 0.7 |0.5 - 1/7|
    assert found["ece"] == pytest.approx(0.7 * (0.5 - 1 / 7))
    # a right answer says more with 3/4, as much with 1/4
    assert found["auroc"] == pytest.approx(0.75 + 0.25 / 2)
    assert found["accuracy"] == pytest.approx(0.4)
    assert found["stated"] == pytest.approx(0.3 + 0.7 * 0.5)
    entropy = -sum(p * np.log(p) for p in (0.3, 0.1, 0.6))
    assert found["kl"] == pytest.approx(np.log(22) - entropy)


def test_the_tilt_has_the_kl_that_is_asked_for():
    rng = np.random.default_rng(0)
    start = np.log(rng.dirichlet(np.ones(33), size=4)).reshape(4, 3, 11)
    reward = rng.normal(size=(4, 3, 1))
    policy = at_kl(reward, start, 0.3)
    assert policy.sum(axis=(1, 2)) == pytest.approx(1)
    assert (policy * (np.log(policy) - start)).sum(axis=(1, 2)).mean() == pytest.approx(0.3)
    # log-ratios rise with the reward alone, by one pressure for all prompts
    ratio = np.log(policy) - start
    slope = (ratio[:, 0] - ratio[:, 1]) / (reward[:, 0] - reward[:, 1])
    assert slope == pytest.approx(slope[0, 0])


@pytest.mark.parametrize(("name", "weight"), [("difference", 2.0), ("threshold", 0.5)])
def test_the_mean_is_that_of_the_policy_that_it_leads_to(name, weight):
    world = made(5, 30, 8, shifted=False)
    policy = shaped_policy(name, world, 1.0, 1.0, np.random.default_rng(0))
    r = world.reward[..., None]
    mean = (policy * r).sum(axis=(1, 2)).mean()
    deserved = weight * (r - mean) if name == "difference" else weight * np.abs(r) * np.where(r >= mean, 1, -1)
    again = at_kl(r + deserved * (LEVELS - 0.5), world.start, 1.0)
    assert np.abs(again - policy).max() < 1e-3


def test_the_world():
    world = made(5, 2000, 16, shifted=False)
    # worth and ease have a variance of 2 and a mean of -1.5: one in seven is above 0
    assert world.right.mean() == pytest.approx(0.144, abs=0.02)
    assert np.exp(world.start).sum(axis=(1, 2)) == pytest.approx(1)
    assert (np.exp(world.start) * LEVELS).sum(axis=(1, 2)).mean() == pytest.approx(0.75, abs=0.03)
    assert world.held_out[0].shape == (1000, 16)
    shifted = made(5, 2000, 16, shifted=True)
    offset = shifted.reward - world.reward
    assert np.ptp(offset, axis=1).max() < 1e-9
    assert offset[:, 0].std() == pytest.approx(2, abs=0.1)
    assert (shifted.right == world.right).all()
