"""One layer's attention: the fast path, the dense reference, FlexAttention and a loop in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from plaudit.engine.attention import tree_attention
from plaudit.engine.flex import flex_tree_attention
from plaudit.engine.plan import TreePlan
from plaudit.engine.tree import PrefixTree

bundles = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=10), min_size=1, max_size=7)
TEXTS = [[0, 1, 2, 0, 1, 1, 2], [0, 1, 2, 2], [0, 1], [0, 1], [1, 1, 0, 2, 2, 0, 1, 0], [1, 1, 0, 1]]


def tensors(tree, heads=4, kv_heads=2, width=8, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(n):
        return torch.randn(1, n, len(tree), width, generator=generator, dtype=dtype).requires_grad_()

    return draw(heads), draw(kv_heads), draw(kv_heads)


def by_loop(tree, q, k, v, *, scale, window=None, softcap=None, sinks=None):
    """Attention token by token over each sequence's own path, as the textbook has it; (t, heads, d)."""
    heads, shared = q.shape[1], q.shape[1] // k.shape[1]
    out = torch.zeros(q.shape[2], heads, q.shape[3], dtype=q.dtype)
    for s in range(len(tree.leaf)):
        path = tree.positions(s)
        for depth, at in enumerate(path):
            first = 0 if window is None else max(depth - window + 1, 0)
            seen = path[first : depth + 1]
            for h in range(heads):
                logits = k[0, h // shared, seen] @ q[0, h, at] * scale
                if softcap is not None:
                    logits = softcap * torch.tanh(logits / softcap)
                top = logits if sinks is None else torch.cat([logits, sinks[h : h + 1]])
                weights = top.softmax(0)[: len(seen)]
                out[at, h] = weights @ v[0, h // shared, seen]
    return out


def run(tree, q, k, v, mode, **options):
    out, weights = tree_attention(nn.Module(), q, k, v, None, tree_plan=TreePlan.of(tree, mode=mode), **options)
    assert weights is None
    return out[0]


@pytest.mark.parametrize("mode", ["fast", "dense"])
@pytest.mark.parametrize("window", [None, 1, 2, 3, 50])
@pytest.mark.parametrize(("softcap", "sinks"), [(None, False), (1.5, False), (None, True), (1.5, True)])
def test_parity_with_a_loop_in_float64(mode, window, softcap, sinks):
    tree = PrefixTree.build(TEXTS)
    q, k, v = (x.detach() for x in tensors(tree, dtype=torch.float64))
    sink = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64) if sinks else None
    expected = by_loop(tree, q, k, v, scale=0.3, window=window, softcap=softcap, sinks=sink)
    found = run(tree, q, k, v, mode, scaling=0.3, sliding_window=window, softcap=softcap, s_aux=sink)
    # weights under a soft-cap or sinks are normalised in float32, as the models themselves do
    torch.testing.assert_close(found, expected, atol=1e-6 if softcap or sinks else 1e-12, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    bundles,
    st.sampled_from([None, 1, 2, 4]),
    st.sampled_from([None, 2.0]),
    st.booleans(),
    st.sampled_from([1, 2, 4]),
)
def test_fast_equals_dense_on_random_trees(texts, window, softcap, sinks, kv_heads):
    tree = PrefixTree.build(texts)
    results = []
    for mode in ("fast", "dense"):
        q, k, v = tensors(tree, kv_heads=kv_heads)
        sink = torch.tensor([0.5, -1.0, 2.0, 0.0], requires_grad=True) if sinks else None
        out = run(tree, q, k, v, mode, sliding_window=window, softcap=softcap, s_aux=sink)
        (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
        results.append([out, q.grad, k.grad, v.grad, *([sink.grad] if sinks else [])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # the CPU form is for tests only
@pytest.mark.parametrize("window", [None, 1, 3])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_flex_attention_sees_the_same_tree(window, kv_heads):
    tree = PrefixTree.build(TEXTS)
    q, k, v = (x.detach() for x in tensors(tree, kv_heads=kv_heads, width=16))
    plan = TreePlan.of(tree)
    found = flex_tree_attention(q, k, v, plan, scale=0.25, window=window)
    expected = run(tree, q, k, v, "dense", scaling=0.25, sliding_window=window)
    torch.testing.assert_close(found[0].transpose(0, 1), expected, atol=1e-5, rtol=1e-5)
    assert list(plan.blocks) == [("flex", window)]  # made once, shared by the layers
    mask = plan.blocks["flex", window]
    assert flex_tree_attention(q, k, v, plan, scale=0.25, window=window) is not None
    assert plan.blocks["flex", window] is mask


def test_the_default_scale_is_one_over_the_root_of_the_width():
    tree = PrefixTree.build(TEXTS)
    q, k, v = (x.detach() for x in tensors(tree, width=8))
    torch.testing.assert_close(run(tree, q, k, v, "fast"), run(tree, q, k, v, "fast", scaling=1 / math.sqrt(8)))


def test_a_plan_describes_one_row():
    tree = PrefixTree.build(TEXTS)
    q, k, v = (x.detach().expand(2, -1, -1, -1) for x in tensors(tree))
    with pytest.raises(ValueError, match="plaudit_tree: a plan describes one packed row, but the batch has 2"):
        run(tree, q, k, v, "fast")


@pytest.mark.parametrize("mode", ["fast", "dense"])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_dropout_is_applied_in_training_only(mode, softcap):
    tree = PrefixTree.build(TEXTS)
    q, k, v = (x.detach() for x in tensors(tree))
    options = dict(tree_plan=TreePlan.of(tree, mode=mode), dropout=0.5, softcap=softcap)
    layer = nn.Module()
    torch.manual_seed(0)
    trained, again = (tree_attention(layer, q, k, v, None, **options)[0] for _ in range(2))
    assert not torch.equal(trained, again)
    layer.eval()
    still, plain = (
        tree_attention(layer, q, k, v, None, **options)[0],
        run(tree, q, k, v, mode, softcap=softcap),
    )
    torch.testing.assert_close(still[0], plain)


@pytest.mark.parametrize("extras", [{}, {"softcap": 2.0}, {"s_aux": torch.tensor([0.5, -1.0, 2.0, 0.0])}])
def test_without_a_plan_a_batch_is_plain_causal_attention(extras):
    tree = PrefixTree.build([[0, 1, 2, 0, 1]])  # one chain: the plain causal row
    q, k, v = (x.detach() for x in tensors(tree))
    layer = nn.Module()
    layer.is_causal = True
    plain = tree_attention(layer, q, k, v, None, **extras)[0]
    torch.testing.assert_close(plain[0], run(tree, q, k, v, "dense", **extras), atol=1e-6, rtol=1e-5)
    layer.is_causal = False
    assert not torch.allclose(tree_attention(layer, q, k, v, None, **extras)[0], plain, atol=1e-3)
