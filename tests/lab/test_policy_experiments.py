"""Smoke runs of the experiments on online algorithms: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab import find_experiment, instances, run_experiment
from plaudit.lab.experiments.policy.online_algorithms.experiment import WINDOW, Coin, curve
from plaudit.records.sample import Sample, conversation


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def no_fit(pairs, *, seed, size):
    raise AssertionError("not asked for")


@pytest.mark.parametrize("name", ["online_algorithms", "hopeless_start"])
def test_smoke_runs(name, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUDIT_CACHE", str(cache))
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    experiment = find_experiment(name)
    rows = instances(experiment.claim, "development", count=1)
    arms = run_experiment(experiment, rows, folder=tmp_path, fit=no_fit, smoke=True)["development-0"]
    assert set(arms) == set(experiment.claim.arms)
    for arm, numbers in arms.items():
        assert 0 <= numbers["accuracy"] <= numbers["pass_8"] <= 1
        assert (numbers["kl"] == 0) == (arm == "start")


def test_the_placebo_is_a_coin_that_remembers():
    samples = [Sample(conversation("q"), str(i)) for i in range(400)]
    first = Coin(1)(samples).reward
    assert first.mean() == pytest.approx(0.5, abs=0.1)
    assert (Coin(1)(samples[::-1]).reward[::-1] == first).all()
    assert (Coin(2)(samples).reward != first).mean() == pytest.approx(0.5, abs=0.1)


def test_a_curve_is_a_running_mean():
    history = [{"kl": float(i), "reward": 2.0 * i} for i in range(12)] + [{"loss": 1.0}]
    kl, reward = curve(history)
    assert len(kl) == 12 - WINDOW + 1
    assert kl.tolist() == pytest.approx([4.5, 5.5, 6.5])  # means of 0..9, 1..10, 2..11
    assert reward.tolist() == pytest.approx([9, 11, 13])
    assert np.interp(5.0, kl, reward) == pytest.approx(10)
