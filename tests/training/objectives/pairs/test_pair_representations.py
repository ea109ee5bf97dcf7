import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs import (
    bradley_terry,
    contrastive_views,
    convex_bradley_terry,
    differences,
    hull_vertices,
    meta_gradients,
    score_spread,
)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive_parity_with_torch_and_hand_value():
    first, second = normal(0, 5, 4), normal(1, 5, 4)
    alike = F.cosine_similarity(first[:, None], second[None], dim=-1) / 0.05
    theirs = F.cross_entropy(alike, torch.arange(5), reduction="sum")
    torch.testing.assert_close(contrastive_views(first, second, lists=[torch.arange(5)]), theirs)
    # two orthogonal items, seen alike: each log(1 + exp(-1 / 0.5))
    square = contrastive_views(torch.eye(2).double(), torch.eye(2).double(), lists=[torch.arange(2)], temperature=0.5)
    assert float(square) == pytest.approx(2 * math.log1p(math.exp(-2)))
    # alone there is nothing to be told from, and the length of a vector does not matter
    alone = contrastive_views(first, second, lists=[torch.tensor([i]) for i in range(5)])
    assert float(alone) == 0
    torch.testing.assert_close(contrastive_views(3 * first, second, lists=[torch.arange(5)]), theirs)


def test_differences_of_pairs():
    found = differences(doubles([[1, 2], [0, 5], [3, 3]]), torch.tensor([[0, 1], [2, 0]]))
    assert found.tolist() == [[1, -3], [2, 1]]


def test_spread_hand_value():
    # entry 13: scores 0, 1, 3: 2/9 (sigmoid(1) + sigmoid(3) + sigmoid(2)) = 0.56987
    assert float(score_spread(doubles([0, 1, 3]), [torch.arange(3)])) == pytest.approx(0.56987, abs=5e-6)
    assert float(score_spread(doubles([5, 5, 5]), [torch.arange(3)])) == pytest.approx(1 / 3)  # (k - 1) / 2k
    assert float(score_spread(doubles([0, 1e3, 2e3]), [torch.arange(3)])) == pytest.approx(2 / 3)  # (k - 1) / k


def test_meta_gradient_hand_value():
    # spread w^2 / 2 shifts w to w (1 + rate); the gradient of w^3 there is 3 w^2 (1 + rate)^2
    found = meta_gradients(
        {"w": doubles([2.0])},
        spread=lambda p: (p["w"] ** 2).sum() / 2,
        loss=lambda p: (p["w"] ** 3).sum(),
        rate=0.1,
    )
    torch.testing.assert_close(found["w"], doubles([12 * 1.21]))


def test_a_meta_step_of_nothing_is_the_plain_gradient():
    features, shifted = normal(2, 6, 3), normal(3, 4, 3)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    weights = {"w": normal(4, 3), "unused": doubles([1.0])}

    def loss(p):
        return bradley_terry(features @ p["w"], pairs)

    def spread(p):
        return score_spread(shifted @ p["w"], [torch.arange(4)])

    plain = meta_gradients(weights, spread=spread, loss=loss, rate=0)
    leaf = weights["w"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss({"w": leaf}), leaf)
    torch.testing.assert_close(plain["w"], expected)
    assert plain["unused"].tolist() == [0]
    assert not weights["w"].requires_grad
    meta = meta_gradients(weights, spread=spread, loss=loss, rate=0.5)
    assert not torch.allclose(meta["w"], expected)


def test_hull_hand_values():
    # entry 17: a triangle and a point inside it
    assert hull_vertices(doubles([[0, 0], [4, 0], [0, 4], [1, 1]])).tolist() == [0, 1, 2]
    assert hull_vertices(doubles([[0, 0], [1, 1], [2, 2], [0.5, 0.5]])).tolist() == [0, 2]  # a line: its ends
    assert hull_vertices(doubles([[1, 1], [1, 1], [1, 1]])).tolist() == [0]
    assert hull_vertices(doubles([[3.0]])).tolist() == [0]
    assert hull_vertices(doubles([[1.0], [3.0], [2.0]])).tolist() == [0, 1]
    assert hull_vertices(doubles([[0, 0], [4, 0], [0, 4], [4, 0]])).tolist() == [0, 1, 2]  # of equal ones the first


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 12), st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_hull_is_that_of_qhull(seed, n, size):
    points = normal(seed, n, 2)
    assert hull_vertices(size * points).tolist() == sorted(ConvexHull(points.numpy()).vertices.tolist())


