"""Borda against the mean: hand values, Kemeny by trying every order, what each is and is not moved by."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.ratings import (
    borda_one_level,
    borda_two_level,
    consensus,
    kemeny,
    kendall_distance,
    task_ranks,
    top_agreement,
)


def test_where_mean_and_borda_differ():
    # system 0 is far ahead in one task and last in two; 1 is second everywhere. Ranks: 0, 2, 2 / 1, 1, 0 / 2, 0, 1
    scores = np.array([[100.0, 1.0, 1.0], [3.0, 2.0, 3.0], [2.0, 3.0, 2.0]])
    found = consensus(scores)
    assert found.counts.tolist() == [4.0, 2.0, 3.0]
    assert found.borda.tolist() == [2.0, 0.0, 1.0]
    assert found.mean.tolist() == [0.0, 1.0, 2.0]
    assert found.disputed == ((1, 0), (2, 0))
    # distances of (1, 2, 0) to the tasks (0, 1, 2), (2, 1, 0), (1, 2, 0): 2, 1, 0; of (0, 1, 2): 0, 3, 2
    assert (found.distortion_borda, found.distortion_mean) == pytest.approx((1.0, 5 / 3))
    assert found.agreement == pytest.approx(-1 / 3)
    # Borda's order is 1, 2, 0, the mean's 0, 1, 2: first {1} and {0}, then {1, 2} and {0, 1}, then all
    assert found.top.tolist() == [0.0, 0.5, 1.0]
    # the tasks' orders are 0 1 2, 2 1 0, 1 2 0: of Borda's first one 0, 0, 1 are theirs, of its first two 1, 2, 2
    assert found.top_borda == pytest.approx([1 / 3, 5 / 6, 1])
    assert found.top_mean == pytest.approx([1 / 3, 2 / 3, 1])  # 1, 0, 0 and 2, 1, 1


def test_ties_at_the_border_share_the_places():
    # a: 0 first, 1 and 2 tie; b: 0, 1, 2. The first two of a are 0 and half of each of 1 and 2: in common 1 + 1/2
    a, b = np.array([0.0, 1.5, 1.5]), np.array([0.0, 1.0, 2.0])
    assert top_agreement(a, b).tolist() == [1.0, 0.75, 1.0]
    assert top_agreement(a, a).tolist() == [1.0] * 3
    with pytest.raises(ShapeError, match="give two of the same systems"):
        top_agreement(a, b[:2])


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_top_agreement_is_the_overlap_of_sets(one, two):
    a, b = np.argsort(one).astype(float), np.argsort(two).astype(float)
    slow = [len(set(one[:k]) & set(two[:k])) / k for k in range(1, 6)]
    assert top_agreement(a, b) == pytest.approx(slow)


def test_ties_share_their_rank():
    assert task_ranks(np.array([[1.0], [2.0], [2.0]]))[:, 0].tolist() == [2.0, 0.5, 0.5]
    assert kendall_distance(np.array([0.0, 0.5, 0.5]), np.array([0.0, 1.0, 2.0])) == 0.5


@given(st.integers(0, 500), st.integers(2, 5), st.integers(1, 6))
def test_borda_is_moved_by_no_monotone_transform_and_near_the_optimum(seed, s, t):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(s, t))
    stretched = np.exp(scores * rng.uniform(0.1, 3, t)) + rng.normal(size=t)
    assert (consensus(scores).borda == consensus(stretched).borda).all()
    ranks = task_ranks(scores)
    cost = {
        order: np.mean([kendall_distance(np.array(order, dtype=float), r) for r in ranks.T])
        for order in itertools.permutations(range(s))
    }
    assert cost[tuple(int(x) for x in kemeny(scores))] == pytest.approx(min(cost.values()))
    assert consensus(scores).distortion_borda <= 5 * min(cost.values()) + 1e-9
    if t == 1:
        assert (consensus(scores).borda == consensus(scores).mean).all()


@given(st.integers(0, 500))
def test_a_task_that_all_agree_on_never_lowers_the_winner(seed):
    scores = np.random.default_rng(seed).normal(size=(4, 3))
    before = consensus(scores).borda
    unanimous = np.concatenate([scores, -before[:, None]], axis=1)
    assert (consensus(unanimous).borda == before).all()


def test_borda_finds_the_order_where_scales_differ():
    # the catalogue's check: scales exp(2 N(0, 1)), 10 systems, 8 tasks; the mean follows the widest scale
    rng = np.random.default_rng(0)
    taus = []
    for _ in range(60):
        quality = rng.normal(size=10)
        scores = (quality[:, None] + rng.normal(size=(10, 8))) * np.exp(2 * rng.normal(size=8))
        found = consensus(scores)
        true = rankdata(-quality) - 1
        taus.append([1 - 2 * kendall_distance(r, true) / 45 for r in (found.borda, found.mean)])
    borda, mean = np.mean(taus, axis=0)
    assert borda - mean > 0.08


def test_two_levels_count_tasks_alike():
    # task 0 has three instances that system 0 wins, task 1 and 2 one each (repeated) that system 1 wins
    scores = np.zeros((2, 3, 3))
    scores[0, :, 0] = 1
    scores[1, 0, 1] = scores[1, 0, 2] = 1  # the other instances tie
    assert borda_two_level(scores).tolist() == [1.0, 0.0]  # 1 task against 2
    assert borda_one_level(scores).tolist() == [0.0, 1.0]  # 3 instances against 2


def test_what_is_refused():
    with pytest.raises(ShapeError, match="systems by tasks"):
        consensus(np.zeros(3))
    with pytest.raises(InputError, match="not finite"):
        consensus(np.array([[np.nan], [1.0]]))
    with pytest.raises(InputError, match="9 systems"):
        kemeny(np.zeros((9, 2)))
