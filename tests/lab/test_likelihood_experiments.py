"""Smoke runs of the experiments on likelihood-based rewards: the machinery, not the claims."""

import numpy as np
import pytest

from plaudit.lab import find_experiment
from plaudit.lab.experiments.rewards.density_ratio.experiment import tilted
from plaudit.lab.experiments.rewards.reference_probability.experiment import auc


@pytest.mark.parametrize("name", ["implicit_reward", "density_ratio", "reference_probability"])
def test_smoke_runs(name, smoke):
    metric = find_experiment(name).claim.metric
    values = {arm: numbers[metric] for arm, numbers in smoke(name).items()}
    assert all(0 <= v <= 1 for v in values.values())
    assert values["oracle"] in (1.0, 0.5)  # 1/2 where the tiny policy's few solutions are all wrong
    if name == "density_ratio":
        assert values["gap_0"] == 0.5  # a policy over itself knows nothing
        assert values["oracle"] == 1.0


def test_a_policy_s_demonstrations_are_tilted_within_prompts():
    truth = np.array([[0.0, np.log(3), -50.0]] * 4000 + [[100.0, 100.0, 99.0]])
    drawn = tilted(truth, 1.0, np.random.default_rng(0))
    assert drawn.shape == (4001,)  # every prompt once, however good its candidates are
    # odds of 1 to 3 between the first two; three standard errors of 4,000 draws are 0.021
    assert np.mean(drawn[:4000] == 1) == pytest.approx(0.75, abs=0.021)
    alike = tilted(truth, 0.0, np.random.default_rng(0))
    assert np.bincount(alike, minlength=3) / 4001 == pytest.approx(1 / 3, abs=0.023)
    assert set(tilted(truth[:4000], 50.0, np.random.default_rng(0))) == {1}


def test_auc_by_hand():
    # right: 3 and 1; wrong: 1 and 0. 3 beats both, 1 ties one and beats the other: (2 + 1.5) / 4
    assert auc(np.array([3.0, 1.0, 1.0, 0.0]), np.array([1, 1, 0, 0])) == 0.875
    assert auc(np.array([3.0]), np.array([1.0])) == 0.5
