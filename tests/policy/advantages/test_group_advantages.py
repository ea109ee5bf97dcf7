import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.policy import group_advantages


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
