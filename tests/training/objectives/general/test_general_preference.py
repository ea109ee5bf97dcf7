import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import schur

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.general import (
    antisymmetric_logits,
    context_scales,
    cross_encoder,
    general_preference,
    general_regression,
    skew_matrix,
    skew_scores,
)
from plaudit.training.objectives.pairs import bradley_terry

ONE = torch.tensor([[0, 1]])
seeds = st.integers(0, 10_000)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_hand_values():
    # a = (1, 2, 3, 4), b = (5, 6, 7, 8): 1*6 - 2*5 = -4 and 3*8 - 4*7 = -4
    a, b = doubles([[1, 2, 3, 4]]), doubles([[5, 6, 7, 8]])
    assert skew_scores(a, b).tolist() == [-8]
    assert skew_scores(a, b, scales=doubles([[2, 0.5]])).tolist() == [-10]
    # score 0.1 at temperature 0.1: log(1 + e^-1); regression: (1 - 10)^2 / 2
    outputs = doubles([[0.1, 0], [0, 1]])
    assert float(general_preference(outputs, ONE)) == pytest.approx(math.log1p(math.exp(-1)))
    assert float(general_regression(outputs, ONE)) == pytest.approx(40.5)


def test_the_score_is_the_rotation_of_the_paper():
    # <R a, b> with R = blockdiag([[0, -1], [1, 0]]): R a = (-a_1, a_0, ...), so the score is a_0 b_1 - a_1 b_0
    block = torch.block_diag(*[doubles([[0, -1], [1, 0]])] * 3)
    v = normal(0, 5, 6)
    torch.testing.assert_close(skew_matrix(v), v @ block.T @ v.T)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 4))
def test_antisymmetry(seed, k):
    v, scales = normal(seed, 5, 2 * k), context_scales(normal(seed + 1, 1, k))
    matrix = skew_matrix(v, scales=scales[0])
    assert torch.equal(matrix, -matrix.T)
    assert not matrix.diagonal().any()
    i, j = torch.triu_indices(5, 5)
    torch.testing.assert_close(skew_scores(v[i], v[j], scales=scales.expand(len(i), -1)), matrix[i, j])
    there, back = (general_preference(v, p, scales=scales) for p in (ONE, ONE.flip(1)))
    assert math.exp(-there) + math.exp(-back) == pytest.approx(1)


@given(seeds)
def test_bradley_terry_is_a_special_case(seed):
    r = normal(seed, 6)
    pairs = torch.tensor([[0, 1], [4, 2], [3, 5]])
    outputs = torch.stack([r, torch.ones_like(r)], dim=1)
    torch.testing.assert_close(general_preference(outputs, pairs, temperature=0.5), bradley_terry(r / 0.5, pairs))


@given(seeds, st.floats(-4, 4))
def test_a_rotation_of_each_plane_changes_nothing(seed, angle):
    v = normal(seed, 4, 4)
    turn = doubles([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    torch.testing.assert_close(skew_matrix(v @ torch.block_diag(turn, turn).T), skew_matrix(v))


def embedded(matrix):
    """Embeddings of a skew-symmetric matrix from its real Schur form, blocks of which are plane rotations."""
    form, basis = schur(matrix, output="real")
    columns, i = [], 0
    while i + 1 < len(form):
        size = form[i, i + 1]
        if abs(size) < 1e-12:
            i += 1
            continue
        # basis[:, i] f basis[:, i+1]^T - its transpose: coordinates scaled by sqrt|f|, exchanged where f is negative
        pair = [basis[:, i], basis[:, i + 1]] if size > 0 else [basis[:, i + 1], basis[:, i]]
        columns += [math.sqrt(abs(size)) * c for c in pair]
        i += 2
    return torch.from_numpy(np.stack(columns, axis=1))


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 8))
def test_any_skew_symmetric_matrix_has_embeddings(seed, n):
    raw = normal(seed, n, n)
    matrix = (raw - raw.T).numpy()
    found = embedded(matrix)
    assert found.shape[1] == 2 * (n // 2)  # its rank
    torch.testing.assert_close(skew_matrix(found), torch.from_numpy(matrix), atol=1e-9, rtol=0)


def fitted(start, loss, steps=300):
    x = start.requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss(x)
        value.backward()
        optimiser.step()
    return x.detach()


def test_rock_paper_scissors():
    """Entry 98: accuracy 1 for the embeddings, at most 2/3 and every probability one half for scores."""
    cycle = torch.tensor([[0, 1], [1, 2], [2, 0]])
    vectors = fitted(normal(1, 3, 2), lambda v: general_preference(v, cycle))
    table = skew_matrix(vectors)
    assert (table[cycle[:, 0], cycle[:, 1]] > 0).all()
    assert float(general_preference(vectors, cycle)) < 0.01
    scores = fitted(normal(2, 3), lambda s: bradley_terry(s, cycle))
    chance = torch.sigmoid(scores[cycle[:, 0]] - scores[cycle[:, 1]])
    torch.testing.assert_close(chance, doubles([0.5] * 3), atol=1e-3, rtol=0)
    assert float(bradley_terry(scores, cycle)) == pytest.approx(3 * math.log(2), abs=1e-4)


def test_scales_have_mean_one_and_temperature_can_be_learned():
    scales = context_scales(normal(3, 4, 3))
    torch.testing.assert_close(scales.mean(dim=1), torch.ones(4).double())
    assert (scales > 0).all()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: general_preference(normal(4, 2, 4), ONE, temperature=t), temperature)


