"""DNO and INPO over the pairs of a group beside a slow loop, and where they are least."""

import math

import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import TokenBatch, dno_pairs, inpo_pairs, outcome_loss, outcome_pairs

LENGTHS, GROUPS = [3, 1, 2, 4, 2], [0, 0, 0, 1, 1]
WORTH = [0.9, 0.2, 0.4, 0.7, 0.3]


def columns(batch):
    at = batch.owner
    return torch.tensor(WORTH, dtype=torch.float64)[at], torch.tensor(GROUPS, dtype=torch.float64)[at]


def siblings(i):
    return [j for j in range(5) if j != i and GROUPS[j] == GROUPS[i]]


def test_dno_beside_a_slow_loop(make_batch):
    batch = make_batch(LENGTHS)
    reward, group = columns(batch)
    x = [float((batch.logp.detach() - batch.old_logp)[batch.owner == i].sum()) for i in range(5)]
    for i in range(5):
        parts = []
        for j in siblings(i):
            p, z = 1 / (1 + math.exp(WORTH[j] - WORTH[i])), 0.3 * (x[i] - x[j])
            parts.append(-p * math.log(1 / (1 + math.exp(-z))) - (1 - p) * math.log(1 / (1 + math.exp(z))))
        found = dno_pairs(batch, reward=reward, group=group, beta=0.3).loss[batch.owner == i]
        assert found.tolist() == pytest.approx([sum(parts) / len(parts) / LENGTHS[i]] * LENGTHS[i], abs=1e-12)


def test_inpo_beside_a_slow_loop(make_batch):
    batch = make_batch(LENGTHS)
    reward, group = columns(batch)
    ref = batch.old_logp - 0.1 * torch.arange(12, dtype=torch.float64)
    blend = 0.4 * ref + 0.6 * batch.old_logp  # tau / eta = 0.2 / 0.5
    h = [float((batch.logp.detach() - blend)[batch.owner == i].sum()) for i in range(5)]
    told = inpo_pairs(batch, reward=reward, group=group, ref_logp=ref, eta=0.5, tau=0.2)
    total = sum(
        (h[i] - h[j] - (WORTH[i] - WORTH[j]) / 0.5) ** 2 / len(siblings(i)) for i in range(5) for j in siblings(i)
    )
    assert told.loss.sum().item() == pytest.approx(total, rel=1e-12)


def test_inpo_is_least_at_the_mirror_step():
    """`pi_ref^(tau / eta) pi_t^(1 - tau / eta) exp(r / eta)`, completions of one token."""
    draw = torch.Generator().manual_seed(0)
    ref, old = (torch.randn(5, generator=draw, dtype=torch.float64).log_softmax(0) for _ in range(2))
    worth = torch.rand(5, generator=draw, dtype=torch.float64)
    best = ((0.1 / 0.3) * ref + (1 - 0.1 / 0.3) * old + worth / 0.3).log_softmax(0).requires_grad_()
    owner, group = torch.arange(5), torch.zeros(5, dtype=torch.float64)

    def loss(logp):
        batch = TokenBatch(logp, old, torch.zeros(5, dtype=torch.float64), owner, 5)
        return inpo_pairs(batch, reward=worth, group=group, ref_logp=ref, eta=0.3, tau=0.1).loss.sum()

    assert loss(best).item() == pytest.approx(0, abs=1e-20)
    assert loss(old.clone()).item() > 1


def test_groups_do_not_meet(make_batch):
    """The loss of two groups is that of each by itself, so that rows and micro-batches add up."""
    batch = make_batch(LENGTHS)
    reward, group = columns(batch)
    whole = dno_pairs(batch, reward=reward, group=group).loss
    first = batch.owner < 3
    alone = TokenBatch(batch.logp[first], batch.old_logp[first], batch.advantage[first], batch.owner[first], 3)
    assert torch.equal(dno_pairs(alone, reward=reward[first], group=group[first]).loss, whole[first])
    lonely = TokenBatch(batch.logp[:3], batch.old_logp[:3], batch.advantage[:3], batch.owner[:3], 1)
    assert not dno_pairs(lonely, reward=reward[:3], group=group[:3]).loss.any()


def test_on_fresh_samples_dno_raises_what_wins_more(make_batch):
    """At x = 0 the gradient in x_i is the mean over j of beta (1/2 - sigmoid(r_i - r_j)), from both sides."""
    batch = make_batch([1, 1], spread=0.0)
    worth = torch.tensor([0.8, 0.3], dtype=torch.float64)
    told = dno_pairs(batch, reward=worth, group=torch.zeros(2, dtype=torch.float64), beta=0.1)
    (grad,) = torch.autograd.grad(told.loss.sum(), batch.logp)
    slope = 2 * 0.1 * (0.5 - 1 / (1 + math.exp(-0.5)))
    assert grad.tolist() == pytest.approx([slope, -slope], abs=1e-12)
    assert slope < 0


def test_outcomes_a_token_are_those_of_their_completions(make_batch):
    batch = make_batch(LENGTHS)
    correct = torch.tensor([True, False, False, True, False])
    found = outcome_pairs(batch, correct=correct[batch.owner].double(), wrong=0.3).loss
    assert torch.equal(found, outcome_loss(batch, torch.ones(12, dtype=torch.float64), correct, wrong=0.3).loss)


def test_what_does_not_fit(make_batch):
    batch = make_batch(LENGTHS)
    reward, group = columns(batch)
    with pytest.raises(ShapeError, match=r"pairs: rewards \(2,\) and groups \(12,\) for \(12,\) tokens"):
        dno_pairs(batch, reward=reward[:2], group=group)
    with pytest.raises(ShapeError, match=r"inpo_pairs: \(3,\) and \(12,\)"):
        inpo_pairs(batch, reward=reward, group=group, ref_logp=reward[:3])
    with pytest.raises(InputError, match=r"tau is 0\.2 and eta 0\.1; tau must be below eta"):
        inpo_pairs(batch, reward=reward, group=group, ref_logp=reward, eta=0.1, tau=0.2)
