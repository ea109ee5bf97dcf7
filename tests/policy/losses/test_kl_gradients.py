"""What each estimator's value and gradient are on average: shown by enumeration of a softmax policy's tokens."""

import math

import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import AdaptiveCoefficient, kl_estimate, kl_loss, kl_penalty

REFERENCE = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
OLD = torch.tensor([0.3, 0.3, 0.3, 0.1], dtype=torch.float64)


@pytest.fixture
def logits():
    return torch.tensor([0.5, -1.0, 0.3, 0.1], dtype=torch.float64, requires_grad=True)


def policy(logits):
    """Log-probabilities of all four tokens; the mean over tokens drawn from p is sum p * (.)."""
    return logits.log_softmax(-1)


def gradient(value, logits):
    return torch.autograd.grad(value, logits)[0]


def reverse(logits):
    """KL(pi, ref), exactly."""
    logp = policy(logits)
    return (logp.exp() * (logp - REFERENCE.log())).sum()


def forward(logits):
    """KL(ref, pi), exactly."""
    return (REFERENCE * (REFERENCE.log() - policy(logits))).sum()


def same(a, b):
    return torch.allclose(a, b, atol=1e-12, rtol=0)


def test_means_of_the_values(logits):
    logp = policy(logits).detach()
    means = {k: (logp.exp() * kl_estimate(logp, REFERENCE.log(), estimator=k)).sum().item() for k in ("k1", "k2", "k3")}
    assert means["k1"] == pytest.approx(reverse(logits).item(), abs=1e-12)
    assert means["k3"] == pytest.approx(reverse(logits).item(), abs=1e-12)
    assert means["k2"] != pytest.approx(reverse(logits).item(), rel=0.05)  # near, where policies are near
    near = (REFERENCE.log() + 0.01 * torch.tensor([1.0, -1, 2, 0], dtype=torch.float64)).log_softmax(-1)
    close = [(near.exp() * kl_estimate(near, REFERENCE.log(), estimator=k)).sum().item() for k in ("k2", "k3")]
    assert close[0] == pytest.approx(close[1], rel=0.02)


@pytest.mark.parametrize(
    ("estimator", "direction"),
    [("k1", lambda x: 0 * x.sum()), ("k2", reverse), ("k3", forward)],
    ids=["k1: nothing", "k2: reverse", "k3: forward"],
)
def test_mean_gradient_as_a_loss(logits, estimator, direction):
    logp = policy(logits)
    drawn = logp.exp().detach()  # tokens are drawn, then differentiated: no gradient through the drawing
    found = gradient((drawn * kl_loss(logp, REFERENCE.log(), optimised=estimator)).sum(), logits)
    assert same(found, gradient(direction(logits), logits))


@pytest.mark.parametrize(
    ("estimator", "direction"),
    [
        ("k1", reverse),
        (
            "k2",
            lambda x: (policy(x).exp() * kl_estimate(policy(x), REFERENCE.log(), estimator="k2")).sum() - reverse(x),
        ),
        ("k3", lambda x: reverse(x) - forward(x)),
    ],
)
def test_mean_policy_gradient_as_a_penalty(logits, estimator, direction):
    logp = policy(logits)
    reward = kl_penalty(logp, REFERENCE.log(), kl_coef=1.0, estimator=estimator)
    assert not reward.requires_grad
    ascent = gradient((logp.exp().detach() * reward * logp).sum(), logits)
    assert same(ascent, -gradient(direction(logits), logits))


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_with_the_ratio_old_tokens_have_the_gradient_of_the_reverse_kl(logits, estimator):
    logp = policy(logits)
    ratio = (logp - OLD.log()).exp()
    loss = (OLD * kl_loss(logp, REFERENCE.log(), optimised=estimator, ratio=ratio)).sum()
    assert loss.item() == pytest.approx(reverse(logits).item(), abs=1e-12)
    assert same(gradient(loss, logits), gradient(reverse(logits), logits))