def test_normalised_embeddings_have_no_size():
    v = normal(5, 4, 4)
    size = doubles([[1], [2], [30], [0.1]])
    pairs = torch.tensor([[0, 1], [2, 3]])
    there = general_preference(v, pairs, normalise=True)
    torch.testing.assert_close(general_preference(size * v, pairs, normalise=True), there)
    unit = F.normalize(v, dim=-1)
    torch.testing.assert_close(general_preference(unit, pairs), there)


def test_cross_encoder_hand_values():
    # forward 2 and backward -1: the logit is 1.5, the mean of the two 0.5
    scores = doubles([2, -1])
    assert antisymmetric_logits(scores, ONE).tolist() == [1.5]
    assert float(cross_encoder(scores, ONE)) == pytest.approx(math.log1p(math.exp(-1.5)))
    penalised = float(cross_encoder(scores, ONE, order_coef=2.0))
    assert penalised == pytest.approx(math.log1p(math.exp(-1.5)) + 2 * 0.25)


@given(seeds)
def test_both_orders_of_a_cross_encoder_add_up_to_one(seed):
    scores = normal(seed, 2)
    losses = [float(cross_encoder(scores, p)) for p in (ONE, ONE.flip(1))]
    assert sum(math.exp(-x) for x in losses) == pytest.approx(1)
    # a preference for a place is in both logits alike and falls out
    torch.testing.assert_close(cross_encoder(scores + 5, ONE), cross_encoder(scores, ONE))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: general_preference(normal(0, 2, 3), ONE),
            ShapeError,
            r"general_preference: embeddings of shapes \(2, 3\) and \(2, 3\); both must be \(m, 2k\) with k >= 1",
        ),
        (
            lambda: skew_scores(normal(0, 2, 2), normal(0, 3, 2)),
            ShapeError,
            r"skew_scores: embeddings of shapes \(2, 2\) and \(3, 2\)",
        ),
        (
            lambda: skew_matrix(normal(0, 2, 4), scales=doubles([1])),
            ShapeError,
            r"skew_matrix: scales have shape \(2, 1\); they must be \(2, 2\)",
        ),
        (
            lambda: general_preference(normal(0, 2, 4), ONE, scales=doubles([[1]])),
            ShapeError,
            r"skew_scores: scales have shape \(1, 1\); they must be \(1, 2\)",
        ),
        (
            lambda: general_preference(normal(0, 2, 2), ONE, temperature=0),
            InputError,
            r"general_preference: temperature is 0; it must be finite and above 0",
        ),
        (
            lambda: general_regression(normal(0, 2, 2), ONE, target=math.nan),
            InputError,
            "general_regression: target is nan; it must be finite",
        ),
        (
            lambda: general_preference(normal(0, 2, 2), ONE[0]),
            ShapeError,
            r"general_preference: pairs have shape \(2,\); they must be \(m, 2\)",
        ),
        (
            lambda: cross_encoder(doubles([1, 0]), ONE, order_coef=-1),
            InputError,
            "cross_encoder: order_coef is -1; it must be finite and at least 0",
        ),
        (
            lambda: cross_encoder(doubles([1, 0]), ONE, weight=doubles([1, 2])),
            ShapeError,
            r"cross_encoder: weight has shape \(2,\) for 1 pairs",
        ),
    ],
)
def test_what_general_preferences_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
