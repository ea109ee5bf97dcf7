"""The divergence over the whole vocabulary: by hand, in chunks as at once, and the same on trees, padded, dense."""

import math

import pytest
import torch

from plaudit.engine.divergence import Said, chunked_divergence, divergence_from
from plaudit.errors import InputError, ShapeError


def test_by_hand():
    # KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 log 2 + 1/2 log(2/3) = 1/2 log(4/3)
    p, p0 = torch.tensor([[0.25, 0.75]]).double(), torch.tensor([[0.5, 0.5]]).double()
    assert float(divergence_from(p.log(), p0.log())) == pytest.approx(0.5 * math.log(4 / 3), abs=1e-12)
    # what the frozen one forbids costs nothing: KL((1, 0) || (1/4, 3/4)) = log 4
    sure = torch.tensor([[0.0, -math.inf]]).double()
    assert float(divergence_from(p.log(), sure)) == pytest.approx(math.log(4), abs=1e-12)
    # what it allows and the policy forbids costs without bound
    assert float(divergence_from(sure, p0.log())) == math.inf


def parts(seed=0, *, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    states, weight, bias = (torch.randn(*s, generator=generator, dtype=dtype) for s in ((5, 3), (7, 3), (7,)))
    other = Said(*(torch.randn(*s, generator=generator, dtype=dtype) for s in ((5, 4), (7, 4), (7,))))
    return states, weight, bias, other


@pytest.mark.parametrize("chunk", [1, 14, 1000])
@pytest.mark.parametrize("with_bias", [True, False])
def test_chunks_are_the_whole(chunk, with_bias):
    states, weight, bias, other = parts()
    given = [states, weight, *([bias] if with_bias else [])]
    for x in given:
        x.requires_grad_()
    scale = torch.arange(1.0, 6.0, dtype=torch.float64)
    found = chunked_divergence(states, weight, bias if with_bias else None, other, chunk=chunk)
    expected = divergence_from(
        states @ weight.T + (bias if with_bias else 0), other.states @ other.weight.T + other.bias
    )
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    one = torch.autograd.grad((scale * found).sum(), given)
    two = torch.autograd.grad((scale * expected).sum(), given)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_where_the_two_are_one_there_is_neither_divergence_nor_gradient():
    states, weight, bias, _ = parts()
    states.requires_grad_()
    found = chunked_divergence(states, weight, bias, Said(states.detach(), weight, bias))
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-12, rtol=0)
    found.sum().backward()
    torch.testing.assert_close(states.grad, torch.zeros_like(states), atol=1e-12, rtol=0)


def test_what_is_refused():
    states, weight, bias, other = parts()
    with pytest.raises(InputError, match="the policy tells 6 tokens apart and the reference 7"):
        chunked_divergence(states, weight[:6], bias[:6], other)
    with pytest.raises(ShapeError, match="4 positions of the policy and 5 of the reference"):
        chunked_divergence(states[:4], weight, bias, other)
    with pytest.raises(ShapeError, match="shapes"):
        divergence_from(torch.zeros(2, 3), torch.zeros(2, 4))
