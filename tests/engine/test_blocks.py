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
    *short, long = plan.layout(window, width=32).blocks
    assert len(short) >= 2
    assert long.queries.shape == (1, 90)  # the long text has a call of its own,
    assert (long.mask is None) == (window is None)  # causal unless a window cuts it
    for a, b in zip(found, expected, strict=True):
        # weights under a soft-cap or sinks are normalised in float32
        torch.testing.assert_close(a, b, atol=1e-5 if extras else 1e-11, rtol=0)


def test_every_token_is_read_from_exactly_one_place():
    tree = many_short()
    layout = TreePlan.of(tree).layout(width=32)
    asked = torch.cat([block.queries.flatten() for block in layout.blocks])
    assert asked[layout.order].tolist() == list(range(len(tree)))


def test_a_block_by_hand():
    # segments of rows 0 and 1, of row 2 after them, and of row 3; window of two positions
    paths = [np.array([0, 1]), np.array([1, 2]), np.array([3])]
    layout = blocks.layout_of(paths, [2, 1, 1], window=2, width=8, device=torch.device("cpu"))
    (block,) = layout.blocks
    # the shape is the least of short segments; padding repeats the first token
    assert block.queries.tolist() == [[0] * 7 + [1], [2] * 8, [3] * 8]
    assert block.keys.tolist() == [[0] * 15 + [1], [1] * 15 + [2], [3] * 16]
    ends = block.mask[:, 0, -2:, -3:].tolist()
    assert ends[0] == [[False, True, False], [False, True, True]]
    assert ends[1] == [[False, True, False], [False, True, True]]
    assert ends[2] == [
        [False, True, False],
        [False, False, True],
    ]  # its padded key is seen by nobody but a padded query
    assert block.mask.any(dim=-1).all()  # no line is empty
    assert layout.order.tolist() == [6, 7, 15, 23]


@pytest.mark.parametrize(
    ("size", "length", "width", "shape"),
    [
        (1, 1, 64, (8, 16)),
        (9, 9, 64, (16, 16)),
        (3, 40, 64, (8, 64)),
        (33, 34, 64, (64, 64)),
        (64, 65, 64, (64, 96)),
        (5, 1100, 64, (8, 1120)),
        (65, 65, 64, (65, 65)),
        (65, 70, 64, (65, 70)),
        (9, 500, 256, (16, 512)),  # three are 393216 numbers
        (9, 500, 512, (9, 500)),  # three would be more than a block may hold: nothing to gain by padding
    ],
)
def test_the_shape_is_that_of_the_segment_and_its_path(size, length, width, shape):
    above = length - size
    paths = [np.arange(length)] + [np.arange(above)] * (above > 0)
    layout = blocks.layout_of(
        paths, [size] + [above] * (above > 0), window=None, width=width, device=torch.device("cpu")
    )
    (block,) = (b for b in layout.blocks if b.queries[0, -1] == length - 1)
    assert (block.queries.shape[1], block.keys.shape[1]) == shape


def test_blocks_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(blocks, "MOST", 48 * 32)
    plan, found = attended(many_short(), "fast")
    assert max(b.keys.numel() for b in plan.layout(width=32).blocks if len(b.keys) > 1) <= 48
    for a, b in zip(found, attended(many_short(), "dense")[1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-11, rtol=0)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("extras", [{}, {"softcap": 1.5}])
def test_what_else_is_scored_does_not_show(window, extras):
    """Bit for bit: the same texts alone, and beside others of other lengths."""
    rng = np.random.default_rng(3)
    texts = [rng.integers(3, 50, n).tolist() for n in (5, 17, 70)] + [[3, 4, 5, 6], [3, 4, 5, 6, 7, 8]]
    more = [rng.integers(50, 90, n).tolist() for n in (1, 6, 8, 16, 18, 33, 64, 65, 70, 100)]
    found = []
    for tree in (PrefixTree.build(texts), PrefixTree.build([*texts, *more])):
        table = torch.randn(100, 3, 4, 8, generator=torch.Generator().manual_seed(1))
        q, k, v = table[torch.from_numpy(tree.input_ids.astype(np.int64))].permute(1, 2, 0, 3)[:, None]
        with torch.inference_mode():
            out, _ = tree_attention(
                nn.Module(), q, k, v, None, tree_plan=TreePlan.of(tree), sliding_window=window, **extras
            )
        found.append([out[0, torch.from_numpy(tree.positions(i))] for i in range(len(texts))])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_a_plan_that_scored_first_is_trained_on():
    tree = many_short()
    plan = TreePlan.of(tree)
    q = torch.randn(1, 4, len(tree), 8)
    with torch.inference_mode():
        scored, _ = tree_attention(nn.Module(), q, q, q, None, tree_plan=plan)
    trained, _ = tree_attention(nn.Module(), *(q.clone().requires_grad_() for _ in range(3)), None, tree_plan=plan)
    trained.sum().backward()
    torch.testing.assert_close(trained.detach(), scored)
