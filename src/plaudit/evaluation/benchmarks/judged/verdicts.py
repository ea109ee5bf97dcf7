"""Verdicts out of rewards, and votes of several verdicts."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judging import Judged


def threshold_of(judged: Judged, who: str) -> tuple[float, list[str]]:
    """The reward from which on a verdict is "right": the one given, else the middle of the bounds, with a note.

    Raises:
        InputError: if none is given and the bounds are not finite: no published threshold fits an unbounded reward.
    """
    if judged.threshold is not None:
        return judged.threshold, []
    low, high = judged.bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(
            f"{who}: verdicts of {judged.name} need a threshold, and its bounds {judged.bounds} have no middle; "
            "give one with --threshold"
        )
    middle = (low + high) / 2
    return middle, [f"a reward of {middle:g} or more counts as the verdict 'right' (the middle of {low:g} to {high:g})"]


def verdict(rewards: ArrayLike, threshold: float) -> Float[np.ndarray, " n"]:
    """1 from the threshold on, 0 below; NaN stays."""
    r = np.asarray(rewards, np.float64)
    return np.asarray(np.where(np.isnan(r), math.nan, r >= threshold))


def majority_vote(votes: ArrayLike) -> Float[np.ndarray, " n"]:
    """The majority of K verdicts an item: 1, 0, or 0.5 where they are even; NaN without any vote.

    Args:
        votes: (n, K) of 1, 0 and NaN (an unreadable or missing vote, which leaves).

    Differs from VL-RewardBench's code: an even vote is there neither right nor wrong and leaves the accuracy.
    """
    v = np.asarray(votes, np.float64)
    if v.ndim != 2:
        raise InputError(f"majority_vote: votes have shape {v.shape}; give (items, votes)")
    counted = (~np.isnan(v)).sum(axis=1)
    share = np.nansum(v, axis=1) / np.maximum(counted, 1)
    value = np.where(share > 0.5, 1.0, np.where(share < 0.5, 0.0, 0.5))
    return np.asarray(np.where(counted > 0, value, math.nan))


def majority_accuracy(p: float, k: int) -> float:
    """Probability that the majority of k independent verdicts is right, each right with probability p (Condorcet).

    It rises in odd k where p is above 1/2 and falls below: voting helps good judges and hurts bad ones.

    Args:
        p: in [0, 1].
        k: number of votes, at least 1; an even vote counts half.

    Raises:
        InputError: if either is out of range.
    """
    from scipy.stats import binom

    if not 0 <= p <= 1 or k < 1:
        raise InputError(f"majority_accuracy: p is {p} and k {k}; give p in [0, 1] and at least one vote")
    above = float(binom.sf(k // 2, k, p))
    return above + (0.5 * float(binom.pmf(k // 2, k, p)) if k % 2 == 0 else 0.0)
