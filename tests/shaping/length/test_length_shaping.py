"""Length taken out of rewards and paid for: hand values, parity with TRL, and what must not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.length import (
    attention_rate,
    band_penalty,
    compression_rate,
    difficulty_buckets,
    kept_steps,
    length_residual,
    length_slope,
    overlong_penalty,
    relative_brevity,
)


def test_a_slope_is_one_of_differences_within_groups():
    # within groups one more word is worth 2; between them longer prompts are worth less
    r, length, g = [10.0, 12, 0, 4, np.nan], [1.0, 2, 10, 12, 99], ["a", "a", "b", "b", "b"]
    assert length_slope(r, length, g) == pytest.approx(2.0)
    assert length_residual(r, length, g)[:4] == pytest.approx([11.0, 11, 2, 2])  # the groups' means
    assert np.isnan(length_residual(r, length, g)[4])
    # sums 0.5 * 2 + 2 * 4 = ... : lengths' squares 0.5 + 2 = 2.5, products 1 + 4 = 5; with a ridge of 2.5: 1
    assert length_slope(r, length, g, ridge=2.5) == pytest.approx(1.0)
    assert length_slope([1.0, 2.0], [5.0, 5.0], [0, 0]) == 0.0
    assert length_residual([1.0, 2.0], [1.0, np.nan], [0, 0]).tolist() == [1.0, 2.0]
    assert length_residual([1.0, 2.0], [1.0, 3.0], [0, 0], slope=0.5).tolist() == [1.5, 1.5]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 50), st.integers(0, 3)), min_size=2, max_size=20))
def test_residuals_know_no_length_and_keep_the_means(rows):
    r, length, g = (np.array([row[i] for row in rows], dtype=float) for i in range(3))
    left = length_residual(r, length, g.astype(int))
    assert abs(length_slope(left, length, g.astype(int))) < 1e-8
    for label in set(g.tolist()):
        assert left[g == label].mean() == pytest.approx(r[g == label].mean(), abs=1e-9)


def test_a_reward_under_length_control_by_hand():
    from plaudit.records.sample import Sample
    from plaudit.rewards.base import RewardBatch
    from plaudit.shaping.length import LengthControlled

    samples = [Sample("a", "one two"), Sample("a", "one, two, three!")]
    by = LengthControlled(0.5, longest=10)
    assert by(RewardBatch(np.array([1.0, 1.0])), samples).reward.tolist() == [0.0, -0.5]
    assert by.limits((-1.0, 4.0)) == (-6.0, 4.0)
    assert LengthControlled(-0.5, longest=10).limits((-1.0, 4.0)) == (-1.0, 9.0)
    # within a prompt it differs from the residual by a constant
    r, length = np.array([1.0, 3.0, 2.5]), np.array([1.0, 5, 2])
    left = length_residual(r, length, [0] * 3, slope=0.5)
    assert np.diff(left) == pytest.approx(np.diff(r - 0.5 * length))


def test_overlong_by_hand():
    found = overlong_penalty([10, 80, 90, 100, 200, np.nan], limit=100, cushion=20)
    assert found[:5].tolist() == [0.0, 0.0, -0.5, -1.0, -1.0]
    assert np.isnan(found[5])
    assert overlong_penalty([100, 101], limit=100, cushion=0).tolist() == [0.0, -1.0]


@pytest.mark.peer
def test_overlong_equals_trl():
    rewards = pytest.importorskip("trl.rewards", reason="TRL is not installed (extra: bench)")
    lengths = list(range(0, 160, 3))
    theirs = rewards.get_soft_overlong_punishment(100, 30)([[1] * n for n in lengths])
    assert np.allclose(overlong_penalty(lengths, limit=100, cushion=30), theirs, atol=1e-12)


def test_a_band_by_hand():
    # band 10 to 20, scale 10: right 0.2 to either side, wrong 1 above it only, never below the floor
    length, correct = [15, 5, 25, 25, 5, 90, 90], [1, 1, 1, 0, 0, 0, np.nan]
    found = band_penalty(length, correct, low=10, high=20, scale=10)
    assert found == pytest.approx([0, -0.1, -0.1, -0.5, 0, -1, -1])
    assert band_penalty([90], [np.nan], low=10, high=20, scale=100).tolist() == pytest.approx([-0.14])  # as if right


def test_difficulty_decides_how_much_may_go():
    assert difficulty_buckets([1.0, 0.7, 0.5, 0.3, 0.0, np.nan]).tolist() == [0, 0, 1, 2, 2, 2]
    even, peaked = np.ones(4), np.array([1.0, 0, 0, 0])
    assert attention_rate(even) == pytest.approx(0.0)
    assert attention_rate(peaked) == pytest.approx(1.0)
    assert compression_rate(0.9, even) == pytest.approx(0.0)  # attention that says nothing lets nothing go
    rates = [compression_rate(p, peaked) for p in (0.9, 0.5, 0.1)]
    assert rates == [0.5, 0.3, 0.1]
    # half of four go, the least attended ones; of equal ones the later first
    assert kept_steps([0.4, 0.1, 0.1, 0.4], 0.5).tolist() == [True, False, False, True]
    assert kept_steps([0.2, 0.2, 0.6], 0.4).tolist() == [True, False, True]
    assert attention_rate([1.0]) == 0.0


def test_brevity_by_bucket_by_hand():
    # group 0 is easy (all right): mean length 20; group 1 hard (one of four): mean 100
    correct = [1, 1, 1, 0, 0, 0, np.nan]
    length, g = [10, 30, 100, 5, 5, 5, 5], [0, 0, 1, 1, 1, 1, 1]
    found = relative_brevity(correct, length, g)
    assert found[:6] == pytest.approx([0.4 * 0.5, 0.4 * -0.5, 0.0, 0, 0, 0])
    assert np.isnan(found[6])
    longer = relative_brevity(correct, [10, 30, 100, 500, 5, 5, 5], g)
    assert longer[3] == found[3]  # a wrong answer's length does not count


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: overlong_penalty([1], limit=10, cushion=11), "cushion is 11 and limit 10"),
        (lambda: band_penalty([1], [1], low=2, high=1, scale=1), "band 2 to 1"),
        (lambda: band_penalty([1], [1, 2], low=1, high=2, scale=1), "1 lengths and 2 verdicts"),
        (lambda: difficulty_buckets([1.0], ends=(0.1, 0.5)), "give falling shares"),
        (lambda: attention_rate([0.0, 0.0]), "give values of at least 0, not all 0"),
        (lambda: compression_rate(0.5, [1.0, 2.0], rates=(0.1, 0.2, 0.3)), "give three falling shares below 1"),
        (lambda: kept_steps([1.0], 1.0), "rate is 1.0; give a share from 0 to below 1"),
        (lambda: relative_brevity([1], [1], [0], weights=(1.0,)), "1 weights; give one each"),
    ],
)
def test_errors(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()
