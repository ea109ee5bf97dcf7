"""OREAL's loss and weights, PRIME's implicit rewards: by hand, and what the entries of the catalogue say of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import (
    TokenBatch,
    implicit_reward_loss,
    implicit_rewards,
    outcome_importance,
    outcome_loss,
    outcome_score_loss,
    outcome_weights,
    right_order,
)

OWNER = torch.tensor([0, 0, 1, 2])


def logit(p):
    return math.log(p / (1 - p))


def test_importance_at_the_beliefs_of_the_entry():
    # sigmoid(m) = 0.4, 0.5, 0.75 and nearly 1 give 0, 0, 1/2 and 1 where the outcome is right [24]
    scores = torch.tensor([logit(0.4), logit(0.5), logit(0.75), 50.0], dtype=torch.float64)
    owner, right = torch.arange(4), torch.ones(4, dtype=torch.bool)
    assert outcome_importance(scores, owner, 4, right).tolist() == pytest.approx([0, 0, 0.5, 1])
    assert outcome_importance(-scores, owner, 4, ~right).tolist() == pytest.approx([0, 0, 0.5, 1])
    assert not outcome_importance(scores[2:], owner[:2], 2, ~right[:2]).any()


def test_importance_follows_the_mean_so_far():
    scores = torch.tensor([logit(0.75), -logit(0.75), 2 * logit(0.75), logit(0.9)], dtype=torch.float64)
    # means: logit .75, 0; then the next completions begin anew: 2 logit .75 = logit .9, logit .9
    found = outcome_importance(scores, OWNER, 3, torch.tensor([True, True, True]))
    assert found.tolist() == pytest.approx([0.5, 0, 0.8, 0.8])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_importance_beside_a_slow_loop(lengths, seed):
    rng = np.random.default_rng(seed)
    scores, correct = rng.normal(0, 2, sum(lengths)), rng.random(len(lengths)) < 0.5
    owner = np.repeat(np.arange(len(lengths)), lengths)
    found = outcome_importance(torch.tensor(scores), torch.tensor(owner), len(lengths), torch.tensor(correct))
    expected, start = [], 0
    for length, right in zip(lengths, correct, strict=True):
        for s in range(length):
            p = 1 / (1 + math.exp(-np.mean(scores[start : start + s + 1])))
            expected.append(min(max(((p if right else 1 - p) - 0.5) / 0.5, 0), 1))
        start += length
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


def test_scores_are_fitted_by_their_mean():
    scores = torch.tensor([1.0, 3.0, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    correct = torch.tensor([1.0, 0.0, float("nan"), 1.0], dtype=torch.float64)
    # means 2, -1, 2 and none: log(1 + e^-2), log(1 + e^-1); the third is not known, the fourth has no token
    found = outcome_score_loss(scores, OWNER, 4, correct)
    assert found.tolist() == pytest.approx([math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), 0, 0])
    slope = torch.autograd.grad(found.sum(), scores)[0].tolist()
    # (sigmoid(mean) - label) / length
    assert slope == pytest.approx([-0.0596015, -0.0596015, 1 / (1 + math.e), 0], abs=1e-6)


def test_outcome_loss_by_hand():
    logp = torch.tensor([-1.0, -2.0, -1.0, -3.0], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([-1.5, -1.5, -1.0 - math.log(2), -1.0], dtype=torch.float64)
    batch = TokenBatch(logp, old, torch.tensor([0.5, 0.5, -0.8, 0.0], dtype=torch.float64), OWNER, 3)
    importance = torch.tensor([1.0, 0.5, 0.25, 1.0], dtype=torch.float64)
    found = outcome_loss(batch, importance, torch.tensor([True, False, False]))
    # 0.5 * 1; 0.5 * 0.5 * 2; 0.5 * 0.25 * 0.8 * ratio 2; 0
    assert found.loss.tolist() == pytest.approx([0.5, 0.5, 0.2, 0])
    slope = torch.autograd.grad(found.loss.sum(), logp)[0].tolist()
    # copied by -w A whatever the ratio, pushed by its loss itself
    assert slope == pytest.approx([-0.5, -0.25, 0.2, 0])


def test_each_kind_has_its_own_denominator():
    weights = outcome_weights(np.array([2, 3, 5, 4]), np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 1], bool))
    assert weights == pytest.approx(np.array([1 / 2, 1 / 8, 1 / 8, 0]))


def test_copying_what_is_right_is_the_optimum_of_the_regularised_outcome():
    reference = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64)
    right = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    optimum = (reference.log() + right / 0.1).log_softmax(0)  # of E[r] - 0.1 KL
    logits = optimum.clone().requires_grad_()
    drawn = reference * right / (reference * right).sum()  # what is copied: the reference's right answers
    batch = TokenBatch(logits.log_softmax(0), reference.log(), torch.ones(4, dtype=torch.float64), torch.arange(4), 4)
    loss = outcome_loss(batch, torch.ones(4, dtype=torch.float64), torch.ones(4, dtype=torch.bool)).loss
    slope = torch.autograd.grad((drawn * loss).sum(), logits)[0]
    # the two policies differ by the e^-10 that the optimum leaves the wrong
    assert slope.abs().max() < 2e-4
    away = reference.log().clone().requires_grad_()
    assert torch.autograd.grad((drawn * -away.log_softmax(0)).sum(), away)[0].abs().max() > 0.1


def test_implicit_reward_of_a_model_that_is_its_reference():
    logp = torch.tensor([-1.0, -2.0, -3.0, -0.5], dtype=torch.float64, requires_grad=True)
    assert not implicit_rewards(logp, logp.detach()).any()
    outcome = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    assert implicit_reward_loss(logp, logp.detach(), OWNER, 3, outcome).item() == pytest.approx(3 * math.log(2))


def test_implicit_rewards_by_hand():
    logp = torch.tensor([-1.0, -2.0, -3.0, -0.5], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([-2.0, -4.0, -1.0, -0.5], dtype=torch.float64)
    rewards = implicit_rewards(logp, ref, beta=0.5)
    assert rewards.tolist() == [0.5, 1, -1, 0]
    assert not rewards.requires_grad
    outcome = torch.tensor([1.0, 0.0, float("nan")], dtype=torch.float64)
    loss = implicit_reward_loss(logp, ref, OWNER, 3, outcome, beta=0.5)
    # sums 1.5 and -1: log(1 + e^-1.5) + log(1 + e^-1)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1.5)) + math.log1p(math.exp(-1)))
    slope = torch.autograd.grad(loss, logp)[0].tolist()
    # beta (sigmoid - label) for each of its tokens
    below, above = 0.5 * (1 / (1 + math.exp(-1.5)) - 1), 0.5 / (1 + math.e)
    assert slope == pytest.approx([below, below, above, 0])
    cut = implicit_reward_loss(logp, ref, OWNER, 3, outcome, beta=0.5, clip=2.0)
    # 3 nats are cut at 2, -2 is at the bound
    assert cut.item() == pytest.approx(2 * math.log1p(math.exp(-1)))


def test_order_of_right_and_wrong_by_hand():
    logp, ref = torch.tensor([1.0, 0, 1, 0, 3]), torch.zeros(5)
    owner, groups = torch.arange(5), torch.tensor([0, 0, 0, 1, 1])
    outcome = torch.tensor([1.0, 0, 0, 0, float("nan")])
    # the right one of the first group beats one of its wrong ones and ties with the other
    assert right_order(logp, ref, owner, 5, outcome, groups) == 0.75
    assert math.isnan(right_order(logp, ref, owner, 5, torch.ones(5), groups))


def test_errors_say_what_is_wrong(make_batch):
    x, ok = torch.zeros(4), torch.ones(3, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"outcome_importance: scores \(3,\), owners \(4,\)"):
        outcome_importance(x[:3], OWNER, 3, ok)
    with pytest.raises(ShapeError, match=r"implicit_rewards: \(4,\) and \(2,\)"):
        implicit_rewards(x, x[:2])
    with pytest.raises(ShapeError, match=r"outcomes \(3,\) of 2 completions"):
        implicit_reward_loss(x, x, OWNER, 2, torch.ones(3))
    with pytest.raises(InputError, match=r"labels\[0\] is 2"):
        implicit_reward_loss(x, x, OWNER, 3, torch.tensor([2.0, 0, 0]))
    batch = make_batch([2, 1, 1])
    with pytest.raises(ShapeError, match=r"outcome_loss: importance \(3,\) and outcomes \(3,\)"):
        outcome_loss(batch, x[:3], ok)
    with pytest.raises(InputError, match="wrong is -1"):
        outcome_loss(batch, x, ok, wrong=-1.0)