@pytest.mark.parametrize(
    ("estimator", "direction"),
    [("k1", lambda x: 0 * x.sum()), ("k2", reverse), ("k3", forward)],
    ids=["k1: nothing", "k2: reverse", "k3: forward"],
)
def test_with_a_constant_ratio_old_tokens_have_the_gradients_of_fresh_ones(logits, estimator, direction):
    logp = policy(logits)
    ratio = (logp - OLD.log()).exp().detach()
    found = gradient((OLD * kl_loss(logp, REFERENCE.log(), optimised=estimator, ratio=ratio)).sum(), logits)
    assert same(found, gradient(direction(logits), logits))


def test_k2_leaves_the_gradient_of_the_ratio_out():
    """pi = (1/2, 1/2), ref = (1/4, 3/4): d = (ln 2, ln 2/3), grad KL = pi_0 (d_0 - KL) = (d_0 - d_1) / 4 = ln 3 / 4."""
    logits = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    logp, ref = policy(logits), torch.tensor([0.25, 0.75], dtype=torch.float64).log()
    loss = kl_loss(logp, ref, optimised="k2", ratio=(logp - logp.detach()).exp())
    assert gradient((0.5 * loss).sum(), logits).tolist() == pytest.approx([math.log(3) / 4, -math.log(3) / 4])


def test_one_is_optimised_and_another_reported(logits):
    both = kl_loss(policy(logits), REFERENCE.log(), optimised="k2", reported="k3")
    plain = {k: kl_estimate(policy(logits), REFERENCE.log(), estimator=k) for k in ("k2", "k3")}
    assert same(both, plain["k3"])
    assert same(gradient(both.sum(), logits), gradient(plain["k2"].sum(), logits))


def test_by_hand():
    logp, ref = torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -1.0])
    # d = 1 and -1: e^-1 - 1 + 1 = 0.3679 and e - 1 - 1 = 0.7183
    assert kl_estimate(logp, ref, estimator="k1").tolist() == [1, -1]
    assert kl_estimate(logp, ref, estimator="k2").tolist() == [0.5, 0.5]
    assert kl_estimate(logp, ref, estimator="k3").tolist() == pytest.approx([0.3678794, 0.7182818])
    assert kl_penalty(logp, ref, kl_coef=0.1).tolist() == pytest.approx([-0.1, 0.1])


def test_adaptive_coefficient_by_hand():
    start = AdaptiveCoefficient(value=0.2, target=6.0, horizon=1000.0)
    # twice the target: the error is cut at 0.2, and 0.2 * 100 / 1000 = 0.02
    assert start.updated(12.0, 100).value == pytest.approx(0.204)
    assert start.updated(0.0, 100).value == pytest.approx(0.196)
    # 6.6 is a tenth above: 0.1 * 100 / 1000
    assert start.updated(6.6, 100).value == pytest.approx(0.202)
    assert start.updated(float("nan"), 100) == start
    assert start.updated(6.0, 100) == start
    moved = start.updated(12.0, 100)
    assert start.restored(moved.state()) == moved


def test_errors_say_what_is_wrong():
    a, b = torch.zeros(2), torch.zeros(3)
    with pytest.raises(ShapeError, match=r"kl: \(2,\) and \(3,\) log-probabilities"):
        kl_estimate(a, b)
    with pytest.raises(InputError, match="estimator 'k4' is not known"):
        kl_loss(a, a, optimised="k4")
    with pytest.raises(InputError, match="kl_coef is -1"):
        kl_penalty(a, a, kl_coef=-1.0)
    with pytest.raises(InputError, match=r"adaptive coefficient: value is 0\.0"):
        AdaptiveCoefficient(value=0.0)
    with pytest.raises(InputError, match="n is 50000 for a horizon of 10000"):
        AdaptiveCoefficient().updated(1.0, 50_000)
