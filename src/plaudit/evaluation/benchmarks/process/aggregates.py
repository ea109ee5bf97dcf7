"""One number from the rewards of a solution's steps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, nearest

AGGREGATES = ("min", "max", "prod", "geometric_mean", "mean", "mean_logit", "mean_odd", "last")
"""Ways to make one number of steps."""
PROBABILITIES = ("prod", "geometric_mean", "mean_logit", "mean_odd")
"""Those that steps outside [0, 1] do not have."""


def aggregate_steps(steps: ArrayLike, how: str) -> float:
    """One number from step probabilities p.

    `min`, `max`, `prod`, `geometric_mean` (prod^(1/k)), `mean`, `mean_logit` (sigmoid of the mean logit),
    `mean_odd` (mean of p / (1 - p)), `last`.

    Args:
        steps: (k,), at least one; those of `PROBABILITIES` in [0, 1].
        how: the name.

    Returns:
        The number; odds of a step of 1 are infinite. NaN where it is not defined: a mean logit of a 0 and a 1, or
        steps outside [0, 1].

    Raises:
        InputError: if the name is not known, or there is no step.

    Source: Kim et al. 2024 [23], the eight functions of their code; Zhang et al. 2025 [158] (product, min, last).
    """
    if how not in AGGREGATES:
        raise InputError(f"aggregate_steps: {how!r} is not known; {nearest(how, AGGREGATES)}")
    p = np.asarray(steps, np.float64)
    if p.size == 0:
        raise InputError("aggregate_steps: there is no step; give at least one")
    if how in PROBABILITIES and ((p < 0) | (p > 1)).any():
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if how == "mean_logit":
            return float(1 / (1 + np.exp(-np.mean(np.log(p) - np.log1p(-p)))))
        if how == "mean_odd":
            return float(np.mean(p / (1 - p)))
    simple = {
        "min": p.min(), "max": p.max(), "prod": p.prod(), "geometric_mean": p.prod() ** (1 / p.size), "mean": p.mean(),
        "last": p[-1],
    }  # fmt: skip
    return float(simple[how])
