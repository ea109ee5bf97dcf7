"""Estimators beside those of verl's `core_algos`, in float64, on the same padded tensors."""

import warnings

import numpy as np
import pytest
import torch

from plaudit.policy import AdvantageInputs
from plaudit.policy.advantages import LeaveOneOut, ReinforcePlusPlus, ReinforcePlusPlusBaseline, ValueBased
from plaudit.policy.losses import AdaptiveCoefficient

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("verl", reason="verl is not installed")
    from verl.trainer.config import AlgoConfig
    from verl.trainer.ppo import core_algos

LENGTHS = np.array([3, 5, 1, 4, 2, 2])
GROUPS = np.array([0, 0, 0, 1, 1, 1])
KL = 0.1


@pytest.fixture
def batch():
    rng = np.random.default_rng(3)
    t = int(LENGTHS.sum())
    return AdvantageInputs(
        rng.normal(size=6), GROUPS, LENGTHS, values=rng.normal(size=t), logp=-rng.exponential(size=t),
        ref_logp=-rng.exponential(size=t),
    )  # fmt: skip


def padded(batch, flat):
    mask = np.arange(LENGTHS.max()) < LENGTHS[:, None]
    table = np.zeros(mask.shape)
    table[mask] = flat
    return torch.tensor(table), torch.tensor(mask, dtype=torch.float64)


def rewards(batch, kl_coef):
    """verl's token-level rewards: the score at the last token, less the penalty."""
    score = np.zeros(int(LENGTHS.sum()))
    score[np.cumsum(LENGTHS) - 1] = batch.reward
    logp, ref = (torch.tensor(x) for x in (batch.logp, batch.ref_logp))
    return padded(batch, score - kl_coef * core_algos.kl_penalty(logp, ref, "kl").numpy())


def same(found, theirs, mask):
    assert np.allclose(found, theirs.numpy()[mask.bool().numpy()], atol=1e-9, rtol=0)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0)])
def test_gae(batch, gamma, lam):
    table, mask = rewards(batch, KL)
    values, _ = padded(batch, batch.values)
    theirs, returns = core_algos.compute_gae_advantage_return(table, values, mask, gamma, lam)
    found = ValueBased(gamma=gamma, lam=lam, kl_coef=KL)(batch)
    same(found.token, theirs, mask)
    same(found.returns, returns, mask)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_reinforce_plus_plus(batch, gamma):
    table, mask = rewards(batch, KL)
    theirs, returns = core_algos.compute_reinforce_plus_plus_outcome_advantage(
        table, mask, config=AlgoConfig(gamma=gamma)
    )
    found = ReinforcePlusPlus(kl_coef=KL, gamma=gamma)(batch)
    same(found.token, theirs, mask)
    same(found.returns, returns, mask)


def test_reinforce_plus_plus_baseline(batch):
    table, mask = rewards(batch, 0.0)
    theirs, _ = core_algos.compute_reinforce_plus_plus_baseline_outcome_advantage(table, mask, index=GROUPS)
    same(ReinforcePlusPlusBaseline()(batch).token, theirs, mask)


@pytest.mark.parametrize("kl_coef", [0.0, KL])
def test_rloo(batch, kl_coef):
    table, mask = rewards(batch, kl_coef)
    theirs, _ = core_algos.compute_rloo_outcome_advantage(table, mask, index=GROUPS)
    same(LeaveOneOut(kl_coef=kl_coef)(batch).flat(LENGTHS), theirs, mask)


def test_adaptive_coefficient():
    theirs = core_algos.AdaptiveKLController(0.2, 6.0, 1000.0)
    ours = AdaptiveCoefficient(0.2, 6.0, 1000.0)
    for kl in (1.0, 5.9, 6.3, 40.0):
        theirs.update(kl, 64)
        ours = ours.updated(kl, 64)
        assert ours.value == pytest.approx(theirs.value, abs=1e-12)
