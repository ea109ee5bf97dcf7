"""Smoke runs of the experiments on likelihood-based rewards: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab import find_experiment, instances, run_experiment
from plaudit.lab.experiments.rewards.reference_probability.experiment import auc


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def no_fit(pairs, *, seed, size):
    raise AssertionError("not asked for")


@pytest.mark.parametrize("name", ["implicit_reward", "density_ratio", "reference_probability"])
def test_smoke_runs(name, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_CACHE", str(cache))
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    experiment = find_experiment(name)
    rows = instances(experiment.claim, "development", count=1)
    arms = run_experiment(experiment, rows, folder=tmp_path, fit=no_fit, smoke=True)["development-0"]
    assert set(arms) == set(experiment.claim.arms)
    values = {arm: numbers[experiment.claim.metric] for arm, numbers in arms.items()}
    assert all(0 <= v <= 1 for v in values.values())
    assert values["oracle"] in (1.0, 0.5)  # 1/2 where the tiny policy's few solutions are all wrong
    if name == "density_ratio":
        assert values["gap_0"] == 0.5  # a policy over itself knows nothing
        assert values["oracle"] == 1.0


def test_auc_by_hand():
    # right: 3 and 1; wrong: 1 and 0. 3 beats both, 1 ties one and beats the other: (2 + 1.5) / 4
    assert auc(np.array([3.0, 1.0, 1.0, 0.0]), np.array([1, 1, 0, 0])) == 0.875
    assert auc(np.array([3.0]), np.array([1.0])) == 0.5
