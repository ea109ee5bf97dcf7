"""What an estimator is given and gives back: shapes, what is missing, and what is refused."""

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.policy import AdvantageInputs, Advantages, Compared
from plaudit.policy.advantages.base import watched


def inputs(**more):
    return AdvantageInputs(np.array([1.0, np.nan, 0.0]), ["a", "a", "b"], np.array([2, 0, 3]), **more)


def test_tokens_know_their_completion():
    made = inputs(values=np.arange(5.0), tokens=[7, 8, 9, 9, 9])
    assert len(made) == 3
    assert made.owner.tolist() == [0, 0, 2, 2, 2]
    assert [part.tolist() for part in made.split(made.values)] == [[0, 1], [], [2, 3, 4]]
    assert made.included.tolist() == [True, False, True]
    assert made.need("values", "x") is made.values
    assert inputs(columns={"allowed": [1, 0, 1]}).need("allowed", "x").tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"values": np.zeros(4)}, r"values has shape \(4,\); give 5 values, one a counted token"),
        ({"correct": np.zeros(2)}, r"correct has shape \(2,\); give 3 values, one a completion"),
        ({"tasks": ("x",)}, "1 tasks for 3 completions"),
        ({"columns": {"allowed": np.zeros(2)}}, r"column 'allowed' has shape \(2,\); give \(3,\)"),
    ],
)
def test_other_numbers_are_refused(more, text):
    with pytest.raises(ShapeError, match=text):
        inputs(**more)


def test_what_is_missing_or_out_of_range_is_named():
    with pytest.raises(InputError, match="gae: needs `values`, which this batch does not have"):
        inputs().need("values", "gae")
    with pytest.raises(InputError, match="reward 1 is inf; give finite rewards"):
        AdvantageInputs(np.array([0.0, np.inf]), [0, 0], np.array([1, 1]))
    with pytest.raises(InputError, match="a length is -1"):
        AdvantageInputs(np.array([0.0, 1.0]), [0, 0], np.array([1, -1]))
    with pytest.raises(ShapeError, match=r"rewards \(2,\), 1 group labels and lengths \(2,\)"):
        AdvantageInputs(np.array([0.0, 1.0]), [0], np.array([1, 1]))
    with pytest.raises(ShapeError, match=r"strength has shape \(1,\) for 2 pairs"):
        Compared(np.array([[0, 1], [1, 2]]), np.array([1.0, 0.5]), np.array([3.0]))


def test_advantages_are_of_completions_or_of_tokens():
    marks = np.array([True, False])
    by_sequence = Advantages(np.array([2.0, 0.0]), marks)
    assert by_sequence.flat([3, 2]).tolist() == [2, 2, 2, 0, 0]
    by_token = Advantages(None, marks, token=np.arange(5.0))
    assert by_token.flat([3, 2]).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ShapeError, match="either `sequence` or `token`"):
        Advantages(None, marks)
    with pytest.raises(InputError, match="number 1 is nan; they must be finite"):
        Advantages(np.array([0.0, np.nan]), marks)
    with pytest.raises(ShapeError, match=r"weight has shape \(1,\)"):
        Advantages(np.zeros(2), marks, weight=np.ones(1))


def test_what_is_watched_by_hand():
    # two of three have a reward, their mean is 1/2; of the groups a and b with one each, a says something
    found = watched(inputs(), inputs().included, sequence=np.array([0.5, 0.0, 0.0]))
    assert found == pytest.approx({"reward": 0.5, "included": 2 / 3, "silent_groups": 0.5})
    assert watched(inputs(), inputs().included, token=np.array([0, 0.1, 0, 0, 0])) == pytest.approx(found)


def test_what_is_not_included_has_no_advantage():
    made = Advantages.of(inputs(), sequence=np.array([1.0, 2.0, 3.0]))
    assert made.sequence.tolist() == [1, 0, 3]
    by_token = Advantages.of(inputs(), token=np.ones(5), included=np.array([False, False, True]))
    assert by_token.token.tolist() == [0, 0, 1, 1, 1]
    assert by_token.included.tolist() == [False, False, True]
