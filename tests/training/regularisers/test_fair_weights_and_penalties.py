"""Weights and penalties of groups: values by hand, slow references, gradients in closed form, properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.stats.dependence import distance_covariance
from plaudit.training.regularisers.dependence import distance_covariance_penalty
from plaudit.training.regularisers.parity import parity_gaps, parity_hinge
from plaudit.training.regularisers.scaling import error_bound_scale, error_bound_weights, group_losses, identity_weights
from plaudit.training.regularisers.streaming import StreamingParity, huber_slope

F64 = torch.float64
losses_and_groups = st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 3)), min_size=1, max_size=20)


def t(values):
    return torch.tensor(values, dtype=F64)


def test_error_bound_weights_by_hand():
    # mean losses 1 and 2, three pairs and one: (1, 1, 1, 2) has mean 5/4, so weights are .8 and 1.6
    found = error_bound_weights(t([0.5, 1.5, 1.0, 2.0]), torch.tensor([0, 0, 0, 1]))
    assert found.tolist() == pytest.approx([0.8, 0.8, 0.8, 1.6])
    # gamma 2: (1, 1, 1, 4) with mean 7/4
    assert error_bound_weights(
        t([1.0, 1.0, 1.0, 2.0]), torch.tensor([0, 0, 0, 1]), gamma=2.0
    ).tolist() == pytest.approx([4 / 7, 4 / 7, 4 / 7, 16 / 7])


def test_identity_weights_by_hand():
    losses, group = t([0.0, float(np.log(3.0))]), torch.tensor([0, 1])
    # individual: exp is (1, 3), mean 2, so (.5, 1.5); group: (0, log 3) over its mean log(3) / 2 is (0, 2)
    assert identity_weights(losses, group, group_share=0.0).tolist() == pytest.approx([0.5, 1.5])
    assert identity_weights(losses, group, group_share=1.0).tolist() == pytest.approx([0.0, 2.0])
    assert identity_weights(losses, group).tolist() == pytest.approx([0.25, 1.75])
    # temperature: exp(l / T) with T = 1/2 is (1, 9), mean 5
    assert identity_weights(losses, group, group_share=0.0, temperature=0.5).tolist() == pytest.approx([0.2, 1.8])


def test_equal_losses_are_the_plain_mean():
    equal, group = t([0.7] * 5), torch.tensor([0, 1, 1, 2, 0])
    for found in (identity_weights(equal, group, group_share=0.0), identity_weights(equal, group),
                  error_bound_weights(equal, group)):  # fmt: skip
        assert found.tolist() == pytest.approx([1.0] * 5)
    assert error_bound_weights(t([0.0, 0.0]), torch.tensor([0, 1])).tolist() == [1.0, 1.0]


def test_the_papers_scale_of_predictions():
    # equal losses, or gamma 0: tanh(1); twice the least loss: tanh(1/2)
    assert error_bound_scale(t([2.0, 2.0])).tolist() == pytest.approx([np.tanh(1.0)] * 2)
    assert error_bound_scale(t([1.0, 2.0]), gamma=0.0).tolist() == pytest.approx([np.tanh(1.0)] * 2)
    assert error_bound_scale(t([1.0, 2.0])).tolist() == pytest.approx([np.tanh(1.0), np.tanh(0.5)])


@settings(deadline=None)
@given(losses_and_groups, st.lists(st.floats(0.1, 3), min_size=20, max_size=20), st.floats(0, 1), st.floats(0, 3))
def test_weights_have_mean_one_and_follow_their_pairs(rows, own, share, gamma):
    losses, group, weight = t([x for x, _ in rows]), torch.tensor([g for _, g in rows]), t(own[: len(rows)])
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(len(rows)))
    for f in (
        lambda a, b, w: identity_weights(a, b, group_share=share, weight=w),
        lambda a, b, w: error_bound_weights(a, b, gamma=gamma, weight=w),
    ):
        found = f(losses, group, weight)
        assert float((weight * found).sum() / weight.sum()) == pytest.approx(1)
        torch.testing.assert_close(f(losses[order], group[order], weight[order]), found[order])


@settings(deadline=None)
@given(losses_and_groups)
def test_the_harder_the_group_the_heavier(rows):
    losses, group = t([x for x, _ in rows]), torch.tensor([g for _, g in rows])
    means, found = group_losses(losses, group), error_bound_weights(losses, group)
    assert bool((found[means.argsort()].diff() >= -1e-12).all())


def test_no_gradient_passes_through_weights():
    losses = t([0.5, 1.0]).requires_grad_()
    assert not error_bound_weights(losses, torch.tensor([0, 1])).requires_grad
    assert not identity_weights(losses, torch.tensor([0, 1])).requires_grad


def test_two_points_have_distance_covariance_a_quarter():
    # distances [[0, 1], [1, 0]] centre to [[-.5, .5], [.5, -.5]], whose squares are all .25
    found = distance_covariance_penalty(t([0.0, 1.0]), t([[0.0], [1.0]]), corrected=False)
    assert float(found) == pytest.approx(0.25)


def u_slow(x, y):
    """The unbiased estimator by loops, from its definition."""
    n = len(x)
    a = [[abs(x[i] - x[j]) for j in range(n)] for i in range(n)]
    b = [[float(np.linalg.norm(np.subtract(y[i], y[j]))) for j in range(n)] for i in range(n)]

    def centred(d, i, j):
        whole = sum(map(sum, d)) / ((n - 1) * (n - 2))
        return d[i][j] - sum(d[i]) / (n - 2) - sum(r[j] for r in d) / (n - 2) + whole

    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return sum(centred(a, i, j) * centred(b, i, j) for i, j in pairs) / (n * (n - 3))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(4, 9))
def test_both_forms_equal_their_slow_references(seed, n):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=(n, 2))
    assert float(distance_covariance_penalty(t(x), t(y))) == pytest.approx(u_slow(x, y), abs=1e-10)
    plain = float(distance_covariance_penalty(t(x), t(y), corrected=False))
    assert plain == pytest.approx(distance_covariance(x, y), abs=1e-10)


def test_the_correction_leaves_no_pull_under_independence():
    """Mean over draws of independent margins and attributes: about 0 corrected, and well above it otherwise."""
    rng = np.random.default_rng(0)
    draws = [(t(rng.normal(size=16)), t(rng.normal(size=(16, 1)))) for _ in range(400)]
    fixed = np.array([float(distance_covariance_penalty(x, y)) for x, y in draws])
    plain = np.array([float(distance_covariance_penalty(x, y, corrected=False)) for x, y in draws])
    assert abs(fixed.mean()) < 3 * fixed.std() / 20
    assert plain.mean() > 10 * plain.std() / 20


def test_crossed_corners_are_seen_and_single_attributes_are_not():
    # margins are XOR(a, b): no dependence on either, and on both together
    a, b = np.repeat([0.0, 1.0], 20), np.tile([0.0, 1.0], 20)
    margin = t((a != b).astype(float))
    single = [float(distance_covariance_penalty(margin, t(v[:, None]), corrected=False)) for v in (a, b)]
    assert single == pytest.approx([0, 0], abs=1e-12)
    assert float(distance_covariance_penalty(margin, t(np.stack([a, b], 1)), corrected=False)) > 0.01


def test_the_penalty_has_the_gradient_of_its_differences():
    rng = np.random.default_rng(3)
    y = t(rng.normal(size=(7, 2)))
    x = t(rng.normal(size=7)).requires_grad_()
    for corrected in (True, False):
        assert torch.autograd.gradcheck(lambda v, c=corrected: distance_covariance_penalty(v, y, corrected=c), x)


def test_fewer_pairs_than_say_anything_cost_nothing():
    margin = t([1.0, 2.0, 3.0]).requires_grad_()
    found = distance_covariance_penalty(margin, t([[0.0], [1.0], [2.0]]))
    found.backward()
    assert float(found.detach()) == 0
    assert margin.grad.tolist() == [0, 0, 0]


def test_parity_by_hand():
    # stratum 0: protected .2 against .6, gap -.4; stratum 1: .9 against .5, gap +.4; stratum 2 has one side only
    favoured, inside = t([0.2, 0.6, 0.9, 0.5, 0.1]), torch.tensor([True, False, True, False, True])
    stratum = torch.tensor([0, 0, 1, 1, 2])
    gap, weight = parity_gaps(favoured, inside, stratum)
    assert gap.tolist() == pytest.approx([-0.4, 0.4, 0.0])
    assert weight.tolist() == pytest.approx([0.5, 0.5, 0.0])
    # half of (.4 - .1)^2; the favourable gap costs nothing
    margin = torch.logit(favoured)
    assert float(parity_hinge(margin, inside, stratum, eps=0.1)) == pytest.approx(0.045)


@settings(deadline=None)
@given(st.integers(0, 500), st.floats(0.1, 3))
def test_serving_the_protected_group_better_never_costs(seed, more):
    rng = np.random.default_rng(seed)
    margin, inside = t(rng.normal(size=20)), torch.from_numpy(rng.random(20) < 0.4)
    stratum = torch.from_numpy(rng.integers(0, 3, 20))
    before = float(parity_hinge(margin, inside, stratum))
    assert float(parity_hinge(margin + more * inside, inside, stratum)) <= before + 1e-12
    same = t(np.zeros(20))
    assert float(parity_hinge(same, inside, stratum)) == 0


def test_huber_slope():
    assert huber_slope(0.005, delta=0.01) == 0.5
    assert huber_slope(0.3, delta=0.01) == 1
    assert huber_slope(-0.3, delta=0.01) == -1


def streamed(rate, batches, x, y_of, slope_of, group):
    state = StreamingParity(rate=rate)
    for at in batches:
        state = state.updated(y_of(x[at]), slope_of(x[at]), group[at])
    return state


@pytest.mark.parametrize("delta", [0.01, 10.0])
def test_the_stream_has_the_full_batchs_gradient(delta):
    """A frozen model, one example at a time: the gradient of the whole batch's Huber penalty, by autograd."""
    rng = np.random.default_rng(1)
    x, group, theta = rng.normal(size=(40, 3)), rng.random(40) < 0.3, rng.normal(size=3)

    def value(z):
        return 1 / (1 + np.exp(-z @ theta))

    def slope(z):
        p = value(z)
        return (p * (1 - p))[:, None] * z

    state = streamed(None, [[i] for i in range(40)], x, value, slope, group)
    w = t(theta).requires_grad_()
    p = torch.sigmoid(t(x) @ w)
    inside = torch.from_numpy(group)
    gap = p[inside].mean() - p[~inside].mean()
    huber = torch.where(gap.abs() < delta, gap**2 / (2 * delta), gap.abs() - delta / 2)
    (0.3 * huber).backward()
    np.testing.assert_allclose(state.penalty_gradient(delta=delta), w.grad.numpy(), atol=1e-12)
    assert state.gap == pytest.approx(gap.item())


