"""Pareto fronts, weights that move with them, and the implicit gradient of a learned blend."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.combine import Front, gradient_weights, hypervolume, implicit_gradient, pareto_front

points = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 4), min_size=m, max_size=m), min_size=1, max_size=6)
)


def test_hypervolume_by_hand():
    # (1, 0.2) and (0.2, 1): 0.2 + 0.2 - 0.04; with (0.6, 0.6) the square 0.4 x 0.4 more
    corner = [[1, 0.2], [0.2, 1]]
    assert hypervolume(corner, [0, 0]) == pytest.approx(0.36)
    assert hypervolume([*corner, [0.6, 0.6]], [0, 0]) == pytest.approx(0.52)
    front = Front((0.0, 0.0)).updated([1, 0.2]).updated([0.2, 1])
    assert front.gain([0.6, 0.6]) == pytest.approx(0.16)
    assert front.factor([0.6, 0.6]) == pytest.approx(0.5 + 1.5 * math.tanh(0.16))
    assert front.factor([0.6, 0.6]) == pytest.approx(0.73797, abs=1e-5)
    assert front.updated([0.1, 0.1]) == front  # dominated
    assert front.factor([0.1, 0.1]) == 0.5
    assert Front((0.0, 0.0)).restored(front.state()) == front


@settings(deadline=None, max_examples=80)
@given(points)
def test_hypervolume_counts_the_cells_below(drawn):
    x = np.array(drawn, dtype=float)
    # whole numbers: count unit cells whose upper corner some point reaches
    grid = np.stack(np.meshgrid(*[np.arange(1, 5)] * x.shape[1], indexing="ij"), -1).reshape(-1, x.shape[1])
    cells = (grid[:, None, :] <= x[None]).all(axis=2).any(axis=1).sum()
    assert hypervolume(x, np.zeros(x.shape[1])) == pytest.approx(cells)
    assert hypervolume(x[::-1], np.zeros(x.shape[1])) == pytest.approx(cells)
    on = pareto_front(x)
    for i in range(len(x)):
        beaten = any((y >= x[i]).all() and (y > x[i]).any() for y in x)
        assert on[i] == (not beaten)
    assert hypervolume(x[on], np.zeros(x.shape[1])) == pytest.approx(cells)


def test_weight_flows_to_the_objective_that_still_moves():
    w = np.array([0.5, 0.5])
    assert gradient_weights(w, np.ones((2, 3))) == pytest.approx(w)
    moved = gradient_weights(w, np.array([[0.1, 0.0], [0.0, 2.0]]))
    assert moved.sum() == pytest.approx(1)
    # logits 0.1 * (0.01, 4): softmax of a difference of 0.399
    assert moved[1] == pytest.approx(1 / (1 + math.exp(-0.399)))


def blend(phi, features, temperature):
    """The inner optimum in closed form: softmax(phi . r / temperature)."""
    logits = features @ phi / temperature
    p = np.exp(logits - logits.max())
    return p / p.sum()


@pytest.mark.parametrize(("solver", "options"), [("conjugate-gradient", {}), ("neumann", {"terms": 4000, "step": 0.5})])
def test_the_implicit_gradient_equals_finite_differences_through_the_closed_form(solver, options):
    rng = np.random.default_rng(0)
    features, primary, temperature = rng.normal(size=(6, 3)), rng.normal(size=6), 0.7
    phi = rng.normal(size=3)
    p = blend(phi, features, temperature)
    covariance = np.diag(p) - np.outer(p, p)
    # Delta(theta, phi) = (cov) (features phi - temperature theta): at theta = features phi / temperature it is 0, and
    # dDelta/dtheta = -temperature cov, dDelta/dphi = cov features; a little of theta keeps H definite along constants
    damp = 1e-9
    found = implicit_gradient(
        covariance @ primary,
        hessian=lambda v: -temperature * covariance @ v - damp * v,
        cross=lambda v: features.T @ (covariance @ v),
        solver=solver,
        **options,
    )
    step, expected = 1e-6, np.zeros(3)
    for i in range(3):
        ends = [blend(phi + sign * step * np.eye(3)[i], features, temperature) @ primary for sign in (1, -1)]
        expected[i] = (ends[0] - ends[1]) / (2 * step)
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_misleading_reward_is_weighed_away():
    """Ten arms: the auxiliary reward points at the worst one. The naive sum follows it, the learned blend does not."""
    rng = np.random.default_rng(1)
    primary = np.sort(rng.uniform(0, 1, 10))
    auxiliary = -3 * primary
    features, temperature, phi = np.stack([primary, auxiliary], axis=1), 0.05, np.array([1.0, 1.0])
    naive = float(blend(phi, features, temperature) @ primary)
    for _ in range(300):
        p = blend(phi, features, temperature)
        covariance = np.diag(p) - np.outer(p, p)
        gradient = implicit_gradient(
            covariance @ primary,
            hessian=lambda v, c=covariance: -temperature * c @ v - 1e-9 * v,
            cross=lambda v, c=covariance: features.T @ (c @ v),
        )
        phi = phi + gradient
    assert naive < 0.2 * primary.max()
    assert float(blend(phi, features, temperature) @ primary) > 0.95 * primary.max()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hypervolume([[1.0]], [0.0, 0.0]), r"points \(1, 1\) and reference \(2,\)"),
        (lambda: pareto_front([[np.nan]]), "point 0 has a value that is missing; leave it out"),
        (lambda: pareto_front([1.0]), r"points have shape \(1,\)"),
        (lambda: gradient_weights([0.5, 0.6], np.ones((2, 1))), "give positive ones of sum 1"),
        (lambda: gradient_weights([1.0], np.ones((2, 1))), r"weights \(1,\) and gradients \(2, 1\)"),
        (lambda: implicit_gradient(np.ones(1), np.negative, np.negative, solver="cg"), "solver 'cg' is not known"),
        (
            lambda: implicit_gradient(np.ones(9), lambda v: -(np.arange(1, 10) ** 3) * v, np.negative, terms=2),
            "2 conjugate-gradient steps did not solve for the policy; allow more terms",
        ),
        (
            lambda: implicit_gradient(np.ones(1), lambda v: -9 * v, np.negative, solver="neumann", step=1.0),
            "the Neumann series grows with a step of 1.0; give a smaller one",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
