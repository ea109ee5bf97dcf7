import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators import ResidualInterval


def test_by_hand():
    # residuals 1 ... 9 and level 0.8: the ceil(10 * 0.8) = 8th smallest is 8
    fitted = ResidualInterval.fit(np.zeros(9), np.arange(1, 10) * np.array([1, -1] * 4 + [1]), level=0.8)
    assert (fitted.quantile, fitted.n, fitted.normalised) == (8.0, 9, False)
    low, high = fitted.interval([10.0])
    assert (low[0], high[0]) == (2.0, 18.0)
    # in units of a deviation of 2 they are 0.5 ... 4.5: the 8th is 4; at a deviation of 3 the half-width is 12
    scaled = ResidualInterval.fit(np.zeros(9), np.arange(1.0, 10.0), np.full(9, 2.0), level=0.8)
    assert scaled.quantile == 4.0
    assert [x.tolist() for x in scaled.interval([0.0], [3.0])] == [[-12.0], [12.0]]


@pytest.mark.parametrize("normalised", [True, False])
def test_coverage_over_many_splits(normalised):
    rng, hits, width = np.random.default_rng(0), [], []
    for _ in range(400):
        std = rng.uniform(0.2, 3.0, size=150)
        score = rng.normal(size=150)
        target = score + std * rng.standard_t(4, size=150)
        unit = (lambda at, s=std: s[at]) if normalised else (lambda at: None)
        fitted = ResidualInterval.fit(score[:50], target[:50], unit(slice(50)), level=0.9)
        low, high = fitted.interval(score[50:], unit(slice(50, None)))
        hits.append(((low <= target[50:]) & (target[50:] <= high)).mean())
        width.append((high - low).mean())
    assert 0.9 - 0.006 <= np.mean(hits) <= 0.93


def test_errors():
    with pytest.raises(InputError, match="8 samples cannot promise 90%; give at least 9"):
        ResidualInterval.fit(np.zeros(8), np.ones(8))
    with pytest.raises(InputError, match="level is 0; give a coverage"):
        ResidualInterval.fit([0.0], [1.0], level=0)
    with pytest.raises(InputError, match=r"a deviation is 0\.0; deviations are positive"):
        ResidualInterval.fit(np.zeros(20), np.ones(20), np.zeros(20))
    with pytest.raises(ShapeError, match="must be equal"):
        ResidualInterval.fit(np.zeros(2), np.ones(3))
    fitted = ResidualInterval.fit(np.zeros(20), np.ones(20))
    with pytest.raises(InputError, match="was fitted without deviations; give std None"):
        fitted.interval([0.0], [1.0])
    assert ResidualInterval.fit([*np.zeros(20), np.nan], np.ones(21)).n == 20
