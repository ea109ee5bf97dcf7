"""The attribute's attention: nothing at first, samples apart from each other, padding unseen, and it learns."""

import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.heads.attribute_attention import AttributeAttention


def stirred(seed=0):
    """A module whose weights are no longer those of the beginning."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AttributeAttention(8, 3, tokens=6, heads=2).double()
        for p in module.parameters():
            torch.nn.init.normal_(p, std=0.3)
    return module


def states(b=4, n=5):
    return torch.randn(b, n, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_it_begins_as_the_identity():
    x = states().float()
    out = AttributeAttention(8, 3, tokens=6, heads=2)(x, torch.tensor([0, 1, 2, 0]))
    assert out.shape == x.shape
    assert torch.equal(out, x)


def test_samples_move_with_their_attributes():
    module, x, a = stirred(), states(), torch.tensor([0, 1, 2, 0])
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(module(x[order], a[order]), module(x, a)[order])


def test_the_attribute_counts():
    module, x = stirred(), states()
    one, two = (module(x, torch.full((4,), a)) for a in (0, 1))
    assert (one - two).abs().max() > 1e-3


def test_what_is_masked_is_not_read():
    module, x, a = stirred(), states(), torch.tensor([0, 1, 2, 0])
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[:, 3:] = False
    other = x.clone()
    other[:, 3:] = 99.0
    torch.testing.assert_close(module(other, a, mask)[:, :3], module(x, a, mask)[:, :3])
    torch.testing.assert_close(module(x[:, :3], a), module(x, a, mask)[:, :3])


def test_it_is_the_formula():
    """One head, by matrices."""
    torch.manual_seed(3)
    module = AttributeAttention(4, 2, tokens=3, heads=1).double()
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.4)
    x, a = torch.randn(1, 3, 4, dtype=torch.float64), torch.tensor([1])

    def norm(layer, v):
        z = (v - v.mean(-1, keepdim=True)) / (v.var(-1, unbiased=False, keepdim=True) + layer.eps).sqrt()
        return z * layer.weight + layer.bias

    e = module.attribute.weight[1][None] + module.place.weight
    w, b = module.attention.in_proj_weight, module.attention.in_proj_bias
    q = norm(module.before_query, e) @ w[:4].T + b[:4]
    keys = norm(module.before_key, x[0])
    k, v = keys @ w[4:8].T + b[4:8], keys @ w[8:].T + b[8:]
    found = torch.softmax(q @ k.T / 2, dim=-1) @ v  # sqrt(4)
    y = x[0] + found @ module.attention.out_proj.weight.T + module.attention.out_proj.bias
    expected = y + module.network(norm(module.before_network, y))
    torch.testing.assert_close(module(x, a)[0], expected)


def test_gradients_reach_it_from_the_beginning():
    module = AttributeAttention(8, 3, tokens=6, heads=2)
    module(states().float(), torch.tensor([0, 1, 2, 0])).square().sum().backward()
    assert module.attention.out_proj.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: AttributeAttention(9, 2, tokens=3), InputError, "a width that is a multiple of the heads"),
        (lambda: AttributeAttention(8, 0, tokens=3), InputError, "attributes 0"),
        (lambda: stirred()(states(), torch.tensor([0])), ShapeError, "give (b, n, d), (b,)"),
        (lambda: stirred()(states(n=7), torch.zeros(4, dtype=torch.long)), ShapeError, "6 places"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
