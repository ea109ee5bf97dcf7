import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.readers import Head, evidential_parameters, quantiles


def column(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_scalar_and_aspects():
    assert Head().read(column([2.0], [-1.0])).score.tolist() == [2.0, -1.0]
    head = Head("aspects", 2, {"names": ["help", "harm"], "weights": [3, 1]})
    found = head.read(column([1.0, -3.0]))
    assert found.score.tolist() == [0.0]  # (3 * 1 - 3) / 4
    assert found.aspects["harm"].tolist() == [-3.0]
    assert Head("aspects", 2, {"names": ["a", "b"]}).read(column([1.0, 3.0])).score.tolist() == [2.0]


def test_gaussian_by_hand():
    found = Head("gaussian", 2).read(column([1.5, math.log(4.0)], [0.0, 1000.0]))
    assert found.score.tolist() == [1.5, 0.0]
    assert found.noise.tolist() == pytest.approx([2.0, math.exp(6.0)])  # the log-variance is clamped at 12
    assert found.std is None


def test_ratings_by_hand():
    # probabilities 1/4 and 3/4 on the values 0 and 2: mean 1.5, variance 3 - 2.25
    found = Head("ratings", 2, {"values": [0.0, 2.0]}).read(column([0.0, math.log(3.0)]))
    assert found.score.tolist() == pytest.approx([1.5])
    assert found.noise.tolist() == pytest.approx([math.sqrt(0.75)])


def test_two_ratings_by_hand():
    """Levels 1 and 2, the chance p of level 2 Beta(2, 3): E p = 2/5, after a 2 it is 3/6, after a 1 it is 2/6.

    Var p = 1/25 is what is not known; E p (1 - p) = 6/30 is the raters' own; together 2/5 * 3/5.
    """
    outputs = [math.log(x) for x in (3 / 5, 2 / 5, 4 / 6, 2 / 6, 3 / 6, 3 / 6)]
    found = Head("two-ratings", 6).read(column(outputs, [0.0] * 6))
    assert found.score.tolist() == pytest.approx([1.4, 1.5])
    assert found.std.tolist() == pytest.approx([0.2, 0.0], abs=1e-9)  # independent ratings leave nothing unknown
    assert found.noise.tolist() == pytest.approx([math.sqrt(0.2), 0.5])


def test_two_ratings_of_three_levels_by_hand():
    """A flat Dirichlet over three levels: the mean level is 2, and after a rating i it is (6 + i) / 4.

    Var of the true mean: the levels' variance 2/3 divided by 3 + 1, so 1/6; what is left is 1/2. The diagonal alone,
    which is 1/3 (1/2 - 1/3) for each level, would give (1 + 4 + 9) / 18.
    """
    second = [math.log(2 / 4 if i == j else 1 / 4) for i in range(3) for j in range(3)]
    found = Head("two-ratings", 12).read(column([0.0] * 3 + second))
    assert found.score.tolist() == pytest.approx([2.0])
    assert found.std.tolist() == pytest.approx([math.sqrt(1 / 6)])
    assert found.noise.tolist() == pytest.approx([math.sqrt(1 / 2)])


def test_a_sure_model_of_two_ratings_has_no_deviation_and_a_contrary_one_none_below_zero():
    sure = [0.0, 800.0, *[0.0, 800.0] * 2]
    contrary = [0.0, 0.0, -800.0, 800.0, 800.0, -800.0]  # the second always says the other level: no raters do
    found = Head("two-ratings", 6).read(column(sure, contrary))
    assert found.std.tolist() == [0.0, 0.0]
    assert found.noise.tolist() == [0.0, 0.5]
    with pytest.raises(ShapeError, match="5 outputs a sequence; c levels need c \\+ c\\^2: 6, 12"):
        Head("two-ratings", 5).read(column([0.0] * 5))


def test_quantiles_by_hand():
    # softplus(0) = log 2: quantiles 1, 1 + log 2, 1 + 2 log 2; masses of 0.1, 0.5, 0.9: 0.3, 0.4, 0.3
    head = Head("quantile", 3, {"levels": [0.1, 0.5, 0.9]})
    found = head.read(column([1.0, 0.0, 0.0]))
    assert found.score.tolist() == pytest.approx([1 + math.log(2)])
    # 1.281552 is the standard normal's 90% quantile
    assert found.noise.tolist() == pytest.approx([2 * math.log(2) / (2 * 1.2815515655)])
    assert Head("quantile", 1, {"levels": [0.5]}).read(column([4.0])).noise is None


@given(st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_quantiles_never_cross_and_deviations_are_positive(rows):
    outputs = torch.tensor(rows, dtype=torch.float64)
    assert (quantiles(outputs).diff(dim=1) >= 0).all()
    _, nu, alpha, beta = evidential_parameters(outputs)
    assert (nu > 0).all()
    assert (alpha > 1).all()
    assert (beta > 0).all()
    found = Head("evidential", 4).read(outputs)
    assert np.isfinite(found.std).all()
    # more evidence for the location, less epistemic deviation: std = noise / sqrt(nu)
    assert np.allclose(found.std, found.noise / np.sqrt(nu.numpy()))


def test_heads_are_checked():
    with pytest.raises(InputError, match=r"kind 'quantiles' is not known; did you mean 'quantile'"):
        Head("quantiles")
    with pytest.raises(InputError, match="2 outputs a sample, and scalar reads 1"):
        Head().read(column([1.0, 2.0]))
    with pytest.raises(InputError, match="outputs is 0"):
        Head(outputs=0)