@pytest.mark.parametrize("rate", [None, 0.1])
def test_batches_do_not_matter(rate):
    rng = np.random.default_rng(2)
    x, group = rng.normal(size=(12, 2)), rng.random(12) < 0.5
    single, whole = (
        streamed(rate, b, x, lambda z: z[:, 0], lambda z: z, group) for b in ([[i] for i in range(12)], [range(12)])
    )
    np.testing.assert_allclose(single.gradient, whole.gradient, atol=1e-12)
    np.testing.assert_allclose(single.value, whole.value, atol=1e-12)


def test_what_forgets_is_corrected_for_its_start():
    # 1 then 3 at rate 1/2: weights 1/4 and 1/2, divided by their sum: (1 + 2 * 3) / 3
    state = StreamingParity(rate=0.5)
    for value in (1.0, 3.0):
        state = state.updated(np.array([value]), np.zeros((1, 1)), np.array([False]))
    assert state.value[0] == pytest.approx(7 / 3)


def test_one_group_so_far_pulls_nowhere():
    state = StreamingParity().updated(np.ones(1), np.full((1, 1), 2.0), np.array([True]))
    assert state.gap == 0
    assert state.penalty_gradient().tolist() == [0]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: error_bound_weights(t([1.0]), torch.tensor([0]), gamma=-1.0), InputError, "gamma"),
        (lambda: identity_weights(t([1.0]), torch.tensor([0]), group_share=2.0), InputError, "group_share"),
        (lambda: identity_weights(t([1.0]), torch.tensor([0]), temperature=0.0), InputError, "temperature"),
        (lambda: distance_covariance_penalty(t([1.0]), t([[1.0], [2.0]])), ShapeError, "2 attributes for 1 margins"),
        (lambda: parity_hinge(t([1.0]), torch.tensor([True]), torch.tensor([0]), eps=2.0), InputError, "eps"),
        (lambda: huber_slope(1.0, delta=0.0), InputError, "delta is 0.0; give a positive gap"),
        (lambda: StreamingParity(rate=1.0), InputError, "rate is 1.0; give a share in"),
        (
            lambda: StreamingParity().updated(np.ones(2), np.ones((1, 2)), np.ones(2, dtype=bool)),
            ShapeError,
            "they must be (b,), (b, d), (b,)",
        ),
        (lambda: StreamingParity().penalty_gradient(), InputError, "nothing was seen yet"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
