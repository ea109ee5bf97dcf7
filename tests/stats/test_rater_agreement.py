"""Kappas and alpha: hand values, parity with scikit-learn and evalica, missing answers, and Holm's correction."""

from __future__ import annotations

import math

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from plaudit.errors import InputError, ShapeError
from plaudit.stats import agreement_estimate, benjamini_hochberg, cohen_kappa, fleiss_kappa, holm, krippendorff_alpha

NAN = math.nan


def test_cohen_by_hand():
    # agree on 3 of 4; a says 1 half of the time, b a quarter: chance 1/2 1/4 + 1/2 3/4 = 1/2; (3/4 - 1/2) / (1/2)
    assert cohen_kappa([1, 1, 0, 0], [1, 0, 0, 0]) == pytest.approx(0.5)
    assert math.isnan(cohen_kappa([1, 1], [1, 1]))


@pytest.mark.peer
@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_equals_scikit_learn(weights):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    b[:120] = a[:120]
    expected = cohen_kappa_score(a, b, weights=None if weights == "none" else weights)
    assert cohen_kappa([*a, NAN], [*b, 1], weights=weights) == pytest.approx(expected, abs=1e-12)


def test_fleiss_by_hand():
    # three raters, units (1, 1, 1) and (1, 1, 0): agreement 1 and 1/3, mean 2/3; shares 5/6 and 1/6: chance 26/36
    assert fleiss_kappa(np.array([[1.0, 1, 1], [1, 1, 0]])) == pytest.approx((2 / 3 - 26 / 36) / (1 - 26 / 36))


def test_fleiss_published_table():
    # Fleiss 1971 in the form of Wikipedia's worked example: 10 units, 14 raters, 5 categories, kappa 0.210
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    ratings = np.array([np.repeat(np.arange(5), c) for c in counts], dtype=float)
    assert fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)


KRIPPENDORFF = np.array(
    # Krippendorff 2011, section C: four observers, twelve units, answers missing
    [[1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
     [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN]]
).T  # fmt: skip


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_published_numbers(level, alpha):
    assert krippendorff_alpha(KRIPPENDORFF, level=level) == pytest.approx(alpha, abs=5e-4)


@pytest.mark.peer
@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_equals_evalica(level):
    rng = np.random.default_rng(1)
    table = rng.integers(0, 5, (40, 4)).astype(float)
    table[:, 1] = table[:, 0]
    table[rng.uniform(size=table.shape) < 0.3] = NAN
    expected = evalica.alpha(pd.DataFrame(table.T), distance=level).alpha  # raters by units
    assert krippendorff_alpha(table, level=level) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 1000))
def test_alpha_does_not_depend_on_the_order_of_raters_or_units(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 3, (12, 3)).astype(float)
    mixed = rng.permuted(table, axis=1)[rng.permutation(12)]
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha(mixed, level=level) == pytest.approx(
            krippendorff_alpha(table, level=level), abs=1e-12
        )
    # interval: only ratios of differences matter
    assert krippendorff_alpha(3 * table - 7, level="interval") == pytest.approx(
        krippendorff_alpha(table, level="interval"), abs=1e-12
    )


def test_degenerate_tables():
    assert math.isnan(krippendorff_alpha(np.array([[1.0, NAN], [2.0, NAN]])))
    assert math.isnan(krippendorff_alpha(np.ones((3, 2))))
    assert math.isnan(fleiss_kappa(np.ones((3, 2))))
    with pytest.raises(InputError, match=r"units have 1 to 2 answers.*krippendorff_alpha"):
        fleiss_kappa(np.array([[1.0, NAN], [1.0, 0.0]]))
    with pytest.raises(ShapeError, match="2 and 1 answers"):
        cohen_kappa([1, 2], [1])


def test_unknown_names_are_refused(unchecked_shapes):
    with pytest.raises(InputError, match="'ratio' is not known"):
        krippendorff_alpha(np.ones((2, 2)), level="ratio")
    with pytest.raises(InputError, match="'cubic' is not known"):
        cohen_kappa([1, 2], [1, 2], weights="cubic")


def test_interval_resamples_units():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 300)
    table = np.where(rng.uniform(size=(300, 3)) < 0.8, truth[:, None], 1 - truth[:, None]).astype(float)
    # two raters agree with 0.8^2 + 0.2^2 = 0.68; chance 0.5: kappa 0.36
    found = agreement_estimate(fleiss_kappa, table, resamples=300)
    assert found.low < 0.36 < found.high
    assert found.n == 300
    assert 0.05 < found.high - found.low < 0.3


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.04: times 3, 2, 1 = 0.03, 0.04, 0.04
    assert holm([0.04, 0.01, NAN, 0.02]) == pytest.approx([0.04, 0.03, NAN, 0.04], nan_ok=True)
    with pytest.raises(InputError, match=r"holm: a p-value is 1\.2"):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_benjamini_hochberg_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= benjamini_hochberg(p) - 1e-12).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
