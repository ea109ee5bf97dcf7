"""Rewards with priorities: what comes later counts only where what comes first was achieved [70]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.combine.sums import columns
from plaudit.shaping.groups.codes import Floats, Groups, Labels
from plaudit.shaping.groups.ranks import tabled_lexicographic_ranks


def gated(values: ArrayLike, weights: ArrayLike, thresholds: ArrayLike) -> Float[np.ndarray, " n"]:
    """`sum_k w_k r_k 1[r_j >= delta_j for all j < k]`: reward k counts where all of higher priority passed.

    Monotone in the first reward where the later ones are not negative. A threshold of minus infinity gates nothing (all
    at minus infinity: `weighted_sum`), one of infinity lets nothing later through.

    Args:
        values: (n, k), the highest priority first; a row with any NaN gives NaN.
        weights: (k,), at least 0.
        thresholds: (k - 1,) of all but the last, or (k,), whose last one says nothing.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a weight is negative or a threshold NaN.

    Source: "Stabilizing Long-term Multi-turn Reinforcement Learning with Gated Rewards" (G-RA) [70].
    """
    table, w = columns("gated", values, weights)
    delta = np.asarray(thresholds, dtype=np.float64).reshape(-1)
    if delta.size not in (w.size, w.size - 1):
        raise ShapeError(f"gated: {delta.size} thresholds for {w.size} rewards; give one for each but the last")
    if np.isnan(delta).any():
        raise InputError(f"gated: a threshold is NaN in {delta.tolist()}; give numbers, or infinity")
    open_ = np.ones(table.shape, dtype=bool)
    open_[:, 1:] = np.cumprod(table[:, :-1] >= delta[: w.size - 1], axis=1).astype(bool)
    found = (np.where(open_, table, 0.0) * w).sum(axis=1)
    return np.where(np.isnan(table).any(axis=1), np.nan, found)


def gated_steps(
    outcome: ArrayLike, steps: Float[np.ndarray, "n t"], mask: Bool[np.ndarray, "n t"], *, threshold: float
) -> Float[np.ndarray, "n t"]:
    """Rewards of steps, 0 where the outcome stayed below the threshold: `r_t 1[outcome >= threshold]`.

    Summed over steps and added to the outcome this is the return of gated accumulation, which does not depend on the
    order of the steps.

    Args:
        outcome: (n,) of each trajectory; NaN gates its steps shut.
        steps: rewards by step critics; NaN, where one is not known, stays NaN where the gate is open.
        mask: True where there is a step.
        threshold: minus infinity adds all (direct accumulation), infinity none (the outcome alone). Too low a threshold
            lets a policy live on steps, too high a one leaves them unused: watch completion beside the total.

    Raises:
        ShapeError: if shapes do not belong together.
    """
    high, low = np.asarray(outcome, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    if low.ndim != 2 or np.shape(mask) != low.shape or high.shape != (len(low),):
        raise ShapeError(
            f"gated_steps: outcome {high.shape}, steps {low.shape}, mask {np.shape(mask)}; give (n,) and (n, t)"
        )
    return np.where(mask & (high >= threshold)[:, None], low, 0.0)


def lexicographic_ranks(
    values: ArrayLike, groups: Labels | Groups, *, tolerance: ArrayLike = 0.0
) -> Float[np.ndarray, " n"]:
    """`(rank - 1/2) / n` within the group by the first reward, ties by the second, and so on; equal rows share a rank.

    Args:
        values: (n, k), the highest priority first; a row with any NaN gives NaN and leaves its group.
        groups: a label a sample.
        tolerance: (k,) or one for all: values are read in whole steps of it, so that what lies in the same step is a
            tie; 0 for ties of equal values only.

    Raises:
        ShapeError: if values are not (n, k) with a label each.
        InputError: if a tolerance is negative or not finite.
    """
    table, g = np.asarray(values, dtype=np.float64), Groups.of(groups)
    if table.ndim != 2 or len(table) != len(g):
        raise ShapeError(f"lexicographic_ranks: values {table.shape} and {len(g)} group labels; give (n, k) and (n,)")
    step = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), table.shape[1:])
    if not ((step >= 0) & (step < np.inf)).all():
        raise InputError(f"lexicographic_ranks: tolerance is {step.tolist()}; give finite numbers of at least 0")
    read = [_stepped(column, s) for column, s in zip(np.ascontiguousarray(table.T), step.tolist(), strict=True)]
    missing = np.isnan(np.sum(read, axis=0)) if len(read) > 1 else np.isnan(read[0])
    if not missing.any():
        return np.asarray((tabled_lexicographic_ranks(read, g.tables) - 0.5) / g.mates)
    missing = np.isnan(table).any(axis=1)
    # what is missing ranks last, without a change to the others
    rank = tabled_lexicographic_ranks([np.where(missing, np.inf, column) for column in read], g.tables)
    n = np.bincount(g.code[~missing], minlength=g.count)
    return np.where(missing, np.nan, (rank - 0.5) / np.maximum(n, 1)[g.code])


def _stepped(column: Floats, step: float) -> Floats:
    """Values in whole steps; 0.3 / 0.1 is a hair below 3, and rounding must not move it to the step below."""
    return np.asarray(np.floor(np.round(column / step, 9)) if step else column)
