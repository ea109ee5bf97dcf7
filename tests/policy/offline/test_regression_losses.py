"""Regressions of log-ratios, games of preferences and losses of tokens: hand values, minimisers, what they refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.offline import losses
from plaudit.shaping.steps import contrastive_token_rewards

numbers = st.floats(-10, 10)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def softplus(x):
    return math.log1p(math.exp(x))


HAND = {
    # (2 + 1 - (4 - 2) / 2)^2 = (3 - 1)^2
    "rebel": (losses.rebel, (2.0, -1.0, 4.0, 2.0), {"beta": 2.0}, 4.0),
    # (2 - 3 / 1.5)^2 = 0, and (2 - 3 / 3)^2 = 1
    "gpo at its target": (losses.gpo, (2.0, 3.0), {"beta": 1.5}, 0.0),
    "gpo": (losses.gpo, (2.0, 3.0), {"beta": 3.0}, 1.0),
    # p = sigmoid(log 3) = 3/4, z = 0.5 * 2 = 1
    "dno": (
        losses.dno, (1.0, -1.0, math.log(3), 0.0), {"beta": 0.5}, 0.75 * softplus(-1) + 0.25 * softplus(1)
    ),
    # at pi = pi_t = ref the catalogue's 1 / (4 eta^2) [146]
    "inpo at the start": (losses.inpo, (0.0, 0.0), {"eta": 0.5, "tau": 0.1}, 1.0),
    "inpo": (losses.inpo, (2.0, 0.0), {"eta": 0.5, "tau": 0.1}, 1.0),
    # the catalogue's value [116]: c = 3/4, z = 1
    "cream": (losses.consistent, (10.0, 0.0, 0.75), {"beta": 0.1}, 0.5632616875182228),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_hand_values(name):
    function, arguments, options, expected = HAND[name]
    assert float(function(*(t(x) for x in arguments), **options)) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(numbers, numbers, numbers, numbers, numbers, st.floats(0.1, 5))
def test_scores_are_read_up_to_a_constant_and_pairs_in_any_order(c, r, up, down, shift, beta):
    for function in (losses.rebel, losses.dno):
        one = function(t(c), t(r), t(up), t(down), beta=beta)
        moved = function(t(c), t(r), t(up + shift), t(down + shift), beta=beta)
        turned = function(t(r), t(c), t(down), t(up), beta=beta)
        torch.testing.assert_close(moved, one, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(turned, one, atol=1e-8, rtol=1e-8)


def test_rebel_leads_to_the_tilted_policy():
    """Over all pairs of five answers, gradient descent ends at softmax(log ref + r / beta) [107]."""
    rng = np.random.default_rng(0)
    reference, reward, beta = t(*rng.normal(size=5)).log_softmax(0), t(*rng.normal(size=5)), 0.7
    logits = reference.clone().requires_grad_()
    i, j = torch.triu_indices(5, 5, offset=1)
    descent = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        descent.zero_grad()
        x = logits.log_softmax(0) - reference
        loss = losses.rebel(x[i], x[j], reward[i], reward[j], beta=beta).sum()
        loss.backward()
        return loss

    descent.step(closure)
    expected = (reference + reward / beta).softmax(0)
    torch.testing.assert_close(logits.detach().softmax(0), expected, atol=1e-6, rtol=0)


def test_inpo_is_a_step_of_mirror_descent():
    """Over both orders with their probabilities, the least h is (2 P - 1) / (2 eta): two answers, P = 0.8 [146]."""
    p, eta, tau = 0.8, 0.5, 0.2
    reference, start = t(0.3, 0.7).log(), t(0.6, 0.4).log()
    base = losses.blended(reference, start, eta=eta, tau=tau)
    torch.testing.assert_close(base, 0.4 * reference + 0.6 * start)
    # pi_{t+1} prop ref^(tau/eta) pi_t^(1 - tau/eta) exp(P(y > pi_t) / eta), with P(y > pi_t) = pi_t(other) P + pi_t / 2
    wins = t(0.6 * 0.5 + 0.4 * p, 0.6 * (1 - p) + 0.4 * 0.5)
    step = (base + wins / eta).log_softmax(0)
    x = step - base

    def value(difference):
        both = (
            losses.inpo(t(difference), t(0.0), eta=eta, tau=tau),
            losses.inpo(t(0.0), t(difference), eta=eta, tau=tau),
        )
        return float(p * both[0] + (1 - p) * both[1])

    least = (2 * p - 1) / (2 * eta)
    assert value(least) < min(value(least - 1e-3), value(least + 1e-3))
    # P(a > pi_t) - P(b > pi_t) = P - 1/2 whatever pi_t is, so the step's difference is the same
    assert float(x[0] - x[1]) == pytest.approx(least, abs=1e-12)


@settings(deadline=None)
@given(numbers, numbers, st.floats(0, 0.49))
def test_consistency_is_a_label_that_may_be_wrong(c, r, e):
    found = losses.consistent(t(c), t(r), t(1 - e), beta=0.3)
    torch.testing.assert_close(found, losses.dpo(t(c), t(r), beta=0.3, label_smoothing=e), atol=1e-12, rtol=0)


def test_one_half_teaches_nothing_where_policy_and_reference_are_one():
    c = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    losses.consistent(c, t(0.0), t(0.5)).sum().backward()
    assert float(c.grad) == 0


def test_dft_has_the_gradient_of_the_probability():
    """[124]: the gradient of -sum w pi; a token that is not to be said has none."""
    logps, said = t(-0.1, -2.0, -5.0).requires_grad_(), t(1.0, 1.0, 0.0)
    found = losses.dft(logps, said)
    found.backward()
    assert found.item() == pytest.approx(0.1 * math.exp(-0.1) + 2 * math.exp(-2), abs=1e-12)
    assert logps.grad.tolist() == pytest.approx([-math.exp(-0.1), -math.exp(-2.0), 0.0], abs=1e-12)


def test_token_regularisation():
    """[14]: -alpha w (mean r b over chosen + over rejected); its gradient is -alpha w beta r / |y| at each token."""
    differences = t(1.0, 3.0, -2.0).requires_grad_()
    rewards, owner, pairs = t(0.5, -0.25, 0.1), torch.tensor([0, 0, 1]), torch.tensor([[0, 1]])
    found = losses.token_regularisation(differences, rewards, owner, pairs, beta=0.5, alpha=0.2)
    # b: 0.5, 1.5 and -1; sums 2 and -1, so w = sigmoid(-3); (0.25 - 0.375) / 2 + (-0.1)
    weight = 1 / (1 + math.exp(3))
    assert found.tolist() == pytest.approx([-0.2 * weight * (-0.0625 - 0.1)], abs=1e-12)
    found.sum().backward()
    slope = [-0.2 * weight * 0.5 * x for x in (0.5 / 2, -0.25 / 2, 0.1)]
    assert differences.grad.tolist() == pytest.approx(slope, abs=1e-12)
    same = contrastive_token_rewards([-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0])  # one prompt twice: no reward at all
    nothing = losses.token_regularisation(differences.detach(), t(*same), owner, pairs, beta=0.5, alpha=0.2)
    assert nothing.tolist() == [0.0]


def test_t_reg_without_weight_is_dpo():
    differences, owner, pairs = t(1.0, 3.0, -2.0), torch.tensor([0, 0, 1]), torch.tensor([[0, 1]])
    given_ = (t(4.0), t(-2.0), differences, t(0.5, -0.25, 0.1), owner, pairs)
    assert losses.t_reg(*given_, alpha=0.0).tolist() == losses.dpo(t(4.0), t(-2.0)).tolist()
    extra = losses.token_regularisation(*given_[2:], beta=0.1, alpha=0.5)
    assert losses.t_reg(*given_, alpha=0.5).tolist() == (losses.dpo(t(4.0), t(-2.0)) + extra).tolist()
    with pytest.raises(InputError, match=r"t_reg: alpha is -1\.0"):
        losses.t_reg(*given_, alpha=-1.0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: losses.inpo(t(1.0), t(1.0), eta=0.1, tau=0.1), InputError,
            r"inpo: tau is 0.1 and eta 0.1; tau must be below eta",
        ),
        (lambda: losses.blended(t(1.0), t(1.0), eta=0.1, tau=0.0), InputError, r"inpo: tau is 0.0"),
        (lambda: losses.rebel(t(1.0), t(1.0), t(1.0), t(1.0), beta=-1.0), InputError, r"rebel: beta is -1.0"),
        (lambda: losses.gpo(t(1.0), t(1.0, 2.0)), ShapeError, r"gpo: score has shape \(2,\) and ratio \(1,\)"),
        (lambda: losses.dft(t(1.0), t(1.0, 2.0)), ShapeError, r"dft: \(1,\) log-probabilities"),
        (
            lambda: losses.token_regularisation(
                t(1.0), t(1.0, 2.0), torch.tensor([0]), torch.tensor([[0, 0]]), beta=1.0, alpha=1.0
            ),
            ShapeError, r"token_regularisation: \(1,\) log-ratios, \(2,\) rewards",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
