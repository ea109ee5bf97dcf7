import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
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
