"""How experiments are tried: all arms of one development instance with a tiny budget.

Experiments in the assistant world get the same instance, and blocks and calibration are small, so that the tests of a
process share one world with what was sampled from its policy. What the numbers are in a world of full size is tested
beside the worlds.
"""

from dataclasses import replace

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.catalog import find_experiment
from plaudit.lab.running import run_experiment
from plaudit.lab.seeds import instances
from plaudit.lab.worlds.assistant import prepared

SEED = 20_260
"""Of the instance that all smoke runs in the assistant world share."""


def no_fit(pairs, *, seed, size):
    raise AssertionError("these experiments fit models of their own")


@pytest.fixture(scope="session")
def lab_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def small_worlds(lab_cache, monkeypatch):
    """Worlds in a cache of their own, calibrated on 160 completions and sampled from in blocks of 40 prompts."""
    monkeypatch.setenv("PLAUDIT_CACHE", str(lab_cache))
    monkeypatch.setenv("PLAUDIT_QUIET", "1")
    monkeypatch.setattr(prepared, "CALIBRATION", (40, 4))
    monkeypatch.setattr(prepared, "_BLOCK", 40)


@pytest.fixture
def development():
    """An experiment's development instance; in the assistant world with the seed that all of them share here."""

    def found(experiment):
        (row,) = instances(experiment.claim, "development", count=1)
        return replace(row, seed=SEED) if experiment.claim.world == "assistant" else row

    return found


@pytest.fixture
def smoke(small_worlds, development, tmp_path):
    """Runs an experiment's smoke version: arm to numbers. Arms are as asked, numbers finite, unknown ones refused."""

    def run(name, arms=None, fit=no_fit, unknown=("nothing", "nothing@0")):
        experiment = find_experiment(name)
        claim, row = experiment.claim, development(experiment)
        found = run_experiment(experiment, [row], folder=tmp_path, fit=fit, smoke=True, arms=arms)["development-0"]
        assert set(found) == set(arms or claim.arms)
        assert np.isfinite([v[claim.metric] for v in found.values()]).all()
        for wrong in unknown:
            with pytest.raises(InputError, match=f"arm '{wrong}' is not known"):
                experiment.run_instance(row.seed, wrong, budget=claim.budget["smoke"], fit=fit)
        return found

    return run
