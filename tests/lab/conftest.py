"""How experiments are tried: all arms of one development instance with a tiny budget."""

import numpy as np
import pytest

from plaudit.errors import InputError
from plaudit.lab.catalog import find_experiment
from plaudit.lab.running import run_experiment
from plaudit.lab.seeds import instances


def no_fit(pairs, *, seed, size):
    raise AssertionError("these experiments fit models of their own")


@pytest.fixture
def smoke(tmp_path, monkeypatch):
    """Runs an experiment's smoke version: arm to numbers. Arms are the claim's, numbers finite, other arms refused."""
    monkeypatch.setenv("PLAUDIT_QUIET", "1")

    def run(name):
        experiment = find_experiment(name)
        rows = instances(experiment.claim, "development", count=1)
        found = run_experiment(experiment, rows, folder=tmp_path, fit=no_fit, smoke=True)["development-0"]
        assert set(found) == set(experiment.claim.arms)
        assert np.isfinite([v[experiment.claim.metric] for v in found.values()]).all()
        for wrong in ("nothing", "nothing@0"):
            with pytest.raises(InputError, match=f"arm '{wrong}' is not known"):
                experiment.run_instance(rows[0].seed, wrong, budget=experiment.claim.budget["smoke"], fit=no_fit)
        return found

    return run
