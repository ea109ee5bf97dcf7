"""Means that no term can buy off: the least of several rewards, and their harmonic mean."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.combine.sums import columns


def minimum(values: ArrayLike) -> Float[np.ndarray, " n"]:
    """The least of the rewards, which should be of one unit.

    Args:
        values: (n, k); a row with any NaN gives NaN.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise ShapeError(f"minimum: values have shape {table.shape}; give (n, k) with k >= 1")
    return np.asarray(table.min(axis=1))


def harmonic_mean(values: ArrayLike, weights: ArrayLike) -> Float[np.ndarray, " n"]:
    """`1 / sum_k (w_k / r_k)`, weights that sum to 1: at most the arithmetic mean, 0 where a term with weight is 0.

    With two terms and `(lambda, 1 - lambda)` this is the lambda-harmonic reward.

    Args:
        values: (n, k), at least 0: similarities as (1 + cos) / 2, probabilities; a row with any NaN gives NaN.
        weights: (k,), at least 0, of sum 1.

    Raises:
        ShapeError: if there are not as many weights as columns.
        InputError: if a value is negative, or the weights do not sum to 1.

    Source: "Subject-driven Text-to-Image Generation via Preference-based RL" (lambda = 0.3) [46]; Ziegenbein et al.
    2024, "LLM-based Rewriting of Inappropriate Argumentation" (1/2 each) [113].
    """
    table, w = columns("harmonic_mean", values, weights)
    if abs(w.sum() - 1) > 1e-9:
        raise InputError(f"harmonic_mean: weights {w.tolist()} sum to {w.sum():g}; give weights of sum 1")
    if (table < 0).any():
        i, k = np.argwhere(table < 0)[0]
        raise InputError(f"harmonic_mean: value {k} of row {i} is {table[i, k]}; give values of at least 0")
    used = table[:, w > 0]
    zero = (used == 0).any(axis=1)
    with np.errstate(divide="ignore", over="ignore"):  # of numbers without end, and of those next to 0
        found = 1 / (w[w > 0] / np.where(used == 0, 1.0, used)).sum(axis=1)
    return np.where(np.isnan(table).any(axis=1), np.nan, np.where(zero, 0.0, found))
