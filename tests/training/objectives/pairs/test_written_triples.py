"""The detector's triples: by hand, and as weighted Bradley-Terry."""

from __future__ import annotations

import math

import pytest
import torch

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.triples import replayed, written_triples

ONE = torch.tensor([[0, 1, 2]])


def test_equal_scores_cost_log_two_a_pair():
    # each of the three pairs costs log 2: (.35 + 1 + .35) / 3 of it; squares of zero are zero
    found = written_triples(torch.zeros(3, dtype=torch.float64), ONE)
    assert float(found) == pytest.approx(math.log(2) * 1.7 / 3)


def test_a_triple_by_hand():
    # scores 2, 1, 0: differences 1, 2, 1; squares 4 + 1, 4 + 0, 1 + 0, halved and times .01
    scores = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    one, two = math.log1p(math.exp(-1)), math.log1p(math.exp(-2))
    expected = (0.35 * (one + 0.005 * 5) + (two + 0.005 * 4) + 0.35 * (one + 0.005 * 1)) / 3
    assert float(written_triples(scores, ONE)) == pytest.approx(expected)
    # two triples are twice as much, and their order does not matter
    more = torch.cat([ONE, ONE])
    assert float(written_triples(scores, more)) == pytest.approx(2 * expected)


def test_one_weight_alone_is_a_third_of_bradley_terry():
    scores = torch.tensor([0.3, -1.2, 0.7, 2.0, 0.1, -0.4], dtype=torch.float64)
    triples = torch.tensor([[0, 1, 2], [3, 4, 5]])
    found = written_triples(scores, triples, weights=(0.0, 1.0, 0.0), norm_coef=0.0)
    assert float(found) == pytest.approx(float(bradley_terry(scores, triples[:, [0, 2]])) / 3)


def test_gradients_push_apart_and_no_triple_costs_nothing():
    scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    written_triples(scores, ONE).backward()
    # -1/2 a pair: model (.35 + 1) / 6 up, human as much down, the reworded one is pulled alike both ways
    assert scores.grad.tolist() == pytest.approx([-0.225, 0.0, 0.225])
    assert float(written_triples(torch.ones(3), torch.zeros((0, 3), dtype=torch.long))) == 0.0


def test_replay_costs_nothing_where_nothing_changed():
    scores = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert float(replayed(scores, scores)) == 0.0
    assert float(replayed(scores, torch.tensor([2.0, 0.0], dtype=torch.float64))) == pytest.approx(0.01 * (1 + 4))


def test_mistakes_are_told():
    with pytest.raises(ShapeError, match=r"triples have shape \(2, 2\)"):
        written_triples(torch.zeros(4), torch.tensor([[0, 1], [2, 3]]))
    with pytest.raises(InputError, match="three numbers of 0 or more"):
        written_triples(torch.zeros(3), ONE, weights=(-1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="norm_coef"):
        written_triples(torch.zeros(3), ONE, norm_coef=-1.0)
    with pytest.raises(InputError, match="coef"):
        replayed(torch.zeros(2), torch.zeros(2), coef=-1.0)
