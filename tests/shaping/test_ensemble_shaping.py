"""One number from the members: the catalogue's checks, properties, outcomes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.shaping.ensembles import (
    aggregated,
    mean,
    nominal_minimum,
    quantile,
    uncertainty_weighted,
    worst_case,
)

TABLES = arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(1, 5)), elements=st.floats(-10, 10, width=32))
HAND = np.array([[1.0, 2.0, 6.0]])


def test_the_catalogue_s_values():
    # [150]: mean 3, population variance (4 + 1 + 9) / 3 = 14/3, 3 - 7/3
    assert worst_case(HAND).tolist() == [1.0]
    assert uncertainty_weighted(HAND).tolist() == pytest.approx([2 / 3])
    assert mean(HAND).tolist() == [3.0]
    assert quantile(HAND, level=0.5).tolist() == [2.0]
    assert quantile(HAND, level=0.25).tolist() == [1.5]  # linear between 1 and 2
    assert quantile(HAND, level=0).tolist() == [1.0]


@settings(max_examples=60, deadline=None)
@given(TABLES, st.floats(0, 2))
def test_order_of_the_aggregates(members, lam):
    low, middle, average = worst_case(members), quantile(members, level=0.5), mean(members)
    assert (low <= np.minimum(middle, average) + 1e-9).all()
    assert (uncertainty_weighted(members, lam=lam) <= average + 1e-9).all()
    one = members[:, :1]
    for by in (mean, worst_case, uncertainty_weighted, quantile, nominal_minimum):
        assert np.allclose(by(one), one[:, 0], atol=1e-9)
    for by in (mean, worst_case, uncertainty_weighted, quantile):
        assert np.allclose(by(members[:, ::-1]), by(members), atol=1e-9)  # members have no order


@settings(max_examples=60, deadline=None)
@given(TABLES, st.integers(0, 99))
def test_shifts_of_members_do_not_move_the_best_by_the_mean(members, seed):
    shifts = np.random.default_rng(seed).normal(scale=5, size=members.shape[1])
    moved = members + shifts
    assert np.allclose(mean(moved) - mean(moved)[0], mean(members) - mean(members)[0], atol=1e-9)
    groups = ["p"] * len(members)  # centred, no aggregate sees them but as one level for all
    for by in (mean, worst_case, uncertainty_weighted, quantile):
        assert np.allclose(by(moved, groups=groups), by(members, groups=groups) + shifts.mean(), atol=1e-7)


def test_a_shift_of_a_member_moves_the_minimum():
    members = np.array([[0.0, 1.0], [1.0, 0.0]])
    shifted = members + np.array([0.0, 10.0])
    assert worst_case(members).tolist() == [0.0, 0.0]
    assert worst_case(shifted).tolist() == [0.0, 1.0]  # now only the first member speaks
    centred = worst_case(shifted, groups=["p", "p"])
    assert centred[0] == centred[1]


def test_nominal_and_minimum_by_hand():
    members = np.array([[0.0, 3.0], [4.0, 1.0]])
    members[1, 1] = 2.0  # means over the batch 2 and 2.5: the first member is the worst for it
    nominal = np.array([3.0, 2.0])
    batch = nominal_minimum(members, nominal=nominal, alpha=0.5)
    assert batch.tolist() == [1.5, 3.0]  # (3 + 0) / 2, (2 + 4) / 2
    each = nominal_minimum(members, nominal=nominal, alpha=0.5, over="sample")
    assert each.tolist() == [1.5, 2.0]  # (3 + 0) / 2, (2 + 2) / 2
    assert nominal_minimum(members, nominal=nominal, alpha=1.0).tolist() == nominal.tolist()
    assert nominal_minimum(members, alpha=0.0, over="sample").tolist() == worst_case(members).tolist()
    assert nominal_minimum(members, alpha=1.0).tolist() == mean(members).tolist()


@settings(max_examples=40, deadline=None)
@given(TABLES, st.floats(0, 1))
def test_the_batch_s_minimum_is_above_the_samples_and_below_the_nominal(members, alpha):
    batch = nominal_minimum(members, alpha=alpha)
    assert (nominal_minimum(members, alpha=alpha, over="sample") <= batch + 1e-9).all()
    assert nominal_minimum(members, alpha=0.0).mean() <= mean(members).mean() + 1e-9


def test_outcomes_are_respected():
    s, p, a = Outcome.SCORED, Outcome.POLICY_FAULT, Outcome.ABSTAINED
    members = np.array([[0.0, 2.0], [4.0, 2.0], [-9.0, -9.0], [np.nan, np.nan]])
    batch = RewardBatch(np.array([1.0, 3.0, -10.0, np.nan]), np.array([s, s, p, a]), members=members)
    found = aggregated(batch, worst_case)
    assert found.reward[:3].tolist() == [0.0, 2.0, -10.0]  # the floor stays the floor
    assert np.isnan(found.reward[3])
    # levels come of the two that were scored: members' 2 and 2, so centring changes nothing here
    assert aggregated(batch, worst_case, groups=["p"] * 4).reward[:2].tolist() == [0.0, 2.0]
    assert aggregated(batch, uncertainty_weighted, lam=1.0).reward[:2].tolist() == [0.0, 2.0]  # 1 - 1, 3 - 1
    nothing = RewardBatch(np.array([np.nan]), np.array([a]), members=np.full((1, 2), np.nan))
    assert np.isnan(aggregated(nothing, worst_case).reward).all()
    with pytest.raises(InputError, match="the batch has no members"):
        aggregated(RewardBatch(np.zeros(2)), mean)


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_refused():
    with pytest.raises(InputError, match="lam is -1"):
        uncertainty_weighted(HAND, lam=-1)
    with pytest.raises(InputError, match="level is 2"):
        quantile(HAND, level=2)
    with pytest.raises(InputError, match=r"alpha is 1\.5"):
        nominal_minimum(HAND, alpha=1.5)
    with pytest.raises(InputError, match="over is 'all'; give 'batch' or 'sample'"):
        nominal_minimum(HAND, over="all")
    with pytest.raises(InputError, match="centred members have equal means over the batch"):
        nominal_minimum(HAND, groups=["p"])
    with pytest.raises(ShapeError, match="nominal rewards for"):
        nominal_minimum(HAND, nominal=np.zeros(2))
    with pytest.raises(ShapeError, match=r"members are \(3,\)"):
        mean(HAND[0])


def test_nominal_rewards_of_samples_that_do_not_count_are_left_out():
    batch = RewardBatch(
        np.array([1.0, np.nan, 3.0]), np.array([Outcome.SCORED, Outcome.TIMED_OUT, Outcome.SCORED]),
        members=np.array([[1.0, 1.0], [np.nan, np.nan], [2.0, 4.0]]),
    )  # fmt: skip
    found = aggregated(batch, nominal_minimum, nominal=np.array([1.0, np.nan, 4.0]), alpha=0.5, over="sample")
    assert found.reward[[0, 2]].tolist() == [1.0, 3.0]  # (1 + 1) / 2, (4 + 2) / 2
    assert np.isnan(found.reward[1])
