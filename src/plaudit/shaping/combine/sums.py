"""Sums of rewards: as they are, as log-probabilities of being good, and each brought to its group's scale first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.baselines import standardised
from plaudit.shaping.groups.codes import Floats, Groups, Labels
from plaudit.shaping.transforms.bounded import log_sigmoid


def weighted_sum(values: ArrayLike, weights: ArrayLike) -> Float[np.ndarray, " n"]:
    """`sum_k w_k r_k`.

    Scaling all weights leaves group-standardised advantages alone; only their ratios matter there.

    Args:
        values: (n, k); a row with any NaN gives NaN: a term that is missing is not a term of 0.
        weights: (k,), at least 0: a penalty is a reward that falls.

    Raises:
        ShapeError: if there are not as many weights as columns.
        InputError: if a weight is negative or not finite, or all are 0.
    """
    table, w = columns("weighted_sum", values, weights)
    return np.asarray(table @ w)


def conjunction(
    values: ArrayLike, references: ArrayLike, *, weights: ArrayLike | None = None
) -> Float[np.ndarray, " n"]:
    """`sum_k w_k log sigmoid(r_k - ref_k)`: the log-probability that all of them are good, if they are independent.

    Its slope in a reward is `sigmoid(ref - r)`: what is good already gains nothing more, so no reward buys off another.

    Args:
        values: (n, k).
        references: (n, k) or (k,): a good reference's reward of each kind.
        weights: (k,), 1 by default.

    Raises:
        ShapeError, InputError: as in `weighted_sum`.

    Source: Wang et al. 2024, "Transforming and Combining Rewards for Aligning Large Language Models" [22].
    """
    table = np.asarray(values, dtype=np.float64)
    return weighted_sum(
        log_sigmoid(table - np.asarray(references, dtype=np.float64)),
        np.ones(table.shape[-1]) if weights is None else weights,
    )


def normalised_sum(
    values: ArrayLike, groups: Labels | Groups, *, weights: ArrayLike | None = None, epsilon: float = 1e-4
) -> Float[np.ndarray, " n"]:
    """Each reward standardised within its groups, summed, and the sum standardised over the batch: GDPO.

    A plain sum lets the reward with the largest deviation decide, and gives different combinations of rewards the same
    advantage. Standardised first, each kind has its weight's say in every group.

    Args:
        values: (n, k); a missing value (NaN) is left out of its own kind's statistics and adds 0 to the sum; a row that
            is all NaN has no advantage.
        groups: a label a sample.
        weights: (k,), 1 by default.
        epsilon: added to every deviation (over n - 1).

    Returns:
        Advantages (n,), 0 where there is no reward.

    Raises:
        ShapeError, InputError: as in `weighted_sum`.

    Source: Liu et al. 2026, "GDPO: Group reward-Decoupled Normalization Policy Optimization"; TRL's
    `multi_objective_aggregation="normalize_then_sum"`.
    """
    table = np.asarray(values, dtype=np.float64)
    w = np.ones(table.shape[-1]) if weights is None else weights
    table, w = columns("normalised_sum", table, w)
    g, total, none = Groups.of(groups), np.zeros(len(table)), np.ones(len(table), dtype=bool)
    for column, weight in zip(np.ascontiguousarray(table.T), w.tolist(), strict=True):
        total += weight * standardised(column, g, epsilon=epsilon)
        none &= np.isnan(column)
    known = total[~none] if none.any() else total
    if known.size < 2:
        return np.zeros(len(total))
    scale = known.std(ddof=1) + epsilon if np.ptp(known) > 0 else 0.0
    return np.where(none, 0.0, (total - known.mean()) / scale) if scale > 0 else np.zeros(len(total))


def columns(who: str, values: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats]:
    """Values (n, k) with their weights (k,).

    Raises:
        ShapeError: if they do not belong together.
        InputError: if a weight is negative or not finite, or all are 0.
    """
    table, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or w.shape != (table.shape[1],):
        raise ShapeError(f"{who}: values {table.shape} and weights {w.shape}; they must be (n, k) and (k,)")
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise InputError(f"{who}: weights are {w.tolist()}; give finite ones, none below 0 and one above it")
    return table, w
