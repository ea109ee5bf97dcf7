"""Which mistakes metrics weigh, pooled precision and its gaming, and whole sets against the best of n."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.metrics import average_precision_score, roc_auc_score

from plaudit.errors import InputError, ShapeError
from plaudit.stats import (
    amd,
    amv,
    area_by_firing_rate,
    auprc,
    auroc,
    first_fixed,
    fit_mixture,
    neighbour_mistakes,
    pooled_ranking,
)


@pytest.mark.peer
def test_identities_equal_scikit_learn():
    rng = np.random.default_rng(0)
    label = (rng.uniform(size=400) < 0.2).astype(float)
    for score in (rng.normal(size=400) + label, (rng.normal(size=400) + label).round(1)):  # without and with ties
        roc, pr = area_by_firing_rate(score, label)
        assert roc == pytest.approx(roc_auc_score(label, score), abs=1e-12)
        assert pr == pytest.approx(average_precision_score(label, score), abs=1e-12)


def test_mistakes_by_hand():
    # ranked: 0 1 0 1. At the top: precision of the first positive 1/2 becomes 1: 1/2 over two positives = 1/4; the
    # lower one: 2/4 becomes 2/3: 1/6 over two = 1/12. Each swap mends one of the 2 x 2 pairs
    found = neighbour_mistakes([4, 3, 2, 1], [0, 1, 0, 1])
    assert found.positive.tolist() == [1, 3]
    assert found.auprc_gain == pytest.approx([1 / 4, 1 / 12])
    assert found.auroc_gain == pytest.approx([1 / 4, 1 / 4])


@given(st.integers(0, 300))
def test_gains_are_what_a_swap_changes(seed):
    rng = np.random.default_rng(seed)
    score, label = rng.permutation(30).astype(float), (rng.uniform(size=30) < 0.3).astype(float)
    if not 0 < label.sum() < 30:
        return
    found = neighbour_mistakes(score, label)
    for p, n, roc, pr in zip(found.positive, found.negative, found.auroc_gain, found.auprc_gain, strict=True):
        swapped = score.copy()
        swapped[[p, n]] = score[[n, p]]
        assert auroc(swapped, label) - auroc(score, label) == pytest.approx(roc, abs=1e-12)
        assert auprc(swapped, label) - auprc(score, label) == pytest.approx(pr, abs=1e-12)


def test_average_precision_mends_the_group_with_more_positives_first():
    rng = np.random.default_rng(3)
    group = np.repeat(["many", "few"], 300)
    label = (rng.uniform(size=600) < np.where(group == "many", 0.4, 0.05)).astype(float)
    # equally good within both groups; the rarer group's scores are lower, as a calibrated model's are
    score = rng.normal(size=600) + label + np.where(group == "many", 1.5, 0.0)
    mended = first_fixed(score, label, list(group), by="auprc", fixes=1500)
    gain = {g: after - before for g, (before, after) in mended.items()}
    assert gain["many"] > gain["few"] + 0.01
    fair = first_fixed(score, label, list(group), by="auroc", fixes=1500)
    assert fair["few"][1] - fair["few"][0] > gain["few"]


def test_refusals():
    with pytest.raises(InputError, match="scores tie"):
        neighbour_mistakes([1, 1], [0, 1])
    with pytest.raises(InputError, match="both occur"):
        neighbour_mistakes([1, 2], [1, 1])
    with pytest.raises(InputError, match="give auprc or auroc"):
        first_fixed([1, 2], [0, 1], ["a", "a"], by="f1", fixes=1)
    with pytest.raises(ShapeError, match="2 scores and 1 labels"):
        pooled_ranking([1, 2], [1], ["a", "a"])
    with pytest.raises(InputError, match="labels 1 or 0"):
        pooled_ranking([1, 2], [1, 0.5], ["a", "a"])
    with pytest.raises(InputError, match="cap is 0"):
        pooled_ranking([1, 2], [1, 0], ["a", "a"], cap=0)


def test_offsets_a_prompt_leave_the_mean_and_cost_the_pool():
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(40), 10)
    correct = (rng.uniform(size=400) < 0.3).astype(float)
    correct[::10] = 1
    score = rng.normal(size=400) + 2 * correct
    plain = pooled_ranking(score, correct, prompt)
    offset = pooled_ranking(score + 10 * rng.normal(size=40)[prompt], correct, prompt)
    assert offset.by_class == pytest.approx(plain.by_class, abs=1e-12)
    assert offset.pooled < plain.pooled - 0.2
    assert pooled_ranking(np.exp(score), correct, prompt).pooled == pytest.approx(plain.pooled, abs=1e-12)
    assert plain.gain == 0


def test_a_cap_on_the_total_is_gamed_and_by_hand():
    # class a takes both places: its positive is found with precision 1, class b's is cut: mean 1/2.
    # one place each: both found, mean 1
    found = pooled_ranking([9, 8, 1, 0.5], [1, 0, 1, 0], ["a", "a", "b", "b"], cap=2)
    assert (found.capped, found.gamed, found.by_class) == (0.5, 1.0, 1.0)
    assert found.gain == 0.5


def test_ties_at_the_border_of_a_cap_share_it_by_hand():
    # all scores equal, two classes of one positive and one negative, cap 2 of 4. Capped: a class keeps none in 1 of 6
    # cases (0), one in 4 (precision 1 or 0: mean 1/2), both in 1 (recall 1, precision 1/2): 4/6 / 2 + 1/6 / 2 = 5/12.
    # Dealt out alike it keeps one: 1/2. However the rows stand
    for correct in ([1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]):
        found = pooled_ranking([3, 3, 3, 3], correct, ["a", "a", "b", "b"], cap=2)
        assert (found.capped, found.gamed) == (pytest.approx(5 / 12), pytest.approx(1 / 2))
        assert (found.by_class, found.pooled) == (0.5, 0.5)
    # distinct scores, cap 3: the third place is one class's or the other's, half of the time each. A class with the
    # negative first has 0 with one row and 1/2 with two: 1/4 each. The scores as they are give it to a: (1/2 + 0) / 2
    found = pooled_ranking([9, 8, 1, 0.5], [0, 1, 0, 1], ["a", "a", "b", "b"], cap=3)
    assert (found.capped, found.gamed) == (pytest.approx(1 / 4), pytest.approx(1 / 4))
    # a class of one row leaves its part to the others: cap 3 is one of b, two of a
    found = pooled_ranking([9, 8, 7, 1], [0, 1, 0, 1], ["a", "a", "a", "b"], cap=3)
    assert (found.capped, found.gamed) == (pytest.approx(1 / 4), pytest.approx(3 / 4))


def test_ties_at_the_border_are_the_mean_over_their_orders():
    # the tied told apart in every way by 4,000 random orders, each without a tie at the border
    rng = np.random.default_rng(4)
    score, correct = rng.integers(0, 3, 24).astype(float), (rng.uniform(size=24) < 0.4).astype(float)
    correct[:3], classes = 1, np.arange(24) % 3
    found = pooled_ranking(score, correct, classes, cap=11)

    @cache
    def precision(of, kept):
        return kept_precision(score, correct, classes == of, np.isin(np.arange(24), kept))

    drawn = []
    for _ in range(4000):
        # kept by a random order of the tied; the precision of what is kept counts tied rows as one step
        kept = np.sort(np.argsort(-score + rng.uniform(0, 0.5, 24), kind="stable")[:11])
        drawn.append(np.mean([precision(c, tuple(kept[classes[kept] == c])) for c in range(3)]))
    assert found.capped == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 4000**0.5)
    turned = rng.permutation(24)
    again = pooled_ranking(score[turned], correct[turned], classes[turned], cap=11)
    assert (again.capped, again.gamed) == (pytest.approx(found.capped), pytest.approx(found.gamed))


def kept_precision(score, correct, own, kept):
    """Average precision of the kept rows of a class, positives that were cut off missed, by scikit-learn."""
    seen = own & kept
    if not correct[seen].any():
        return 0.0
    return average_precision_score(correct[seen], score[seen]) * correct[seen].sum() / correct[own].sum()


def test_one_normal_is_mahalanobis_and_its_widest_direction():
    rng = np.random.default_rng(1)
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    target = np.array([3.0, -1.0])
    one = (np.ones(1), np.array([[0.5, 0.5]]), covariance[None])
    assert amd(target, *one) == pytest.approx(mahalanobis(target, [0.5, 0.5], np.linalg.inv(covariance)), abs=1e-12)
    assert amv(*one) == pytest.approx(np.linalg.eigvalsh(covariance)[-1])
    assert amd(np.array([0.5, 0.5]), *one) == 0
    # equal components side by side are one
    assert amd(target, np.array([0.3, 0.7]), *(np.repeat(x, 2, axis=0) for x in one[1:])) == pytest.approx(
        amd(target, *one)
    )
    x = rng.multivariate_normal([0, 0], covariance, 4000)
    weights, means, covariances = fit_mixture(x)
    assert weights.size == 1
    assert amv(weights, means, covariances) == pytest.approx(np.linalg.eigvalsh(np.cov(x.T, ddof=0))[-1], rel=1e-4)


def test_the_weights_along_the_segment_are_the_integrals():
    weights, means = np.array([0.4, 0.6]), np.array([[0.0, 0.0], [4.0, 1.0]])
    covariances = np.array([np.eye(2), [[2.0, 0.5], [0.5, 0.7]]])
    target = np.array([-1.0, 3.0])
    v = weights @ means - target
    t = np.linspace(0, 1, 200_001)[:, None]
    mass = []
    for w, m, c in zip(weights, means, covariances, strict=True):
        off = target + t * v - m
        mass.append(w * np.trapezoid(np.exp(-0.5 * np.einsum("ni,ij,nj->n", off, np.linalg.inv(c), off)), t[:, 0]))
    inverse = np.einsum("k,kij->ij", np.array(mass) / sum(mass), np.linalg.inv(covariances))
    assert amd(target, weights, means, covariances) == pytest.approx(math.sqrt(v @ inverse @ v), abs=1e-8)
    assert np.isfinite(amd(np.array([500.0, -900.0]), weights, means, covariances))  # masses below the smallest double


def test_best_of_n_hardly_sees_what_the_set_sees():
    rng = np.random.default_rng(2)
    x, target = rng.normal(size=(256, 2)), np.zeros(2)
    rows = []
    for shift, width in ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (0.0, 1.5), (0.0, 2.0)):
        moved = x * width + shift
        mixture = fit_mixture(moved, most=1)
        rows.append((np.linalg.norm(moved - target, axis=1).min(), amd(target, *mixture), amv(*mixture)))
    best, far, wide = np.array(rows).T
    assert best.max() < 0.35
    assert far[0] < 0.2 < far[1] < far[2]
    assert wide[0] < wide[3] < wide[4]


def test_mixture_refusals():
    with pytest.raises(InputError, match="3 samples of 2 numbers"):
        fit_mixture(np.zeros((3, 2)))
    two = np.concatenate([np.random.default_rng(0).normal(size=(200, 1)) + s for s in (-8, 8)])
    assert fit_mixture(two)[0] == pytest.approx([0.5, 0.5], abs=0.01)
