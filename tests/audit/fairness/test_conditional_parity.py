"""Conditional parity with a permitted side."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.audit.fairness.parity import conditional_parity
from plaudit.errors import InputError


def _cancelling(n=200):
    """Marginally even, unfair in both strata: the protected are mostly in the stratum where everybody does well."""
    rows = []
    # stratum, protected, rows, favoured share
    for stratum, protected, count, share in (
        (0, True, n, 0.2),
        (0, False, 3 * n, 0.4),
        (1, True, 3 * n, 0.6),
        (1, False, n, 0.8),
    ):
        k = round(count * share)
        rows += [(stratum, protected, 1.0)] * k + [(stratum, protected, 0.0)] * (count - k)
    e, p, y = zip(*rows, strict=True)
    return np.array(y), np.array(p), np.array(e)


def test_disadvantage_within_strata_is_seen_where_the_marginals_cancel():
    y, p, e = _cancelling()
    found = conditional_parity(y, p, e)
    # marginals: (0.2 + 3 * 0.6) / 4 = 0.5 and (3 * 0.4 + 0.8) / 4 = 0.5
    assert found.marginal.value == pytest.approx(0.0)
    assert found.gaps["0"].value == pytest.approx(-0.2)
    assert found.gaps["1"].value == pytest.approx(-0.2)
    assert found.violation.value == pytest.approx(0.2)
    assert found.violation.low > 0
    assert conditional_parity(y, p, e, eps=0.05).violation.value == pytest.approx(0.15)


def test_favouring_the_protected_group_violates_nothing():
    y, p, e = _cancelling()
    raised = np.where(p, 1.0, y)
    found = conditional_parity(raised, p, e)
    assert found.violation.value == 0.0
    assert found.gaps["0"].value == pytest.approx(0.6)


def test_equal_strata_give_zero_and_nobody_to_compare_with_is_told():
    y = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    p = np.array([True, True, False, False, True])
    e = np.array([0, 0, 0, 0, 1])
    found = conditional_parity(y, p, e)
    assert found.violation.value == 0.0
    assert found.uncompared == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="no stratum"):
        conditional_parity(y, p, np.array([0, 0, 1, 1, 0]))
    with pytest.raises(InputError, match="eps is 2"):
        conditional_parity(y, p, e, eps=2.0)


def test_rows_without_a_reward_are_nobodys_failure():
    y, p, e = _cancelling(20)
    holes = y.copy()
    holes[::7] = np.nan
    keep = ~np.isnan(holes)
    assert conditional_parity(holes, p, e).violation.value == pytest.approx(
        conditional_parity(y[keep], p[keep], e[keep]).violation.value
    )


def _violation(strata, gap, seed, n=40):
    rng = np.random.default_rng(seed)
    protected = np.tile(np.repeat([True, False], n), strata)
    favoured = rng.random(2 * n * strata) < 0.6 + gap * protected
    return conditional_parity(
        favoured.astype(float), protected, np.repeat(np.arange(strata), 2 * n), seed=seed, resamples=300
    ).violation


@pytest.mark.parametrize(("strata", "gap"), [(1, 0.0), (5, 0.0), (10, 0.0), (5, -0.1)])
def test_intervals_cover_the_violation_of_equal_groups_too(strata, gap):
    found = [_violation(strata, gap, seed) for seed in range(60)]
    assert all(0 <= v.low <= v.high <= 1 for v in found)
    # fewer than 52 of 60 have probability 0.003 at 95%; recentred quantiles alone held 0 in ten equal strata 27 times
    assert sum(v.low <= -gap <= v.high for v in found) >= 52
