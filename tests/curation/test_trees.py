"""Trees of responses and what graphs of comparisons tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.curation import difference_variance, grow_tree, labelled_pairs, mean_variance, tree_edges, tree_pairs
from plaudit.errors import InputError
from plaudit.records.sample import conversation
from plaudit.rewards.base import Outcome, RewardBatch

SEEDS = st.integers(0, 10**6)
ASKED = conversation("count")


def words(_prompt, _beginning, n, rng):
    return [f" {i}{'abcdef'[rng.integers(6)]}" for i in range(n)]


def tree(*branches, seed=0):
    return grow_tree(ASKED, words, branches=branches, rng=np.random.default_rng(seed))


def test_its_shape():
    grown = tree(2, 3)
    assert len(grown.leaves) == 6
    assert len(grown.text) == 1 + 2 + 6
    a, b, *_, last = grown.leaves
    assert (grown.shared(a, b), grown.shared(a, last), grown.shared(a, a)) == (1, 0, 2)
    assert grown.completion(a) == "".join(grown.text[i] for i in grown.path(a))
    assert len(tree(8).leaves) == len(tree(2, 2, 2).leaves) == 8  # equal leaves
    same = grow_tree(ASKED, lambda p, b, n, r: [" x"] * n, branches=(3, 2), rng=np.random.default_rng(0))
    assert len(same.leaves) == 1  # equal continuations are one
    with pytest.raises(InputError, match="branches are"):
        tree()
    with pytest.raises(InputError, match="generate returned 1 continuations of 2"):
        grow_tree(ASKED, lambda p, b, n, r: ["x"], branches=(2,), rng=np.random.default_rng(0))


def test_pairs_share_what_is_asked_and_labels_are_the_judge_s():
    grown, rng = tree(2, 2, 2), np.random.default_rng(1)
    assert len(tree_pairs(grown, 99, rng=rng)) == 28  # 8 over 2
    siblings = tree_pairs(grown, 99, rng=rng, min_shared=2)
    assert len(siblings) == 4
    assert all(grown.shared(a, b) == 2 for a, b in siblings)
    assert tree_pairs(grown, 3, rng=rng).shape == (3, 2)

    class Judge:
        name, scope, bounds, fingerprint = "judge", "sample", (0.0, 9.0), "j"
        asked = 0

        def __call__(self, samples):
            Judge.asked += len(samples)
            worth = np.arange(len(samples), dtype=np.float64)
            worth[0] = np.nan
            return RewardBatch(worth, np.where(np.isnan(worth), Outcome.ABSTAINED, Outcome.SCORED))

    rows = labelled_pairs(grown, siblings, Judge())
    assert Judge.asked == 8  # each leaf once
    assert len(rows) == 3  # the pair of the leaf that could not be judged is left out
    assert all(row.margin == 1 and row.meta["shared"] == 2 for row in rows)
    order = [grown.completion(i) for i in grown.leaves]
    assert all(order.index(row.chosen) > order.index(row.rejected) for row in rows)


def path(n):
    return np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)


def test_variances_by_hand():
    # a path of three unit edges in series, a doubled edge in parallel, and a node by itself
    assert difference_variance(4, path(4), np.ones(3))[0].tolist() == pytest.approx([0, 1, 2, 3])
    double = np.array([[0, 1], [1, 0]])
    found = difference_variance(3, double, np.array([2.0, 2.0]))
    assert found[0].tolist() == pytest.approx([0, 1, np.inf])
    # a triangle: one edge beside two in series, 1 * 2 / (1 + 2)
    triangle = np.array([[0, 1], [1, 2], [0, 2]])
    assert difference_variance(3, triangle, np.ones(3))[0, 1] == pytest.approx(2 / 3)
    for edges, variance, message in (
        (np.array([[0, 5]]), np.ones(1), "edges name nodes 0 to 5; there are 2 nodes"),
        (np.array([[0, 1]]), np.zeros(1), "variances go down to 0"),
    ):
        with pytest.raises(InputError, match=message):
            difference_variance(2, edges, variance)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(3, 7))
def test_another_edge_never_harms_and_it_is_the_posterior_s_variance(seed, n):
    rng = np.random.default_rng(seed)
    edges, variance = np.concatenate([path(n), rng.integers(0, n, (3, 2))]), rng.uniform(0.2, 3, n + 2)
    found = difference_variance(n, edges, variance)
    fewer = difference_variance(n, edges[:-1], variance[:-1])
    assert (found <= fewer + 1e-9).all()
    # generalised least squares with the first reward fixed at zero
    design = np.zeros((n + 2, n))
    design[np.arange(n + 2), edges[:, 0]] += 1
    design[np.arange(n + 2), edges[:, 1]] -= 1
    covariance = np.linalg.inv((design.T / variance @ design)[1:, 1:])
    assert found[0, 1:] == pytest.approx(np.diag(covariance))


def test_trees_and_stars_are_nearer_than_chains():
    grown = tree(2, 2, 2)
    n = len(grown.text)
    as_tree = difference_variance(n, tree_edges(grown), np.ones(n - 1))
    star = np.stack([np.zeros(n - 1, dtype=np.int64), np.arange(1, n)], axis=1)
    nodes = range(n)
    chain = mean_variance(difference_variance(n, path(n), np.ones(n - 1)), nodes)
    assert mean_variance(difference_variance(n, star, np.ones(n - 1)), nodes) < mean_variance(as_tree, nodes) < chain
    assert chain == pytest.approx((n + 1) / 3)  # mean distance on a path
    with pytest.raises(InputError, match="1 nodes; give at least 2"):
        mean_variance(as_tree, [0])
