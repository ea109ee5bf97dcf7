"""Smoke runs of the experiments on rewards under pressure: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.catalog import find_experiment
from plaudit.lab.experiments.shaping.gated_rewards import experiment as gated
from plaudit.lab.running import run_experiment
from plaudit.lab.seeds import instances


def no_fit(pairs, *, seed, size):
    raise AssertionError("these experiments fit models of their own")


def smoke(name, folder):
    """Every arm of an experiment on one instance, and the error of an arm that is not there."""
    experiment = find_experiment(name)
    (row,) = instances(experiment.claim, "development", count=1)
    found = run_experiment(experiment, [row], folder=folder, fit=no_fit, smoke=True)["development-0"]
    assert set(found) == set(experiment.claim.arms)
    with pytest.raises(InputError, match="arm 'nothing' is not known"):
        experiment.run_instance(row.seed, "nothing", budget=experiment.claim.budget["smoke"], fit=no_fit)
    return found


def test_gated_rewards(tmp_path):
    found = smoke("gated_rewards", tmp_path)
    assert found["gated@0"] == found["direct"]  # a gate that is always open
    assert found["gated@bonus0"] == found["direct@bonus0"] == found["outcome"]
    assert found["oracle"]["tidy"] == pytest.approx(0.0, abs=1e-12)


def test_gated_rewards_exact_numbers():
    # by hand: work, work, submit, each turn with 9/10 that the environment holds: 0.9^3 handed in, half of them right
    policy = np.zeros((gated.TURNS, 3, 3))
    policy[:, :2, gated.WORK] = policy[:, 2, gated.SUBMIT] = 1.0
    found = gated._exact(gated.World(chance=0.5, fails=0.1, need=2), policy)
    assert found == pytest.approx({"completion": 0.3645, "submission": 0.729, "tidy": 0.0})
