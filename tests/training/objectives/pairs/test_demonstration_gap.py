"""The gap between demonstrations and samples: by hand, and the least loss of a free table of scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.training.objectives.pairs import demonstration_gap

PAIR = torch.tensor([[0, 1]])


def test_a_pair_by_hand():
    scores = torch.tensor([1.0, -0.5], dtype=torch.float64, requires_grad=True)
    # -(1 + 0.5) + 0.5 (1 + 0.25) / 2
    loss = demonstration_gap(scores, PAIR)
    assert loss.item() == pytest.approx(-1.1875)
    loss.backward()
    assert scores.grad.tolist() == pytest.approx([-0.5, 0.75])  # -1 + 0.5 * 1; 1 + 0.5 * -0.5
    assert demonstration_gap(scores, PAIR, square_coef=0).item() == pytest.approx(-1.5)
    twice = demonstration_gap(scores, PAIR, weight=torch.tensor([2.0], dtype=torch.float64))
    assert twice.item() == pytest.approx(2 * -1.1875)
    assert demonstration_gap(scores, PAIR[:0]).item() == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.floats(0.1, 3), st.integers(0, 99))
def test_the_least_loss_of_a_free_table(n, coef, seed):
    """With demonstrations drawn by p and samples by q: `(p - q) / (coef (p + q))`, bounded by `1 / coef`."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
    table = torch.tensor((p - q) / (coef * (p + q)), requires_grad=True)
    pairs = torch.tensor([[i, j] for i in range(n) for j in range(n)])
    weight = torch.tensor([p[i] * q[j] for i, j in pairs.tolist()])
    demonstration_gap(table, pairs, square_coef=coef, weight=weight).backward()
    assert table.grad.abs().max() < 1e-9
    assert table.detach().abs().max() <= 1 / coef + 1e-9


def test_refused():
    with pytest.raises(InputError, match="demonstration_gap: square_coef"):
        demonstration_gap(torch.zeros(2), PAIR, square_coef=-1)
    with pytest.raises(InputError, match="demonstration_gap: square_coef"):
        demonstration_gap(torch.zeros(2), PAIR, square_coef=float("inf"))
