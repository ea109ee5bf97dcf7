"""Losses beside those of verl's `core_algos`, in float64, on the same padded tensors; values and gradients."""

import warnings

import numpy as np
import pytest
import torch

from plaudit.policy.losses import (
    cispo,
    clipped,
    gmpo,
    kl_loss,
    sampler_weights,
    sapo,
    token_weights,
    value_loss,
)

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("verl", reason="verl is not installed")
    from verl.trainer.ppo import core_algos
    from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights
    from verl.workers.config import ActorConfig

LENGTHS = [3, 5, 1, 4]
HOW = {"token-mean": "token", "seq-mean-token-mean": "sequence", "seq-mean-token-sum": "sequence-sum"}


@pytest.fixture
def batch(make_batch):
    return make_batch(LENGTHS, advantage=[1.2, -0.7, 0.4, -1.5], spread=0.6)


def padded(flat, batch):
    place = torch.cat([torch.arange(length) for length in LENGTHS])
    return flat.new_zeros(batch.n, max(LENGTHS)).index_put((batch.owner, place), flat)


def of_verl(name, batch, mode, *, weights=None, **options):
    config = ActorConfig(
        strategy="fsdp",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=0.2,
        clip_ratio_high=0.28,
        **options,
    )
    mask = padded(torch.ones_like(batch.logp), batch)
    found, _ = core_algos.get_policy_loss_fn(name)(
        padded(batch.old_logp, batch), padded(batch.logp, batch), padded(batch.advantage, batch), mask, mode, config,
        None if weights is None else padded(weights, batch),
    )  # fmt: skip
    return found


def ours(batch, token_loss, how):
    weights = token_weights(np.array(LENGTHS), np.ones(len(LENGTHS), bool), how=how)
    return (token_loss * torch.tensor(weights)[batch.owner]).sum()


def agree(batch, mine, theirs, atol=1e-9):
    assert mine.item() == pytest.approx(theirs.item(), abs=atol)
    slopes = [torch.autograd.grad(x, batch.logp, retain_graph=True)[0] for x in (mine, theirs)]
    assert slopes[1].abs().max() > 1e-3
    assert torch.allclose(*slopes, atol=atol, rtol=0)


CLIP = {"clip_low": 0.2, "clip_high": 0.28}
# verl divides by length + 1e-8 where it takes means of sequences
LOOSE = 1e-7


@pytest.mark.parametrize("mode", HOW)
def test_dual_clip(batch, mode):
    theirs = of_verl("vanilla", batch, mode, clip_ratio_c=1.5)
    assert (batch.log_ratio().exp()[batch.advantage < 0] > 1.5).any()
    agree(batch, ours(batch, clipped(batch, delta=1.5, **CLIP).loss, HOW[mode]), theirs, LOOSE)


def test_token_mean_to_the_last_digits(batch):
    theirs = of_verl("vanilla", batch, "token-mean", clip_ratio_c=1.5)
    agree(batch, ours(batch, clipped(batch, delta=1.5, **CLIP).loss, "token"), theirs)


def test_gspo(batch):
    theirs = of_verl("gspo", batch, "token-mean")
    agree(batch, ours(batch, clipped(batch, level="sequence-token", **CLIP).loss, "token"), theirs)


def test_cispo(batch):
    theirs = of_verl("cispo", batch, "token-mean")
    agree(batch, ours(batch, cispo(batch, low=0.8, high=1.28).loss, "token"), theirs)


def test_sapo(batch):
    agree(batch, ours(batch, sapo(batch).loss, "sequence"), of_verl("sapo", batch, "seq-mean-token-mean"), LOOSE)


def test_gmpo(batch):
    theirs = of_verl("geo_mean", batch, "token-mean")
    agree(batch, ours(batch, gmpo(batch, clip_low=0.2, clip_high=0.28).loss, "sequence"), theirs, LOOSE)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_truncated_weights_of_a_sampler(batch, level):
    sampler = batch.old_logp + torch.tensor(np.random.default_rng(5).normal(0, 1, len(batch.old_logp)))
    mine = sampler_weights(batch.old_logp, sampler, batch.owner, batch.n, level=level, high=2.0)
    mask = padded(torch.ones_like(batch.logp), batch)
    theirs, _ = compute_rollout_correction_weights(
        padded(batch.old_logp - sampler, batch), mask, rollout_is=level, rollout_is_threshold=2.0
    )
    assert torch.allclose(mine, theirs[mask.bool()], atol=1e-9, rtol=0)
    assert (mine == 2.0).any()
    loss = clipped(batch, delta=3.0, **CLIP).loss * mine
    agree(batch, ours(batch, loss, "token"), of_verl("vanilla", batch, "token-mean", weights=mine, clip_ratio_c=3.0))


@pytest.mark.parametrize(
    ("optimised", "reported", "name"), [("k1", None, "k1"), ("k2", None, "k2"), ("k3", None, "k3"), ("k2", "k3", "k3+")]
)
def test_kl(batch, optimised, reported, name):
    mine = kl_loss(batch.logp, batch.old_logp, optimised=optimised, reported=reported).sum()
    agree(batch, mine, core_algos.kl_penalty(batch.logp, batch.old_logp, name).sum())


def test_value_loss(batch):
    rng = np.random.default_rng(7)
    old, returns = (torch.tensor(rng.normal(size=len(batch.logp))) for _ in range(2))
    found = value_loss(batch.logp, old, returns, clip=0.5)
    theirs, share = core_algos.compute_value_loss(
        padded(batch.logp, batch), padded(returns, batch), padded(old, batch),
        padded(torch.ones_like(batch.logp), batch), 0.5,
    )  # fmt: skip
    agree(batch, ours(batch, found.loss, "token"), theirs)
    assert found.watched.shares()["clipped_high"] == pytest.approx(share.item(), abs=1e-6)
