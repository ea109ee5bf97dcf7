import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sk_log_loss

from plaudit.errors import InputError, ShapeError
from plaudit.stats.scores import brier_score, brier_terms, log_loss, log_loss_terms, murphy

probabilities = st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(0, 1)), min_size=2, max_size=60)


def test_hand_values():
    # (0.2^2 + 0.4^2) / 2 = 0.1; -(log 0.8 + log 0.6) / 2 = (0.22314 + 0.51083) / 2 = 0.36698
    assert brier_score([0.8, 0.4], [1, 0]) == pytest.approx(0.1)
    assert log_loss([0.8, 0.4], [1, 0]) == pytest.approx(0.36698, abs=1e-5)
    assert log_loss([0.5, 0.5], [1, 0]) == pytest.approx(math.log(2))
    # a tie at p: -(log p + log(1 - p)) / 2, smallest at p = 1/2
    assert log_loss([0.5], [0.5]) < log_loss([0.7], [0.5])


@given(probabilities)
def test_parity_with_scikit_learn(rows):
    p, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assert brier_score(p, y) == pytest.approx(brier_score_loss(y, p, pos_label=1), abs=1e-12)
    assert log_loss(p, y) == pytest.approx(sk_log_loss(y, p, labels=[0, 1]), abs=1e-9)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_proper(truth, said):
    # the expected score under the truth is never better for another statement
    def expected(p):
        return truth * log_loss([p], [1]) + (1 - truth) * log_loss([p], [0])

    assert expected(truth) <= expected(said) + 1e-9


def test_nan_leaves_the_mean_and_a_sure_mistake_stays_finite():
    assert brier_score([0.8, math.nan], [1, 1]) == pytest.approx(0.04)
    assert math.isnan(brier_terms([math.nan], [1])[0])
    assert math.isnan(brier_score([], []))
    assert log_loss_terms([0.0], [1])[0] == pytest.approx(-math.log(1e-15))


def test_murphy_by_hand():
    # bins {0.2, 0.2} with frequency 1/2 and {0.8, 0.8} with frequency 1; base rate 3/4
    # reliability (0.3^2 + 0.2^2) / 2 = 0.065, resolution (0.25^2 + 0.25^2) / 2 = 0.0625, uncertainty 3/16
    parts = murphy([0.2, 0.2, 0.8, 0.8], [0, 1, 1, 1], n_bins=2)
    assert parts.reliability == pytest.approx(0.065)
    assert parts.resolution == pytest.approx(0.0625)
    assert parts.uncertainty == pytest.approx(0.1875)
    assert parts.within == pytest.approx(0.0)
    # Brier: (0.04 + 0.64 + 0.04 + 0.04) / 4 = 0.19 = 0.065 - 0.0625 + 0.1875
    assert brier_score([0.2, 0.2, 0.8, 0.8], [0, 1, 1, 1]) == pytest.approx(0.19)


@given(probabilities)
def test_murphy_adds_up(rows):
    p, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    parts = murphy(p, y, n_bins=4)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert total == pytest.approx(brier_score(p, y))
    assert parts.reliability >= 0
    assert parts.resolution >= 0


def test_errors():
    with pytest.raises(InputError, match=r"brier: probability 1 is 1.2; it must lie in \[0, 1\]"):
        brier_score([0.5, 1.2], [0, 1])
    with pytest.raises(ShapeError, match="log_loss"):
        log_loss([0.5], [0, 1])
