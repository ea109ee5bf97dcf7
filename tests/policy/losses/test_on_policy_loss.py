import numpy as np
import pytest
import torch

from plaudit.errors import ShapeError
from plaudit.policy import on_policy_loss


def test_loss_by_hand_counts_included_tokens_only():
    logps = [torch.tensor([-1.0, -2.0]), torch.tensor([-3.0]), torch.tensor([-9.0, -9.0])]
    advantages, included = torch.tensor([1.0, -2.0, 7.0]), torch.tensor([True, True, False])
    # -(1 * -3 + -2 * -3) / 3 tokens = -1
    assert on_policy_loss(logps, advantages, included).item() == pytest.approx(-1.0)
    assert on_policy_loss(logps, advantages, torch.zeros(3, dtype=torch.bool)).item() == 0.0


def test_the_gradient_is_the_policy_gradient():
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    chosen, advantage = torch.tensor([0, 2]), torch.tensor([1.0, -0.5], dtype=torch.float64)
    logps = [logits.log_softmax(-1)[c][None] for c in chosen]
    on_policy_loss(logps, advantage, torch.ones(2, dtype=torch.bool)).backward()
    # d/dlogits of -sum A log softmax / 2 = -(sum A (onehot - 1/3)) / 2
    expected = -(1.0 * (np.eye(3)[0] - 1 / 3) - 0.5 * (np.eye(3)[2] - 1 / 3)) / 2
    assert np.allclose(logits.grad.numpy(), expected)


def test_shapes_are_told(unchecked_shapes):
    with pytest.raises(ShapeError, match="1 completions, 2 advantages"):
        on_policy_loss([torch.zeros(2)], torch.zeros(2), torch.ones(2, dtype=torch.bool))
