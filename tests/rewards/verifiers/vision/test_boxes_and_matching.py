import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import ShapeError
from plaudit.rewards.verifiers.vision import generalised_iou, greedy_match, iou, match_quality, optimal_match
from plaudit.rewards.verifiers.vision.boxes import as_boxes


def boxes(*rows):
    return np.array(rows, dtype=float).reshape(-1, 4)


def test_iou_by_hand():
    # 10x10 boxes shifted by half: 50 shared of 150
    assert iou(boxes([0, 0, 10, 10]), boxes([0, 5, 10, 15]))[0, 0] == pytest.approx(1 / 3)
    # 2x2 boxes shifted by (1, 1): 1 shared of 7
    assert iou(boxes([0, 0, 2, 2]), boxes([1, 1, 3, 3]))[0, 0] == pytest.approx(1 / 7)
    assert iou(boxes([0, 0, 2, 2]), boxes([5, 5, 6, 6]))[0, 0] == 0.0


def test_generalised_iou_by_hand():
    # disjoint unit squares at distance 1: the box around is 3 x 1, of which 1 is gap: 0 - 1/3
    assert generalised_iou(boxes([0, 0, 1, 1]), boxes([2, 0, 3, 1]))[0, 0] == pytest.approx(-1 / 3)
    same = boxes([1, 2, 3, 4])
    assert generalised_iou(same, same)[0, 0] == 1.0


def test_boxes_without_area_overlap_nothing():
    empty = boxes([1, 1, 1, 5], [5, 5, 1, 1])
    assert not iou(empty, empty).any()
    assert not iou(empty, boxes([0, 0, 10, 10])).any()


side = st.integers(0, 12)
box = st.tuples(side, side, side, side).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(st.lists(box, min_size=1, max_size=4), st.lists(box, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_iou_is_what_counting_cells_gives(first, second):
    def cells(b):
        return {(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])}

    found, general = iou(boxes(*first), boxes(*second)), generalised_iou(boxes(*first), boxes(*second))
    for (i, a), (j, b) in itertools.product(enumerate(first), enumerate(second)):
        union = cells(a) | cells(b)
        assert found[i, j] == pytest.approx(len(cells(a) & cells(b)) / len(union) if union else 0.0)
        assert -1 <= general[i, j] <= found[i, j] + 1e-12


def test_malformed_boxes_are_named():
    with pytest.raises(ShapeError, match="true boxes: shape"):
        as_boxes([[1, 2, 3]], "true boxes")
    with pytest.raises(ShapeError, match="give finite numbers"):
        as_boxes([[0, 0, 1, np.inf]])
    assert as_boxes([]).shape == (0, 4)


def test_greedy_takes_the_first_claim_and_optimal_the_best_sum():
    true = boxes([0, 0, 10, 10], [0, 4, 10, 14])
    predicted = boxes([0, 2, 10, 12], [0, 0, 10, 9])
    # IoUs: first with true 0 and 1: 80/120 = 2/3 both; second with true 0: 90/100, with true 1: 50/140
    match, value = greedy_match(predicted, true)
    assert match.tolist() == [0, -1]
    assert value.tolist() == pytest.approx([2 / 3, 0])
    match, value = optimal_match(predicted, true)
    assert match.tolist() == [1, 0]
    assert value.tolist() == pytest.approx([2 / 3, 0.9])


@given(st.lists(box, max_size=4), st.lists(box, max_size=4))
@settings(max_examples=60, deadline=None)
def test_optimal_match_is_the_best_of_all_assignments(predicted, true):
    a, b = boxes(*predicted), boxes(*true)
    worth = iou(a, b) if len(a) and len(b) else np.zeros((len(a), len(b)))
    worth = np.where(worth >= 0.5, worth, 0)
    wide = np.zeros((max(worth.shape, default=0),) * 2)
    wide[: len(a), : len(b)] = worth
    best = max(sum(wide[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(len(wide))))
    match, value = optimal_match(a, b)
    assert value.sum() == pytest.approx(best)
    taken = match[match >= 0]
    assert len(set(taken.tolist())) == len(taken)


def test_quality_of_one_hit_among_two_true_boxes():
    # one perfect prediction of two boxes: mean IoU 1 / max(1, 2)
    quality = match_quality(np.array([0]), np.array([1.0]), 2)
    assert (quality.precision, quality.recall, quality.iou) == (1.0, 0.5, 0.5)
    assert match_quality(np.zeros(0, int), np.zeros(0), 0).iou == 1.0
    assert match_quality(np.zeros(0, int), np.zeros(0), 2).precision == 0.0
