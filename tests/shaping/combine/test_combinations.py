"""Combinations of columns: hand values, the catalogue's checks, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.combine import (
    blended,
    break_even_prevalence,
    conjunction,
    gated,
    gated_steps,
    harmonic_mean,
    lexicographic_ranks,
    minimum,
    mixed_grain,
    normalised_sum,
    pattern_calibrated,
    trivial_policies,
    weighted_sum,
)
from plaudit.shaping.groups import standardised

tables = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(st.floats(0, 5), min_size=k, max_size=k), min_size=1, max_size=8)
)


def test_by_hand():
    values = [[1.0, 2.0], [0.0, np.nan]]
    assert weighted_sum(values, [0.5, 2.0])[0] == 4.5
    assert np.isnan(weighted_sum(values, [0.5, 0.0])[1])  # a term that is missing is no term of 0
    assert minimum(values)[0] == 1.0
    # similarities cos 0.8 and 0.2 as (1 + cos) / 2 = 0.9 and 0.6, lambda 0.3: 1 / (0.3 / 0.9 + 0.7 / 0.6) = 2/3
    assert harmonic_mean([[0.9, 0.6]], [0.3, 0.7])[0] == pytest.approx(2 / 3)
    assert harmonic_mean([[0.9, 0.0], [0.9, 0.6]], [1.0, 0.0]).tolist() == pytest.approx([0.9, 0.9])
    assert harmonic_mean([[0.9, 0.0]], [0.5, 0.5]).tolist() == [0.0]
    # exp of the sum is the product of the chances: sigmoid(1) sigmoid(2) = 0.64391
    assert math.exp(conjunction([[1.0, 2.0]], [0.0, 0.0])[0]) == pytest.approx(0.64391, abs=1e-5)


@settings(deadline=None)
@given(tables)
def test_the_harmonic_mean_lies_between_the_least_and_the_arithmetic_one(table):
    values = np.array(table) + 0.01
    w = np.full(values.shape[1], 1 / values.shape[1])
    found = harmonic_mean(values, w)
    assert (found <= weighted_sum(values, w) + 1e-9).all()
    assert (found >= minimum(values) - 1e-9).all()
    assert np.allclose(harmonic_mean(values[:, :1].repeat(2, axis=1), [0.5, 0.5]), values[:, 0])


@settings(deadline=None)
@given(tables)
def test_gates_between_a_sum_and_the_first_reward(table):
    values = np.array(table)
    k = values.shape[1]
    w = np.ones(k)
    assert np.allclose(gated(values, w, np.full(k - 1, -np.inf)), weighted_sum(values, w))
    assert np.allclose(gated(values, w, np.full(k - 1, np.inf)), values[:, 0])
    higher = values.copy()
    higher[:, 0] += 1.0
    some = np.full(k - 1, 2.0)
    assert (gated(higher, w, some) >= gated(values, w, some) - 1e-12).all()  # monotone in the first


def test_gates_by_hand():
    # thresholds 1 and 1: the third counts only where both before it passed
    values = [[1.0, 1.0, 5.0], [1.0, 0.5, 5.0], [0.0, 1.0, 5.0], [1.0, np.nan, 5.0]]
    assert gated(values, [1, 1, 0.1], [1.0, 1.0])[:3].tolist() == [2.5, 1.5, 0.0]
    assert np.isnan(gated(values, [1, 1, 0.1], [1.0, 1.0])[3])
    steps, mask = np.full((2, 3), 0.3), np.array([[True, True, False], [True, True, True]])
    found = gated_steps([1.0, 0.0], steps, mask, threshold=1.0)
    assert found.tolist() == [[0.3, 0.3, 0.0], [0.0, 0.0, 0.0]]
    assert gated_steps([0.0, 0.0], steps, mask, threshold=-np.inf).sum() == pytest.approx(1.5)
    assert not gated_steps([np.nan, 9.0], steps, mask, threshold=np.inf).any()


def test_lexicographic_by_hand_and_in_steps():
    values = [[1.0, 0.2], [1.0, 0.9], [0.0, 9.0], [1.0, 0.9], [np.nan, 1.0]]
    # of four: the third is last, the first before it, the equal two share ranks 3 and 4
    assert lexicographic_ranks(values, [0] * 5)[:4].tolist() == [1.5 / 4, 3 / 4, 0.5 / 4, 3 / 4]
    # read in steps of 2 the first reward ties, and the second decides
    coarse = lexicographic_ranks(values, [0] * 5, tolerance=[2.0, 0.0])
    assert coarse[2] == 3.5 / 4
    assert np.isnan(coarse[4])


@settings(deadline=None)
@given(tables)
def test_lexicographic_of_one_column_is_its_rank_and_groups_do_not_meet(table):
    from plaudit.shaping.transforms import group_ranks

    values = np.array(table)
    groups = np.arange(len(values)) % 2
    assert np.allclose(lexicographic_ranks(values[:, :1], groups), group_ranks(values[:, 0], groups))


def test_a_normalised_sum_is_not_decided_by_the_largest_scale():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=(64, 2)), np.repeat(np.arange(8), 8)
    plain = normalised_sum(values, groups, epsilon=0.0)
    assert np.allclose(normalised_sum(values * [1, 1000], groups, epsilon=0.0), plain)
    # by hand: both kinds standardised in their group of two (+-1/sqrt 2), summed, and standardised over the batch
    found = normalised_sum([[0.0, 10], [1, 30], [0, 10], [1, 0]], [0, 0, 1, 1], epsilon=0.0)
    # sums: -sqrt 2, sqrt 2, 0, 0: mean 0, deviation over 3 of sqrt(4/3)
    assert found == pytest.approx(np.array([-1, 1, 0, 0]) * math.sqrt(2) / math.sqrt(4 / 3))
    gone = normalised_sum([[0.0, np.nan], [1, np.nan], [np.nan, np.nan]], [0, 0, 0], epsilon=0.0)
    assert gone.tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2), 0.0])
    assert normalised_sum([[1.0]], [0]).tolist() == [0.0]


def test_blends_by_hand():
    # a rule alone, a model alone, half of each, no rule at all
    found = blended([1.0, 0.0, 1.0, np.nan], [0.2, 0.6, 0.5, 0.7], [1.0, 0.0, 0.5, 1.0])
    assert found.tolist() == [1.0, 0.6, 0.75, 0.7]
    assert blended([1.0], [np.nan], 1.0).tolist() == [1.0]
    assert np.isnan(blended([1.0], [np.nan], 0.5)[0])
    assert pattern_calibrated([0.0, 1.0, np.nan], [0.35, 0.35, 0.35], weight=1.0)[:2].tolist() == [0.35, 1.0]
    assert pattern_calibrated([0.4, 0.6], [0.5, np.nan]).tolist() == pytest.approx([0.45, 0.6])
    # pages 1 and 3: z -1 and 1; items 0, 2 | 2: z over (0, 2, 2): mean 4/3, deviation sqrt(8/9)
    z = (np.array([0, 2, 2]) - 4 / 3) / math.sqrt(8 / 9)
    found = mixed_grain([1.0, 3.0], np.array([[0.0, 2.0], [2.0, np.nan]]))
    assert found == pytest.approx([-0.5 + 0.5 * (z[0] + z[1]) / 2, 0.5 + 0.5 * z[2]])
    assert mixed_grain([1.0, 3.0], np.zeros((2, 3)), item_weight=0.0).tolist() == [-0.5, 0.5]


def test_group_flips_shrink_the_expected_advantage_by_one_minus_twice_their_share():
    """Noise that turns a whole prompt's verdicts: E[advantage] = (1 - 2p) times the clean one [12]."""
    rng = np.random.default_rng(0)
    p, clean, groups = 0.4, np.array([1.0, 0, 0, 1, 1, 0, 0, 0]), [0] * 8
    total = np.zeros(8)
    for _ in range(4000):
        total += standardised(1 - clean if rng.random() < p else clean, groups)
    ratio = total / 4000 / standardised(clean, groups)
    assert np.allclose(ratio, ratio[0])  # all of a prompt turn together
    assert ratio[0] == pytest.approx(1 - 2 * p, abs=0.04)  # 2.5 standard errors of 4,000 flips


