import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy import group_advantages, on_policy_loss


def test_advantages_by_hand():
    reward = np.array([1.0, 0.0, np.nan, 1.0, 0.0, 5.0])
    valid = np.array([True, True, False, True, True, True])
    groups = ["a", "a", "a", "b", "b", "c"]
    # within a and b: mean 1/2, deviation 1/2; the NaN leaves a's mean; c has one member
    assert group_advantages(reward, valid, groups, epsilon=0.0).tolist() == [1, -1, 0, 1, -1, 0]
    assert group_advantages(reward, valid, groups, scale=False).tolist() == [0.5, -0.5, 0, 0.5, -0.5, 0]


def test_a_group_of_equals_says_nothing():
    assert not group_advantages(np.ones(4), np.ones(4, bool), [0] * 4).any()


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20), st.floats(-3, 3)
)
def test_a_constant_added_to_a_group_changes_nothing(rows, shift):
    reward, valid = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    groups = [r[2] for r in rows]
    plain = group_advantages(reward, valid, groups, scale=False)
    moved = group_advantages(reward + shift * (np.array(groups) == 1), valid, groups, scale=False)
    assert np.allclose(plain, moved)
    assert not plain[~valid].any()
    for group in set(groups):
        assert abs(plain[np.array(groups) == group].sum()) < 1e-9


def test_what_is_marked_valid_must_be_finite():
    with pytest.raises(InputError, match="reward of sample 1 is nan and marked valid"):
        group_advantages(np.array([1.0, np.nan]), np.array([True, True]), [0, 0])


def test_shapes_are_told(unchecked_shapes):
    with pytest.raises(ShapeError, match="2 rewards, 1 marks and 2 groups"):
        group_advantages(np.zeros(2), np.ones(1, bool), [0, 0])
    with pytest.raises(ShapeError, match="1 completions, 2 advantages"):
        on_policy_loss([torch.zeros(2)], torch.zeros(2), torch.ones(2, dtype=torch.bool))


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
