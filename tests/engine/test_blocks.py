"""Short segments attended to together: a row of many of them, against the loop in float64 and the dense mask."""

import numpy as np
import pytest
import torch
from torch import nn

from plaudit.engine import blocks
from plaudit.engine.attention import tree_attention
from plaudit.engine.plan import TreePlan
from plaudit.engine.tree import PrefixTree


def many_short(seed=0):
    """Eight prompts of 3 to 9 tokens with five completions each, one of them empty, and a long text."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(3, 50, 90)]
    for _ in range(8):
        prompt = rng.integers(3, 50, rng.integers(3, 10))
        texts += [np.concatenate([prompt, rng.integers(3, 50, n)]) for n in (0, *rng.integers(1, 12, 4))]
    return PrefixTree.build([t.tolist() for t in texts])


def attended(tree, mode, seed=1, **options):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(1, heads, len(tree), 8, generator=generator, dtype=torch.float64).requires_grad_()
        for heads in (4, 2, 2)
    )
    plan = TreePlan.of(tree, mode=mode)
    out, _ = tree_attention(nn.Module(), q, k, v, None, tree_plan=plan, **options)
    (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
    return plan, [out, q.grad, k.grad, v.grad]


@pytest.mark.parametrize("window", [None, 1, 4, 9])
@pytest.mark.parametrize("extras", [{}, {"softcap": 1.5}, {"s_aux": torch.tensor([0.5, -1.0, 2.0, 0.0]).double()}])
def test_blocks_equal_the_dense_mask_with_gradients(window, extras):
    tree = many_short()
    plan, found = attended(tree, "fast", sliding_window=window, **extras)
    _, expected = attended(tree, "dense", sliding_window=window, **extras)
    layout = plan.layout(window)
    assert len(layout.blocks) >= 2
    assert layout.alone  # the long text has a call of its own
    for a, b in zip(found, expected, strict=True):
        # weights under a soft-cap or sinks are normalised in float32
        torch.testing.assert_close(a, b, atol=1e-5 if extras else 1e-11, rtol=0)


def test_every_token_is_read_from_exactly_one_place():
    tree = many_short()
    layout = TreePlan.of(tree).layout()
    spans = TreePlan.of(tree).spans
    width = sum(b.queries.numel() for b in layout.blocks) + sum(spans[i].stop - spans[i].start for i in layout.alone)
    order = layout.order.tolist()
    assert len(set(order)) == len(order) == len(tree)
    assert max(order) < width


def test_a_block_by_hand():
    # segments (rows 0..1) and (rows 2..2), the second after a path of rows 0, 1; window of two positions
    paths = [np.array([0, 1]), np.array([1, 2]), np.array([3])]
    layout = blocks.layout_of(paths, [2, 1, 1], window=2, device=torch.device("cpu"))
    (block,) = layout.blocks
    assert block.queries.reshape(3, 2).tolist() == [[0, 1], [2, 2], [3, 3]]  # padding repeats the first token
    assert block.keys.reshape(3, 2).tolist() == [[0, 1], [1, 2], [3, 3]]
    first, second, third = block.mask[:, 0].tolist()
    assert first == [[True, False], [True, True]]
    assert second == [[True, False], [True, True]]
    assert third == [[True, False], [False, True]]  # its padded key is seen by nobody but the padded query
    assert layout.order.tolist() == [0, 1, 3, 5]


def test_blocks_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(blocks, "MOST", 60)
    plan, found = attended(many_short(), "fast")
    assert max(b.keys.numel() for b in plan.layout().blocks) <= 60
    for a, b in zip(found, attended(many_short(), "dense")[1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-11, rtol=0)
