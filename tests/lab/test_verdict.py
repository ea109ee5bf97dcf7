import math

import numpy as np
import pytest

from plaudit.errors import InputError, ShapeError
from plaudit.lab import Verdict, gap_closed, judge


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        # mean 0.2, s 0.01, n 4: 0.2 +- 3.182 * 0.01 / 2 = [0.184, 0.216]
        ([0.19, 0.2, 0.2, 0.21], Verdict.HOLDS),
        ([0.02, 0.03, 0.04, 0.03], Verdict.WEAK),
        ([0.01, -0.01, 0.02, -0.02], Verdict.NULL),
        ([-0.19, -0.2, -0.2, -0.21], Verdict.REVERSED),
        ([0.5, -0.5, 0.4, -0.3], Verdict.UNDECIDED),
        ([0.3], Verdict.UNDECIDED),  # one instance has no interval
    ],
)
def test_verdicts(differences, verdict):
    assert judge(differences, delta=0.05).verdict is verdict


def test_interval_and_p_value_by_hand():
    judged = judge([1.0, 2.0, 3.0], delta=0.05)
    # mean 2, s 1, n 3: half width t(0.975, 2) / sqrt(3) = 4.302653 / 1.732051 = 2.484138
    assert judged.effect.low == pytest.approx(2 - 2.484138, abs=1e-5)
    # t = 2 sqrt(3) = 3.4641 with 2 degrees of freedom: p = 1 - t / sqrt(t^2 + 2) = 0.0741799
    assert judged.p_value == pytest.approx(0.0741799, abs=1e-6)


def test_direction_turns_the_differences_round():
    assert judge([-0.19, -0.2, -0.21], delta=0.05, direction="less").verdict is Verdict.HOLDS


def test_refuses_missing_runs():
    with pytest.raises(InputError, match="difference 1 is nan"):
        judge([0.1, math.nan], delta=0.05)
    with pytest.raises(InputError, match="delta is 0"):
        judge([0.1], delta=0)


def test_gap_closed():
    base, oracle = np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0, 4.0])
    half = gap_closed(base + np.array([0.9, 1.0, 1.1]), base, oracle)
    assert half.value == pytest.approx(0.5)
    # the gap is 2 everywhere, so Fieller's interval is Student's of the gain, halved: s = 0.1, t = 4.302653
    assert half.high == pytest.approx(0.5 + 4.302653 * 0.1 / math.sqrt(3) / 2, abs=1e-6)
    assert gap_closed(oracle, base, oracle).value == 1.0
    assert math.isnan(gap_closed(base, base, base).value)
    assert math.isnan(gap_closed(base, base, base + np.array([1.0, -1.0, 0.1])).low)  # the gap may be zero
    with pytest.raises(ShapeError, match="gap_closed"):
        gap_closed(base, base, oracle[:2])