def test_scorecards_that_teach_to_reject():
    # gain 1, penalty 3: break-even at 3/4
    assert break_even_prevalence(true_positive=1, false_positive=-3) == 0.75
    for prevalence, better in ((0.7, "reject"), (0.8, "accept")):
        worth = trivial_policies(prevalence, true_positive=1, false_positive=-3)
        assert max(worth, key=worth.get) == better
    even = trivial_policies(0.75, true_positive=1, false_positive=-3)
    assert even["accept"] == even["reject"] == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted_sum([[1.0]], [1.0, 2.0]), r"values \(1, 1\) and weights \(2,\)"),
        (lambda: weighted_sum([[1.0]], [-1.0]), r"weights are \[-1.0\]; give finite ones, none below 0"),
        (lambda: weighted_sum([[1.0]], [0.0]), "one above it"),
        (lambda: harmonic_mean([[1.0, 1.0]], [0.5, 0.6]), "sum to 1.1; give weights of sum 1"),
        (lambda: harmonic_mean([[1.0, -1.0]], [0.5, 0.5]), "value 1 of row 0 is -1.0; give values of at least 0"),
        (lambda: gated([[1.0, 1.0]], [1, 1], [1, 1, 1]), "3 thresholds for 2 rewards"),
        (lambda: gated([[1.0, 1.0]], [1, 1], [np.nan]), "a threshold is NaN"),
        (lambda: gated_steps([1.0], np.zeros((2, 2)), np.ones((2, 2), bool), threshold=0), r"outcome \(1,\)"),
        (lambda: lexicographic_ranks([[1.0]], [0], tolerance=-1.0), "tolerance is"),
        (lambda: lexicographic_ranks([1.0], [0]), r"values \(1,\) and 1 group labels"),
        (lambda: blended([1.0], [1.0], 1.5), "a confidence is 1.5; give numbers between 0 and 1"),
        (lambda: blended([1.0], [1.0, 2.0], 0.5), "1 rewards by the rule and 2 by the model"),
        (lambda: pattern_calibrated([1.0], [1.0], weight=-1), "weight is -1; give a number of at least 0"),
        (lambda: mixed_grain([1.0], np.zeros((2, 1))), r"whole \(1,\) and items \(2, 1\)"),
        (lambda: trivial_policies(2.0, true_positive=1, false_positive=-1), "prevalence is 2.0"),
        (lambda: break_even_prevalence(true_positive=0, false_positive=-1), "are worth 0.0 and 1.0 more than"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