def test_the_hull_lies_in_the_first_two_components():
    plane = doubles([[0, 0], [4, 0], [0, 4], [1, 1]])
    turned = torch.linalg.qr(normal(5, 6, 6)).Q[:2]  # two orthogonal directions of six
    small = 1e-3 * normal(6, 4, 6)
    assert hull_vertices(plane @ turned + small + 7).tolist() == [0, 1, 2]


def test_mixing_hand_value_and_ends():
    scores, pairs = doubles([3, 0, 0, 1]), torch.tensor([[0, 1], [2, 3]])  # leads 3 and -1
    partner = torch.tensor([1, 0])
    # a quarter of the other: 2.25 - 0.25 = 2, and -0.75 + 0.75 = 0
    mixed = convex_bradley_terry(scores, pairs, partner=partner, share=doubles([0.75, 0.75]))
    assert float(mixed) == pytest.approx(math.log1p(math.exp(-2)) + math.log(2))
    own = convex_bradley_terry(scores, pairs, partner=partner, share=doubles([1, 1]))
    torch.testing.assert_close(own, bradley_terry(scores, pairs))
    swapped = convex_bradley_terry(scores, pairs, partner=partner, share=doubles([0, 0]))
    torch.testing.assert_close(swapped, own)
    # targets are mixed with the differences: halfway between a win and a loss of a lead of 3 the target is one half
    level = convex_bradley_terry(
        scores, pairs[[0, 0]].clone(), partner=partner, share=doubles([0.5, 0.5]), target=doubles([1, 0])
    )
    assert float(level) == pytest.approx(math.log1p(math.exp(-3)) + math.log1p(math.exp(3)))


def test_mixing_is_mixup_of_the_last_layer():
    features, weight = normal(7, 4, 5), normal(8, 5)
    pairs, partner, share = torch.tensor([[0, 1], [2, 3]]), torch.tensor([1, 0]), doubles([0.3, 0.9])
    chosen, rejected = features[pairs[:, 0]], features[pairs[:, 1]]
    mix = [share[:, None] * side + (1 - share[:, None]) * side[partner] for side in (chosen, rejected)]
    theirs = -F.logsigmoid(mix[0] @ weight - mix[1] @ weight).sum()
    torch.testing.assert_close(convex_bradley_terry(features @ weight, pairs, partner=partner, share=share), theirs)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: contrastive_views(normal(0, 2, 2), normal(0, 2, 3), lists=[]),
            ShapeError,
            r"contrastive_views: outputs \(2, 2\) and views \(2, 3\) differ",
        ),
        (
            lambda: contrastive_views(normal(0, 2, 2), normal(0, 2, 2), lists=[], temperature=0),
            InputError,
            "contrastive_views: temperature is 0; it must be finite and above 0",
        ),
        (
            lambda: score_spread(normal(0, 2), [torch.tensor([1])]),
            InputError,
            r"score_spread: lists\[0\] has 1 completions; give at least 2 of a prompt",
        ),
        (
            lambda: meta_gradients({}, spread=lambda p: p, loss=lambda p: p, rate=-1),
            InputError,
            "meta_gradients: rate is -1; it must be finite and at least 0",
        ),
        (lambda: hull_vertices(normal(0, 0, 2)), InputError, "hull_vertices: no embeddings; give at least one"),
        (
            lambda: hull_vertices(doubles([[math.inf, 0]])),
            InputError,
            r"hull_vertices: embeddings\[0, 0\] is inf; it must be finite",
        ),
        (
            lambda: convex_bradley_terry(
                normal(0, 2), torch.tensor([[0, 1]]), partner=torch.tensor([1]), share=doubles([0.5])
            ),
            InputError,
            r"convex_bradley_terry: partner\[0\] is 1; it must lie in \[0, 0\]",
        ),
        (
            lambda: convex_bradley_terry(
                normal(0, 2), torch.tensor([[0, 1]]), partner=torch.tensor([0]), share=doubles([1.5])
            ),
            InputError,
            r"convex_bradley_terry: share\[0\] is 1\.5; it must lie in \[0, 1\]",
        ),
    ],
)
def test_what_representations_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
