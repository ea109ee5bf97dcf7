"""Bands for largest sums: hand values, and the search over sets beside all of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from plaudit.audit.fairness.bands import half_widths, largest_sum, resampled_totals


def test_hand_values_of_one_number():
    # resamples one above and one below: deviation 1, t is 1 in all of them, so the half width is 1
    drawn = np.tile([[-1.0], [1.0]], (50, 1))
    assert half_widths(np.zeros(1), drawn) == pytest.approx([1.0])
    # the one-sided t is -1 or 1, its 95% quantile 1: 3 - 1, and never below the empty sum
    assert largest_sum(np.array([3.0]), drawn + 3.0) == pytest.approx(2.0)
    assert largest_sum(np.array([0.5]), drawn + 0.5) == 0.0
    assert largest_sum(np.array([-3.0]), drawn - 3.0) == 0.0


def test_hand_values_of_two_terms():
    # terms that move in turn, each by 1 in half of the resamples: variance 1/2 each
    drawn = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]] * 25)
    # largest t of the sets {1}, {2}, {1, 2} in the resamples: 1 / sqrt(.5) where one rises, 0 where one falls
    # both: 4 - sqrt(2) * sqrt(1); one alone: 2 - sqrt(2) sqrt(.5) = 1
    assert largest_sum(np.array([2.0, 2.0]), drawn + 2.0) == pytest.approx(4 - np.sqrt(2))
    # a term that never varies costs nothing where it is above 0, and is left out below
    still = np.concatenate([drawn + 2.0, np.full((100, 1), 0.3), np.full((100, 1), -9.0)], axis=1)
    assert largest_sum(np.array([2.0, 2.0, 0.3, -9.0]), still) == pytest.approx(4.3 - np.sqrt(2))
    assert largest_sum(np.array([0.3, -9.0]), still[:, 2:]) == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_set_is_that_of_a_search_over_all(seed):
    rng = np.random.default_rng(seed)
    value, scale = rng.normal(size=6), rng.uniform(0.05, 1.0, 6)
    drawn = value + rng.normal(size=(200, 6)) * scale
    away = drawn - value
    variance = (away**2).mean(axis=0)
    sets = [list(c) for k in range(1, 7) for c in combinations(range(6), k)]
    largest = np.max([away[:, a].sum(axis=1) / np.sqrt(variance[a].sum()) for a in sets], axis=0)
    q = np.quantile(largest, 0.95)
    expected = max(0.0, *(value[a].sum() - q * np.sqrt(variance[a].sum()) for a in sets))
    assert largest_sum(value, drawn) == pytest.approx(expected)


def test_resampled_totals_are_of_whole_clusters():
    # two clusters of sums (3, 1) and (0, 2): every resample holds two of them
    found = resampled_totals(
        [np.array([1.0, 2.0, 0.0]), np.array([1.0, 0.0, 2.0])], np.array([0, 0, 1]), seed=0, resamples=400
    )
    kinds, times = np.unique(found, axis=0, return_counts=True)
    assert kinds.tolist() == [[0.0, 4.0], [3.0, 3.0], [6.0, 2.0]]
    assert times / 400 == pytest.approx([0.25, 0.5, 0.25], abs=0.08)
