"""What a scorecard of gains and penalties pays to policies that do not look: the stress test of its scale [40]."""

from __future__ import annotations

from collections.abc import Mapping

from plaudit.errors import InputError


def trivial_policies(
    prevalence: float, *, true_positive: float, false_positive: float, true_negative: float = 0.0,
    false_negative: float = 0.0,
) -> Mapping[str, float]:  # fmt: skip
    """Expected reward of always accepting and of always rejecting.

    `accept = p TP + (1 - p) FP`, `reject = p FN + (1 - p) TN`, p the share of positive cases.

    Args:
        prevalence: p, in [0, 1].
        true_positive: reward for accepting a positive case.
        false_positive: for accepting a negative one, usually below 0.
        true_negative: for rejecting a negative case.
        false_negative: for rejecting a positive one.

    Raises:
        InputError: if the prevalence is outside [0, 1].
    """
    if not 0 <= prevalence <= 1:
        raise InputError(f"trivial_policies: prevalence is {prevalence}; give a share between 0 and 1")
    return {
        "accept": prevalence * true_positive + (1 - prevalence) * false_positive,
        "reject": prevalence * false_negative + (1 - prevalence) * true_negative,
    }


def break_even_prevalence(
    *, true_positive: float, false_positive: float, true_negative: float = 0.0, false_negative: float = 0.0
) -> float:
    """The share of positive cases below which always rejecting pays more than always accepting.

    `p* = (TN - FP) / ((TN - FP) + (TP - FN))`; with nothing for rejecting, `penalty / (penalty + gain)`. A policy that
    cannot tell cases apart collapses to rejecting below it, to accepting above it.

    Args:
        true_positive: see `trivial_policies`.
        false_positive: see `trivial_policies`.
        true_negative: see `trivial_policies`.
        false_negative: see `trivial_policies`.

    Raises:
        InputError: if a right decision is worth no more than the wrong one.
    """
    lost, won = true_negative - false_positive, true_positive - false_negative
    if not (lost > 0 and won > 0):
        raise InputError(
            f"break_even_prevalence: right decisions are worth {won} and {lost} more than wrong ones; give more than 0"
        )
    return lost / (lost + won)
