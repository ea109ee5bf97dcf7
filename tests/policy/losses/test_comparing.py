"""Pairwise policy gradients and CODPO: by hand, and beside what they become in special cases."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import TokenBatch, clipped, codpo_pairs, constrained_preference_loss, pairwise_gradient
from plaudit.shaping.constraints import contrast_allowed
from plaudit.shaping.groups import leave_one_out, pairs_within


def slow(ratio, pairs, difference, low, high):
    total = 0.0
    for (i, j), d in zip(pairs, difference, strict=True):
        for w, x in ((ratio[i], d), (ratio[j], -d)):
            total -= min(w * x, min(max(w, 1 - low), 1 + high) * x) / 2
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0, 0.5), st.floats(0, 0.5))
def test_pairs_beside_a_slow_loop(make_batch, seed, low, high):
    rng = np.random.default_rng(seed)
    batch = make_batch([2, 1, 3, 1, 2], seed=seed, spread=0.5)
    pairs = pairs_within([0, 0, 0, 1, 1])
    difference = rng.normal(size=len(pairs))
    found = pairwise_gradient(batch, torch.tensor(pairs), torch.tensor(difference), clip_low=low, clip_high=high)
    by_completion = batch.mean_by(found.loss)  # the same for all tokens of a completion
    ratio = batch.sum_by(batch.logp - batch.old_logp).exp().tolist()
    assert by_completion.sum().item() == pytest.approx(slow(ratio, pairs, difference, low, high), abs=1e-9)


def test_where_ratios_are_one_it_is_leave_one_out(make_batch):
    fresh = make_batch([2, 1, 3, 2], spread=0.0)
    batch = TokenBatch(fresh.logp, fresh.logp.detach(), fresh.advantage, fresh.owner, 4)
    reward, pairs = np.array([1.0, 0.2, -3, 0.5]), pairs_within([0, 0, 0, 0])
    difference = torch.tensor(reward[pairs[:, 0]] - reward[pairs[:, 1]])
    found = torch.autograd.grad(
        batch.mean_by(pairwise_gradient(batch, torch.tensor(pairs), difference).loss).sum(), batch.logp
    )
    expected = -1.5 * leave_one_out(reward, [0] * 4)  # (g - 1) / 2 of it
    assert found[0].tolist() == pytest.approx(expected[fresh.owner].tolist())


def test_one_that_wins_and_loses_is_cut_on_both_sides():
    # ratio 1.5: as a winner (+1) it is cut, as a loser (-1) it is not; a mean advantage of 0 would say nothing
    logp = torch.tensor([math.log(1.5), 0, 0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(3, dtype=torch.float64)
    batch = TokenBatch(logp, zero, zero, torch.arange(3), 3)
    pairs, difference = torch.tensor([[0, 1], [2, 0]]), torch.tensor([1.0, 1.0], dtype=torch.float64)
    found = pairwise_gradient(batch, pairs, difference)
    # -min(1.5, 1.2) / 2 + max(1.5, 1.2) / 2; 1 loses, 2 wins
    assert found.loss.tolist() == pytest.approx([0.15, 0.5, -0.5])
    assert torch.autograd.grad(found.loss.sum(), logp)[0].tolist() == pytest.approx([0.75, 0.5, -0.5])
    assert found.watched.shares()["clipped_high"] == pytest.approx(1 / 3)


def test_with_one_pair_it_is_the_clipped_loss(make_batch):
    batch = make_batch([2, 3], advantage=[0.7, -0.7], spread=0.5)
    found = pairwise_gradient(batch, torch.tensor([[0, 1]]), torch.tensor([1.4], dtype=torch.float64))
    assert torch.allclose(found.loss, clipped(batch, level="sequence-sum").loss, atol=1e-12)


def test_codpo_by_hand():
    logp = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([-2.0, -2.0, -1.0], dtype=torch.float64)
    owner = torch.tensor([0, 0, 1])
    pairs = torch.tensor(contrast_allowed([0.9, 0.8], [1, 0], [0, 0]))
    assert pairs.tolist() == [[0, 1]]
    loss = constrained_preference_loss(logp, ref, owner, 2, pairs, beta=0.5, likelihood=0.2)
    # x = 1 and -2: log(1 + e^-1.5), and 0.2 * 1.5 nats a token
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1.5)) + 0.3)
    s = 0.5 / (1 + math.exp(1.5))
    assert torch.autograd.grad(loss, logp)[0].tolist() == pytest.approx([-s - 0.1, -s - 0.1, s])
    nothing = torch.zeros((0, 2), dtype=torch.int64)
    assert constrained_preference_loss(logp, ref, owner, 2, nothing).item() == 0


def test_codpo_of_a_batch_is_the_mean_over_its_pairs(make_batch):
    """Prompt 0: the second beats the first, the third takes no part; prompt 1: the fourth beats the fifth."""
    batch = make_batch([2, 1, 3, 2, 2], advantage=[-1.0, 1.0, 0.0, 1.0, -1.0], spread=0.5)
    ref = batch.old_logp + torch.linspace(-0.3, 0.4, len(batch.owner), dtype=torch.float64)
    group = torch.tensor([0.0, 0, 0, 1, 1], dtype=torch.float64)[batch.owner]
    found = codpo_pairs(batch, group=group, ref_logp=ref, beta=0.5, likelihood=0.2)
    pairs = torch.tensor([[1, 0], [3, 4]])
    wanted = constrained_preference_loss(batch.logp, ref, batch.owner, batch.n, pairs, beta=0.5, likelihood=0.2)
    by_completion = batch.sum_by(found.loss)
    # each pair stands on both of its sides: over the four completions the mean is that over the two pairs
    assert by_completion.sum().item() / 4 == pytest.approx(wanted.item() / 2, abs=1e-12)
    assert by_completion[2].item() == 0
    one = torch.autograd.grad(by_completion.sum() / 4, batch.logp, retain_graph=True)[0]
    two = torch.autograd.grad(wanted / 2, batch.logp)[0]
    assert torch.allclose(one, two, atol=1e-12)
    # only one side of a pair in sight: nothing to compare with
    alone = make_batch([2, 1], advantage=[1.0, 0.0])
    zero = torch.zeros(3, dtype=torch.float64)
    assert codpo_pairs(alone, group=zero, ref_logp=alone.old_logp).loss.abs().sum().item() == 0
    twice = make_batch([2, 1], advantage=[1.0, 1.0])
    with pytest.raises(InputError, match="codpo_pairs: a group has several better or several worse completions"):
        codpo_pairs(twice, group=zero, ref_logp=twice.old_logp)
    with pytest.raises(ShapeError, match=r"codpo_pairs: \(2,\) groups and \(3,\)"):
        codpo_pairs(twice, group=zero[:2], ref_logp=twice.old_logp)


def test_errors_say_what_is_wrong(make_batch):
    batch, pairs = make_batch([2, 1]), torch.tensor([[0, 1]])
    with pytest.raises(ShapeError, match=r"pairwise_gradient: \(2,\) differences for 1 pairs"):
        pairwise_gradient(batch, pairs, torch.zeros(2))
    with pytest.raises(InputError, match="pairs name completions 0 to 2 of 2"):
        pairwise_gradient(batch, torch.tensor([[0, 2]]), torch.zeros(1))
    with pytest.raises(InputError, match=r"bounds are -1\.0 and 0\.2"):
        pairwise_gradient(batch, pairs, torch.zeros(1), clip_low=-1.0)
    with pytest.raises(ShapeError, match=r"pairs have shape \(2,\)"):
        pairwise_gradient(batch, torch.tensor([0, 1]), torch.zeros(1))
    with pytest.raises(InputError, match="likelihood is -1"):
        constrained_preference_loss(batch.logp, batch.old_logp, batch.owner, 2, pairs, likelihood=-1.0)
    with pytest.raises(ShapeError, match=r"constrained_preference_loss: \(3,\), \(2,\) and \(3,\)"):
        constrained_preference_loss(batch.logp, batch.old_logp[:2], batch.owner, 2, pairs)
