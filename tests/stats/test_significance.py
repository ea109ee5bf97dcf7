import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from plaudit.errors import InputError
from plaudit.stats.tests import benjamini_hochberg, mcnemar_test, permutation_test, sign_test


def test_sign_test_by_hand():
    # 1 of 6: 2 * (C(6,0) + C(6,1)) / 64 = 14/64
    assert sign_test(5, 1) == pytest.approx(14 / 64)
    assert sign_test(3, 3) == 1.0
    assert sign_test(0, 0) == 1.0


def test_mcnemar_counts_only_what_differs():
    # a right and b wrong five times, the reverse once, agreement ten times: the sign test of 5 against 1
    a = [1] * 5 + [0] + [1] * 10 + [math.nan]
    b = [0] * 5 + [1] + [1] * 10 + [0]
    assert mcnemar_test(a, b) == pytest.approx(14 / 64)


def test_permutation_by_hand():
    # three clusters of +1: the sum 3 or -3 appears in 2 of the 8 sign patterns
    assert permutation_test([1.0, 1.0, 1.0], seed=0, permutations=20000) == pytest.approx(0.25, abs=0.02)
    # the same as one cluster: only two patterns, both as extreme
    assert permutation_test([1.0, 1.0, 1.0], ["a"] * 3, seed=0) == 1.0
    assert permutation_test([math.nan]) == 1.0


def test_permutation_holds_its_level():
    rng = np.random.default_rng(0)
    p = [permutation_test(rng.normal(size=20), seed=i, permutations=199) for i in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09


def test_benjamini_hochberg_published_example():
    # Benjamini and Hochberg 1995, section 3.2: 15 p-values, four discoveries at q = 0.05
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
    ]  # fmt: skip
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_parity_with_scipy(p):
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_a_test_that_was_not_made_does_not_count():
    adjusted = benjamini_hochberg([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[1])
    with pytest.raises(InputError, match=r"a p-value is 1\.5"):
        benjamini_hochberg([1.5])
