"""What every calibrator owes: antisymmetry on any data, order, JSON and back, one-line errors."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit._json import from_json, to_json
from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators import Calibrator, calibrator_type, fit_calibrator
from plaudit.rewards.calibrators.choosing import METHODS

ALL = tuple(METHODS)
MARGINS = st.lists(st.floats(-6, 6).map(lambda x: round(x, 2)), min_size=12, max_size=40)


def mixed(margins):
    """Both a right and a wrong sign, so that every method has a finite fit."""
    return np.array([*margins, 1.0, -0.5])


@pytest.mark.parametrize("method", ALL)
@settings(max_examples=25, deadline=None)
@given(margins=MARGINS, at=MARGINS)
def test_the_two_orders_of_a_pair_add_up_to_one(method, margins, at):
    fitted, m = fit_calibrator(method, mixed(margins)), np.array([*at, 0.0])
    p, q = fitted.probability(m), fitted.probability(-m)
    np.testing.assert_allclose(p + q, 1.0, atol=1e-12)
    assert p[-1] == 0.5
    assert ((p >= 0) & (p <= 1)).all()
    ends, turned = fitted.interval(m), fitted.interval(-m)
    if ends is not None:
        np.testing.assert_allclose(ends[0] + turned[1], 1.0, atol=1e-12)
        assert (ends[0] <= p + 1e-12).all()
        assert (p <= ends[1] + 1e-12).all()


@pytest.mark.parametrize("method", ALL)
@settings(max_examples=25, deadline=None)
@given(margins=MARGINS)
def test_a_larger_margin_is_never_less_probable(method, margins):
    grid = np.linspace(-8, 8, 201)
    assert (np.diff(fit_calibrator(method, mixed(margins)).probability(grid)) >= -1e-12).all()


@pytest.mark.parametrize("method", ALL)
@settings(max_examples=10, deadline=None)
@given(margins=MARGINS, flips=st.lists(st.booleans(), min_size=60, max_size=60))
def test_which_side_is_called_first_changes_nothing(method, margins, flips):
    m = mixed(margins)
    turn = np.where(flips[: m.size], -1.0, 1.0)
    one, other = fit_calibrator(method, m), fit_calibrator(method, m * turn, (turn + 1) / 2)
    at = np.linspace(-7, 7, 41)
    np.testing.assert_allclose(one.probability(at), other.probability(at), atol=1e-9)


@pytest.mark.parametrize("method", ALL)
def test_json_and_back_is_exact(method):
    m = np.random.default_rng(3).normal(1.0, 2.0, size=80)
    fitted = fit_calibrator(method, m, level=0.8)
    again = from_json(calibrator_type(method), json.loads(json.dumps(to_json(fitted))))
    assert again == fitted
    at = np.linspace(-5, 5, 33)
    assert np.array_equal(again.probability(at), fitted.probability(at))
    assert isinstance(fitted, Calibrator)
    assert (fitted.method, fitted.n) == (method, 80)


@pytest.mark.parametrize("method", ALL)
def test_pairs_without_a_margin_take_no_part(method):
    m = np.random.default_rng(4).normal(1.0, 2.0, size=40)
    holes = np.insert(m, [3, 17, 40], np.nan)
    assert fit_calibrator(method, holes) == fit_calibrator(method, m)
    p = fit_calibrator(method, m).probability([1.0, np.nan])
    assert np.isnan(p[1])
    assert p[0] > 0.5


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    ("margin", "label", "said"),
    [
        ([np.nan], None, "there is no pair with a margin, so there is nothing to fit"),
        ([0.0, 0.0], None, "all 2 margins are 0, so there is nothing to fit"),
        ([np.inf, 1.0], None, "a margin is infinite"),
        ([1.0, 2.0], [1, 2], "a label is 2.0; give 1, 0, or 0.5 for a tie"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_one_line(method, margin, label, said):
    with pytest.raises(InputError, match=said) as error:
        fit_calibrator(method, margin, label)
    assert str(error.value).startswith(f"{method}: ")
    assert "\n" not in str(error.value)


def test_lengths_and_names():
    with pytest.raises(ShapeError, match="2 margins and 1 labels"):
        fit_calibrator("platt", [1.0, 2.0], [1])
    with pytest.raises(InputError, match="method 'temprature' is not known; did you mean 'temperature'"):
        fit_calibrator("temprature", [1.0])
