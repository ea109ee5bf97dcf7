"""Losses on log-ratios and on one word: by hand, by their closed-form gradients, and their refusals."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.policies import (
    autoregressive_loss,
    implicit_ce,
    implicit_dpo,
    implicit_kto,
    implicit_nca,
    yes_no_loss,
)

RATIO = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
PAIRS = torch.tensor([[0, 1]])


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def test_cross_entropy_by_hand():
    # beta 0.5: r is 1 for the right one and -0.5 for the wrong one
    loss = implicit_ce(RATIO, items=torch.tensor([0, 1]), labels=torch.tensor([1.0, 0.0]).double(), beta=0.5)
    assert float(loss) == pytest.approx(-log_sigmoid(1.0) - log_sigmoid(0.5), abs=1e-12)
    half = implicit_ce(RATIO, items=torch.tensor([0]), labels=torch.tensor([0.5]).double(), beta=1.0,
                       weight=torch.tensor([3.0]).double())  # fmt: skip
    assert float(half) == pytest.approx(-1.5 * (log_sigmoid(2.0) + log_sigmoid(-2.0)), abs=1e-12)


def test_dpo_and_nca_by_hand():
    assert float(implicit_dpo(RATIO, PAIRS, beta=0.5)) == pytest.approx(-log_sigmoid(1.5), abs=1e-12)
    expected = -log_sigmoid(1.0) - 0.5 * log_sigmoid(-1.0) - 0.5 * log_sigmoid(0.5)
    assert float(implicit_nca(RATIO, PAIRS, beta=0.5)) == pytest.approx(expected, abs=1e-12)
    # at equal ratios DPO is log 2 and NCA, at zero, two of them
    zero = torch.zeros(2, dtype=torch.float64)
    assert float(implicit_dpo(zero, PAIRS)) == pytest.approx(math.log(2))
    assert float(implicit_nca(zero, PAIRS)) == pytest.approx(2 * math.log(2))


def test_kto_by_hand():
    # z = 1: 0.5 (2 - 1) = 0.5 and 0.5 (-1 - 1) = -1; 1 - sigmoid(0.5) for the wanted, 2 sigmoid(-1) for the other
    loss = implicit_kto(
        RATIO, items=torch.tensor([0, 1]), labels=torch.tensor([1.0, 0.0]).double(),
        baseline=torch.tensor(1.0).double(),
        beta=0.5, undesirable=2.0,
    )  # fmt: skip
    expected = 1 / (1 + math.exp(0.5)) + 2 / (1 + math.exp(1.0))
    assert float(loss) == pytest.approx(expected, abs=1e-12)
    one = dict(items=torch.tensor([0]), labels=torch.ones(1).double())
    low = [implicit_kto(RATIO, **one, baseline=torch.tensor(z).double()) for z in (-3.0, 0.0)]
    assert torch.equal(*low)  # a negative estimate of a divergence counts as zero


def test_autoregressive_by_hand():
    assert float(autoregressive_loss(RATIO, PAIRS, beta=0.1)) == pytest.approx(-log_sigmoid(0.3), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.floats(-8, -0.01), st.floats(-8, -0.01))
def test_one_word_is_cross_entropy_on_the_difference_of_logits(yes, no):
    """The gradient is that of binary cross-entropy: p(yes) - 1 on yes, 1 - p(yes) on no; labels flip symmetrically."""
    logp = torch.tensor([yes, no], dtype=torch.float64, requires_grad=True)
    loss = yes_no_loss(logp, PAIRS)
    (gradient,) = torch.autograd.grad(loss, logp)
    p = 1 / (1 + math.exp(no - yes))
    assert gradient.tolist() == pytest.approx([p - 1, 1 - p], abs=1e-12)
    assert loss.item() == pytest.approx(-math.log(p), abs=1e-9)
    flipped = yes_no_loss(logp.detach(), PAIRS.flip(1))
    assert float(flipped) == pytest.approx(float(yes_no_loss(logp.detach().flip(0), PAIRS)), abs=1e-12)


@pytest.mark.parametrize("loss", [implicit_dpo, implicit_nca, autoregressive_loss])
def test_sums_add_up_and_weights_count(loss):
    pairs = torch.tensor([[0, 1], [2, 1], [0, 2]])
    whole = loss(RATIO, pairs, beta=0.3)
    assert float(whole) == pytest.approx(sum(float(loss(RATIO, p[None], beta=0.3)) for p in pairs), abs=1e-12)
    weighted = loss(RATIO, pairs, beta=0.3, weight=torch.tensor([2.0, 0.0, 0.0]).double())
    assert float(weighted) == pytest.approx(2 * float(loss(RATIO, pairs[:1], beta=0.3)), abs=1e-12)
    assert float(loss(RATIO, torch.zeros(0, 2, dtype=torch.long))) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: implicit_dpo(RATIO, PAIRS, beta=0.0), InputError, "implicit_dpo: beta is 0.0"),
        (lambda: implicit_nca(RATIO, PAIRS, weight=torch.ones(2)), ShapeError, "implicit_nca: weight has shape (2,)"),
        (
            lambda: implicit_ce(RATIO, items=torch.tensor([0]), labels=torch.tensor([2.0])),
            InputError, "labels[0] is 2.0",
        ),
        (
            lambda: implicit_kto(RATIO, items=torch.tensor([0]), labels=torch.ones(1), baseline=torch.tensor(0.0),
                                 desirable=-1.0),
            InputError, "desirable is -1.0",
        ),
    ],
)  # fmt: skip
def test_refusals(call, error, message, unchecked_shapes):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
