"""DiscoPOP's loss rises where nothing has been learnt yet."""

import math

import pytest
import torch

from plaudit.policy.offline.losses.difference import discopop


def test_the_slope_at_a_margin_of_zero():
    margin = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    discopop(margin, torch.zeros(1, dtype=torch.float64), beta=1.0, tau=0.05).sum().backward()
    # s = sigmoid(x / tau), s' = 1 / (4 tau): d[(1 - s) log(1 + e^-x) + s e^-x] = (1 - log 2) / (4 tau) - 1/4 - 1/2
    assert float(margin.grad) == pytest.approx((1 - math.log(2)) / 0.2 - 0.75)
    assert float(margin.grad) > 0  # descent lowers the margin
