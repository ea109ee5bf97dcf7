"""Scorecards of gains and penalties, and what they pay to policies that do not look: a test of the scale [40]."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.combine.sums import weighted_sum


def scorecard(
    accepted: ArrayLike, positive: ArrayLike, *, true_positive: float, false_positive: float,
    true_negative: float = 0.0, false_negative: float = 0.0, others: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """`gain(decision, case) + sum_k w_k other_k`: a decision with gains and penalties of its own, beside other terms.

    The other terms are such as how near a stated score is, whether the format is kept, and what the reasoning is worth.
    Look at `break_even_prevalence` before training on it.

    Args:
        accepted: (n,) the decision, 1 or 0; NaN, where none could be read, has no reward.
        positive: (n,) the case, 1 or 0; NaN, where it is not known, has no reward.
        true_positive: reward for accepting a positive case.
        false_positive: for accepting a negative one, usually below 0.
        true_negative: for rejecting a negative case.
        false_negative: for rejecting a positive one.
        others: (n, k) terms in [0, 1]; a row with any NaN has no reward.
        weights: (k,), at least 0; 1 by default.

    Raises:
        ShapeError: if the columns do not belong together.
        InputError: if a weight is negative.

    Source: "Custom reward functions for resume evaluation" [40]; gains by cell and the sum are inferred.
    """
    a, p = np.asarray(accepted, dtype=np.float64), np.asarray(positive, dtype=np.float64)
    if a.ndim != 1 or a.shape != p.shape:
        raise ShapeError(f"scorecard: {a.shape} decisions and {p.shape} cases; give (n,) both")
    gains = np.array([[true_negative, false_negative], [false_positive, true_positive]])
    known = ~(np.isnan(a) | np.isnan(p))
    found = np.where(known, gains[(a > 0.5).astype(np.int64), (p > 0.5).astype(np.int64)], np.nan)
    if others is None:
        return found
    table = np.asarray(others, dtype=np.float64)
    if table.ndim != 2 or len(table) != a.size:
        raise ShapeError(f"scorecard: {a.size} decisions and other terms of {table.shape}; give (n, k)")
    return np.asarray(found + weighted_sum(table, np.ones(table.shape[1]) if weights is None else weights))


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
