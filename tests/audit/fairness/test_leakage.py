"""Fisher's discriminant of an attribute in features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.audit.fairness.leakage import fisher_discriminant
from plaudit.errors import InputError, ShapeError

AT = np.array([True, True, False, False])


def test_by_hand():
    # 1, 3 against 5, 7: means 2 and 6, variances 2 and 2: 16 / 4; in two dimensions that do not vary together they add
    assert fisher_discriminant(np.array([[1.0], [3.0], [5.0], [7.0]]), AT) == pytest.approx(4.0)
    two = np.array([[1.0, 0.0], [3.0, 0.0], [1.0, 0.0], [3.0, 0.0], [5.0, 1.0], [7.0, 1.0], [5.0, 3.0], [7.0, 3.0]])
    at = np.repeat([True, False], 4)
    # first: means 2 and 6, variances 4/3 each: 16 / (8/3) = 6
    # second: means 0 and 2, variances 0 and 4/3: 4 / (4/3) = 3
    assert fisher_discriminant(two, at) == pytest.approx(9.0)
    # with eps = 1 in one dimension: 16 / 5
    assert fisher_discriminant(np.array([[1.0], [3.0], [5.0], [7.0]]), AT, eps=1.0) == pytest.approx(3.2)


def test_equal_means_leak_nothing_whatever_the_spreads():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [0.0, 5.0], [4.0, 5.0]])  # means 2 and 2; the second feature never varies
    assert fisher_discriminant(x, AT) == 0.0


@given(st.integers(0, 10_000))
def test_it_is_the_same_for_every_invertible_linear_map(seed):
    rng = np.random.default_rng(seed)
    x, at = rng.normal(size=(40, 3)) + np.arange(40)[:, None] / 40, np.arange(40) % 3 == 0
    left, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    right, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = left @ np.diag([0.1, 1.0, 10.0]) @ right  # invertible, stretched a hundredfold
    assert fisher_discriminant(x @ matrix + rng.normal(size=3), at) == pytest.approx(
        fisher_discriminant(x, at), rel=1e-6
    )
    assert fisher_discriminant(x, ~at) == pytest.approx(fisher_discriminant(x, at))


def test_mistakes_are_told():
    with pytest.raises(ShapeError, match="rows of features"):
        fisher_discriminant(np.zeros((3, 1)), AT)
    with pytest.raises(InputError, match="fewer than two rows"):
        fisher_discriminant(np.zeros((4, 1)), np.array([True, False, False, False]))
    with pytest.raises(InputError, match="differ where neither varies, so it is infinite; pass eps>0"):
        fisher_discriminant(np.array([[0.0], [0.0], [1.0], [1.0]]), AT)
    assert fisher_discriminant(np.array([[0.0], [0.0], [1.0], [1.0]]), AT, eps=0.5) == pytest.approx(2.0)
    with pytest.raises(InputError, match="eps is -1"):
        fisher_discriminant(np.zeros((4, 1)), AT, eps=-1.0)
