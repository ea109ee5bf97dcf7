"""B-Coder: what its Q function is at the start, what its operator does, and the reward that it gives back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import conservative_loss, conservative_targets, q_values, recovered_rewards


def random(seed, *shape):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def test_q_is_the_language_model():
    logits, value = random(0, 5, 7), random(1, 5)
    for alpha in (0.3, 1.0, 4.0):
        q = q_values(logits, value, alpha=alpha, highest=None)
        assert torch.allclose((q / alpha).softmax(-1), logits.softmax(-1), atol=1e-12)
        # the best token's advantage is 0 in every state
        assert torch.allclose(q.amax(-1), value, atol=1e-12)
    assert q_values(logits, value + 9.0).max() == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1))
def test_the_operator_contracts(seed, gamma):
    reward, prior, last = random(seed, 6), random(seed + 1, 6, 4), torch.tensor([0, 0, 1, 0, 1, 0])
    one, other = random(seed + 2, 6, 4), random(seed + 3, 6, 4)
    apart = conservative_targets(reward, one, prior, last, gamma=gamma) - conservative_targets(
        reward, other, prior, last, gamma=gamma
    )
    assert apart.abs().max() <= gamma * (one - other).abs().max() + 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999))
def test_at_the_fixed_point_the_reward_comes_back(seed):
    """A little deterministic world of five states and three tokens; the last state ends."""
    rng = np.random.default_rng(seed)
    states, tokens = 5, 3
    leads = torch.tensor(rng.integers(0, states, (states, tokens)))
    reward, prior = torch.tensor(rng.normal(size=(states, tokens))), torch.tensor(rng.normal(size=(states, tokens)))
    ends = (leads == states - 1).reshape(-1)

    def operator(q):
        return conservative_targets(
            reward.reshape(-1), q[leads].reshape(-1, tokens), prior[leads].reshape(-1, tokens), ends, gamma=0.9
        ).reshape(states, tokens)

    q = torch.zeros_like(reward)
    for _ in range(400):
        q = operator(q)
    assert torch.allclose(operator(q), q, atol=1e-12)
    taken = torch.arange(tokens).repeat(states)
    back = recovered_rewards(
        q.repeat_interleave(tokens, 0),
        taken,
        q[leads].reshape(-1, tokens),
        prior[leads].reshape(-1, tokens),
        ends,
        gamma=0.9,
    )
    assert torch.allclose(back, reward.reshape(-1), atol=1e-12)


def test_targets_by_hand():
    q, prior = torch.tensor([[1.0, 5.0], [2.0, 7.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # the prior takes the first token, not the greatest Q; the second is the last of its completion
    assert conservative_targets(torch.tensor([0.0, -0.3]), q, prior, torch.tensor([0, 1]), gamma=0.5).tolist() == (
        pytest.approx([0.5, -0.3])
    )


def test_loss_by_hand():
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    value = torch.tensor([0.5, 0.25], dtype=torch.float64, requires_grad=True)
    taken, target = torch.tensor([0, 0]), torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = conservative_loss(logits, value, taken, target, torch.tensor([1, 0]), beta_adv=0.5, beta_ce=2.0)
    # Q = 0 - 1 + 0.5 and 0 + 0.25
    assert found.error.tolist() == pytest.approx([0.25, 0.5625])
    assert found.margin.tolist() == [1, 0]
    assert found.likelihood.tolist() == pytest.approx([math.log1p(math.e), 0])
    assert found.total.tolist() == pytest.approx([0.25 + 0.5 + 2 * math.log1p(math.e), 0.5625])
    # 2 (Q - target) by V
    assert torch.autograd.grad(found.total.sum(), value)[0].tolist() == pytest.approx([-1.0, -1.5])


def test_errors_say_what_is_wrong():
    logits, value = torch.zeros(3, 2), torch.zeros(3)
    with pytest.raises(ShapeError, match=r"values \(2,\) for logits \(3, 2\)"):
        q_values(logits, value[:2])
    with pytest.raises(InputError, match="alpha is 0"):
        q_values(logits, value, alpha=0.0)
    with pytest.raises(InputError, match="gamma is 2"):
        conservative_targets(value, logits, logits, value, gamma=2.0)
    with pytest.raises(ShapeError, match="do not belong together"):
        conservative_targets(value[:2], logits, logits, value)
    taken = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(InputError, match=r"weights are -1\.0 and 0\.1"):
        conservative_loss(logits, value, taken, value, value, beta_adv=-1.0)
    with pytest.raises(ShapeError, match=r"tokens \(3,\), targets \(2,\)"):
        conservative_loss(logits, value, taken, value[:2], value)
