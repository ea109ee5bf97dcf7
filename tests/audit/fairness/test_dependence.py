"""Distance covariance: hand values, what it sees that marginals miss, and its null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.audit.fairness.dependence import dependence_test
from plaudit.errors import InputError, ShapeError
from plaudit.stats.dependence import (
    attribute_matrix,
    distance_covariance,
    joint_distance_covariance,
)


def _slow(x, y):
    """The definition, by loops over pairs."""
    n = len(x)
    a = [[abs(x[i] - x[j]) for j in range(n)] for i in range(n)]
    b = [[abs(y[i] - y[j]) for j in range(n)] for i in range(n)]

    def centre(d):
        rows = [sum(r) / n for r in d]
        mean = sum(rows) / n
        return [[d[i][j] - rows[i] - rows[j] + mean for j in range(n)] for i in range(n)]

    a, b = centre(a), centre(b)
    return sum(a[i][j] * b[i][j] for i in range(n) for j in range(n)) / n**2


def test_two_points():
    # distances [[0,1],[1,0]] centre to [[-.5,.5],[.5,-.5]], whose squares are all .25
    assert distance_covariance([0.0, 1.0], [0.0, 1.0]) == pytest.approx(0.25)
    assert joint_distance_covariance([[0.0, 1.0], [0.0, 1.0]]) == pytest.approx(0.25)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=12))
def test_it_equals_the_definition(points):
    x, y = (list(c) for c in zip(*points, strict=True))
    assert distance_covariance(x, y) == pytest.approx(_slow(x, y), abs=1e-9)


@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0, 6))
def test_translations_and_rotations_change_nothing_and_two_variables_jointly_are_the_plain_one(seed, shift, angle):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=20), rng.normal(size=(20, 2))
    turned = y @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plain = distance_covariance(x, y)
    assert distance_covariance(x + shift, turned + shift) == pytest.approx(plain, abs=1e-9)
    assert joint_distance_covariance([x, y], c=1.0) == pytest.approx(plain, abs=1e-9)


def test_an_exclusive_or_shows_jointly_and_in_no_marginal():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, 600), rng.integers(0, 2, 600)
    values = (a ^ b) + 0.1 * rng.normal(size=600)
    one, two = (attribute_matrix([[str(v) for v in c]]) for c in (a, b))
    both = attribute_matrix([[str(v) for v in a], [str(v) for v in b]])
    assert dependence_test(values, one, permutations=199).p_value > 0.01
    assert dependence_test(values, two, permutations=199).p_value > 0.01
    joint = dependence_test(values, both, permutations=199)
    assert joint.p_value == pytest.approx(1 / 200)
    assert joint.statistic > 10 * joint.null


def test_the_null_rejects_no_more_often_than_its_level():
    rng = np.random.default_rng(3)
    p = [
        dependence_test(rng.normal(size=40), rng.normal(size=(40, 1)), permutations=99, seed=s).p_value
        for s in range(200)
    ]
    # 200 tests at 0.1: mean 20, standard deviation 4.2
    assert 5 <= sum(v <= 0.1 for v in p) <= 35


def test_prompts_confound_and_are_held_fixed():
    rng = np.random.default_rng(4)
    prompt = np.repeat(np.arange(40), 6)
    level = rng.normal(size=40)[prompt]
    attribute = (level + 0.3 * rng.normal(size=240))[:, None]
    values = level + 0.3 * rng.normal(size=240)
    assert dependence_test(values, attribute, permutations=99).p_value == pytest.approx(0.01)
    assert dependence_test(values, attribute, prompt, permutations=99).p_value > 0.05


def test_attributes_are_scaled_alike_and_constants_are_harmless():
    table = attribute_matrix([[1.0, 2.0, 3.0], ["x", "x", "y"], [7, 7, 7]])
    # one column of numbers, two of names, one constant
    assert table.shape == (3, 4)
    assert (table[:, 0] ** 2).mean() == pytest.approx(1.0)
    assert (table[:, 1:3] ** 2).sum(axis=1).mean() == pytest.approx(1.0)
    assert np.all(table[:, 3] == 0)
    assert dependence_test(np.arange(10.0), np.zeros((10, 1)), permutations=49).p_value == 1.0


def test_too_little_is_said():
    test = dependence_test([1.0, np.nan, 2.0], np.zeros((3, 1)))
    assert np.isnan(test.statistic)
    assert test.p_value == 1.0
    with pytest.raises(InputError, match="no attribute"):
        attribute_matrix([])
    with pytest.raises(ShapeError, match="2 and 3 rows"):
        distance_covariance([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="needs two"):
        joint_distance_covariance([[1.0, 2.0]])
