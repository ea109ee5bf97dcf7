"""Weights of another sampler, completions that are too old, entropies, and the value function's loss."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses import (
    AdaptiveEntropy,
    TokenBatch,
    decisive,
    entropies,
    entropy_bonus,
    entropy_threshold,
    fresh_enough,
    sampler_weights,
    value_loss,
)

OWNER = torch.tensor([0, 0, 1])


def weights(ratios, **more):
    sampler = torch.full((3,), -2.0, dtype=torch.float64)
    return sampler_weights(
        sampler + torch.tensor(ratios, dtype=torch.float64).log(), sampler, OWNER, 2, **more
    ).tolist()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [2, 3, 0.5]),
        ({"low": 1.0}, [2, 3, 1]),
        ({"outside": "mask", "low": 1.0}, [2, 0, 0]),
        # 2 * 4 = 8 for the first completion
        ({"level": "sequence", "high": None}, [8, 8, 0.5]),
        ({"level": "sequence"}, [3, 3, 0.5]),
        ({"level": "sequence", "outside": "mask"}, [0, 0, 0.5]),
    ],
)
def test_sampler_weights_by_hand(more, expected):
    assert weights([2.0, 4.0, 0.5], **more) == pytest.approx(expected)


def test_a_token_that_the_sampler_did_not_score_is_not_corrected():
    old = torch.tensor([-1.0, -1.0, -1.0])
    sampler = torch.tensor([float("nan"), -2.0, float("nan")])
    assert sampler_weights(old, sampler, OWNER, 2).tolist() == pytest.approx([1, math.e, 1])
    both = sampler_weights(old, sampler, OWNER, 2, level="sequence").tolist()
    assert both == pytest.approx([math.e, math.e, 1])
    # a token that the sampler would never have drawn is bounded, not NaN
    never = torch.tensor([-math.inf, -1.0, -1.0])
    assert sampler_weights(old, never, OWNER, 2).tolist() == [3, 1, 1]
    assert sampler_weights(old, never, OWNER, 2, outside="mask").tolist() == [0, 1, 1]


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.floats(0.2, 1), st.floats(1, 5))
def test_weights_keep_their_bounds(ratios, low, high):
    if low == high:
        return
    for level in ("token", "sequence"):
        cut = weights(ratios, level=level, low=low, high=high)
        kept = weights(ratios, level=level, outside="mask", low=low, high=high)
        assert all(low <= w <= high for w in cut)
        # what is masked is what was cut, and nothing else
        assert all(k in (0.0, c) for k, c in zip(kept, cut, strict=True))


def test_what_is_bad_and_old_is_dropped():
    logp = torch.tensor([-3.0, -1.0, -3.0, -3.0])
    old = torch.tensor([-1.0, -1.0, -1.0, -1.0])
    batch = TokenBatch(logp, old, torch.tensor([-1.0, -1.0, 1.0, -1.0]), torch.tensor([0, 0, 1, 2]), 3)
    # mean differences are 1, 2 and 2 nats; the second is good
    assert fresh_enough(batch, threshold=1.5).tolist() == [True, True, True, False]
    assert fresh_enough(batch, threshold=0.5).tolist() == [False, False, True, False]
    sampler = torch.tensor([float("nan"), -1.0, -1.0, -3.0])
    assert fresh_enough(batch, threshold=0.5, sampler_logp=sampler).all()


def test_entropies_by_hand():
    logits = torch.tensor([[0.0, 0.0, -math.inf], [math.log(3.0), 0.0, -math.inf]], requires_grad=True)
    # log 2; and 3/4 log 4/3 + 1/4 log 4
    expected = [math.log(2), 0.75 * math.log(4 / 3) + 0.25 * math.log(4)]
    assert entropies(logits).tolist() == pytest.approx(expected)
    slope = torch.autograd.grad(entropies(logits)[1], logits)[0][1].tolist()
    # dH/dlogit_a = -p_a (log p_a + H)
    assert slope == pytest.approx(
        [-0.75 * (math.log(0.75) + expected[1]), -0.25 * (math.log(0.25) + expected[1]), 0.0], abs=1e-6
    )


def test_decisive_tokens_and_the_bonus():
    entropy = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7])
    # the upper two fifths of five: the 0.6 quantile lies 0.4 of the way from 0.5 to 0.7
    threshold = entropy_threshold(entropy, share=0.4)
    assert threshold.item() == pytest.approx(0.58)
    assert decisive(entropy, threshold).tolist() == [False, True, False, False, True]
    assert decisive(entropy, entropy_threshold(entropy, share=1.0)).all()
    assert entropy_bonus(entropy[:2], coefficient=2.0).tolist() == pytest.approx([-0.2, -1.8])


def test_adaptive_entropy_by_hand():
    start = AdaptiveEntropy(target=0.5, coefficient=0.01, step=0.004, greatest=0.02)
    assert start.applied == 0.0  # nothing was seen
    low = start.updated(0.4)
    assert (low.coefficient, low.applied) == pytest.approx((0.014, 0.014))
    assert low.updated(0.4).updated(0.4).coefficient == 0.02
    high = low.updated(0.6)
    assert (high.coefficient, high.applied) == (pytest.approx(0.01), 0.0)
    assert start.updated(float("nan")) == start
    assert start.restored(high.state()) == high
    assert start.restored(start.state()) == start


def test_value_loss_by_hand():
    value = torch.tensor([1.5, 1.5, 0.9], dtype=torch.float64, requires_grad=True)
    old, returns = torch.ones(3, dtype=torch.float64), torch.tensor([2.0, 0.0, 2.0], dtype=torch.float64)
    found = value_loss(value, old, returns, clip=0.2)
    # (0.5^2, 0.8^2), (1.5^2, 1.2^2), (1.1^2, 1.1^2), the greater of each, halved
    assert found.loss.tolist() == pytest.approx([0.32, 1.125, 0.605])
    # beyond the band on the side of the return the cut term is the greater, and has no slope
    assert torch.autograd.grad(found.loss.sum(), value)[0].tolist() == pytest.approx([0, 1.5, -1.1])
    assert found.watched.shares()["clipped_high"] == pytest.approx(1 / 3)
    assert value_loss(value, old, returns, clip=None).loss.tolist() == pytest.approx([0.125, 1.125, 0.605])


def test_errors_say_what_is_wrong(make_batch):
    x, owner = torch.zeros(3), OWNER
    with pytest.raises(InputError, match="level 'tokens' is not known; did you mean 'token'"):
        sampler_weights(x, x, owner, 2, level="tokens")
    with pytest.raises(InputError, match="outside 'cut' is not known"):
        sampler_weights(x, x, owner, 2, outside="cut")
    with pytest.raises(InputError, match=r"low is 4\.0 and high is 3\.0"):
        sampler_weights(x, x, owner, 2, low=4.0)
    with pytest.raises(ShapeError, match=r"sampler_weights: \(3,\), \(2,\) and \(3,\)"):
        sampler_weights(x, x[:2], owner, 2)
    with pytest.raises(ShapeError, match=r"fresh_enough: \(2,\) log-probabilities for \(3,\) tokens"):
        fresh_enough(make_batch([2, 1]), threshold=0.1, sampler_logp=x[:2])
    with pytest.raises(InputError, match=r"share is 0\.0 of 3 tokens"):
        entropy_threshold(x, share=0.0)
    with pytest.raises(InputError, match="coefficient is -1"):
        entropy_bonus(x, coefficient=-1.0)
    with pytest.raises(InputError, match=r"step is 0\.0, coefficient 0\.0 within 0\.0 to 1\.0"):
        AdaptiveEntropy(target=1.0, step=0.0)
    with pytest.raises(InputError, match=r"value_loss: clip is 0\.0"):
        value_loss(x, x, x, clip=0.0)
    with pytest.raises(ShapeError, match=r"value_loss: \(3,\), \(2,\) and \(3,\)"):
        value_loss(x, x[:2], x)
