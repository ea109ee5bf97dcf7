"""Agreement of members under best-of-n: by hand, at its ends, and what selection alone does to it."""

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation import disagreement_curve


def test_ranks_by_hand():
    """Ranks 1 2 3 4 and 1 2 4 3: 1 - 6 (0 + 0 + 1 + 1) / (4 * 15) = 0.8; the third member ranks as the first does.

    The mean over the three pairs is (0.8 + 1 + 0.8) / 3.
    """
    members = np.array([[[1.0, 5.0, 7.0, 9.0]], [[-3.0, 0.0, 2.0, 1.0]], [[10.0, 20.0, 30.0, 400.0]]])
    found = disagreement_curve(members, ns=(1,))
    assert found.samples == 4
    assert found.kl_bound == (0.0,)
    assert found.agreement[0].value == pytest.approx(2.6 / 3)
    assert found.agreement[0].n == 1


def test_the_best_of_each_set_by_hand():
    """Sets of two out of four candidates: whichever way they are dealt, the best one and one other are left.

    The judge picks candidates 3 and, of the other set, its larger one. The first two members rank any two alike, the
    third turns them round: (1 - 1 - 1) / 3.
    """
    up = np.array([[1.0, 2.0, 3.0, 4.0]])
    found = disagreement_curve(np.array([up, 2 * up, -up]), ns=(2,), by=up)
    assert found.samples == 2
    assert found.agreement[0].value == pytest.approx(-1 / 3)
    assert found.kl_bound[0] == pytest.approx(np.log(2) - 0.5)


def test_equal_members_agree_at_every_distance():
    one = np.random.default_rng(0).normal(size=(1, 30, 64))
    shifts = np.random.default_rng(1).normal(size=(3, 30, 1))
    for members in (np.repeat(one, 3, axis=0), one + shifts):  # a shift a member and prompt changes no rank
        found = disagreement_curve(members, ns=(1, 4, 16))
        assert found.ns == (1, 4, 16)
        assert found.samples == 4
        assert [a.value for a in found.agreement] == pytest.approx([1, 1, 1])


def test_independent_members_agree_in_nothing():
    rng = np.random.default_rng(0)
    members, judge = rng.normal(size=(4, 200, 64)), rng.normal(size=(200, 64))
    found = disagreement_curve(members, ns=(1, 4, 16), by=judge)
    for agreement in found.agreement:
        assert abs(agreement.value) < 0.05
        assert agreement.low < 0 < agreement.high
        assert agreement.n == 200
    # picked by their own mean they disagree: those that add up to much are high in turn
    own = disagreement_curve(members, ns=(1, 16))
    assert own.agreement[0].value == pytest.approx(found.agreement[0].value)
    assert own.agreement[1].high < 0


def test_prompts_may_come_in_any_order():
    members = np.random.default_rng(0).normal(size=(2, 40, 8)) + np.random.default_rng(1).normal(size=(1, 40, 8))
    found = disagreement_curve(members, ns=(1,))
    turned = disagreement_curve(members[:, ::-1], ns=(1,))
    assert found.agreement[0].value == pytest.approx(turned.agreement[0].value)
    assert found.agreement[0].low > 0.2


@pytest.mark.parametrize(
    ("members", "options", "error", "message"),
    [
        (np.zeros((2, 3)), {}, ShapeError, "members is (2, 3) and by None; give (k, p, c) and (p, c)"),
        (np.zeros((2, 3, 4)), {"by": np.zeros((3, 5))}, ShapeError, "members is (2, 3, 4) and by (3, 5); give"),
        (np.zeros((1, 3, 4)), {}, InputError, "1 members; agreement needs at least 2"),
        (np.full((2, 3, 4), np.nan), {"ns": (1,)}, InputError, "a score is not finite; leave out candidates"),
        (np.zeros((2, 3, 4)), {"ns": (1, 3)}, InputError, "ns is [1, 3] for 4 candidates; give sizes of at least 1"),
        (np.zeros((2, 3, 4)), {"ns": (0, 1)}, InputError, "ns is [0, 1] for 4 candidates; give sizes of at least 1"),
        (np.zeros((2, 3, 4)), {"ns": ()}, InputError, "ns is [] for 4 candidates; give sizes of at least 1"),
    ],
)
def test_refusals(members, options, error, message):
    with pytest.raises(error) as found:
        disagreement_curve(members, **options)
    assert message in str(found.value)
