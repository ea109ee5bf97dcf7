"""Rewards kept within bounds: what grows without limit is optimised without limit.

All functions act on each reward by itself (arrays of any shape), never turn two rewards round, and leave `NaN` alone.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats


def sigmoid(x: ArrayLike) -> Floats:
    """`1 / (1 + exp(-x))`, without overflow on either side."""
    from scipy.special import expit

    return np.asarray(expit(np.asarray(x, dtype=np.float64)))


def log_sigmoid(x: ArrayLike) -> Floats:
    """`log sigmoid(x) = -log(1 + exp(-x))`: linear far below 0, flat far above it."""
    from scipy.special import log_expit

    return np.asarray(log_expit(np.asarray(x, dtype=np.float64)))


def clipped(reward: ArrayLike, *, low: float = -math.inf, high: float = math.inf) -> Floats:
    """`min(max(r, low), high)`; with `high` alone, a ceiling.

    Raises:
        InputError: if the bounds are in the wrong order or NaN.
    """
    if not low <= high:
        raise InputError(f"clip: low is {low} and high is {high}; give low <= high")
    return np.asarray(np.clip(np.asarray(reward, dtype=np.float64), low, high))


def tanh(reward: ArrayLike, *, scale: float = 1.0) -> Floats:
    """`tanh(r / scale)`, in (-1, 1).

    Raises:
        InputError: if the scale is not positive.
    """
    return np.asarray(np.tanh(np.asarray(reward, dtype=np.float64) / _positive("tanh", scale)))


def arctan(reward: ArrayLike, *, scale: float = 1.0) -> Floats:
    """`2 / pi` of the angle whose tangent is `r / scale`, in (-1, 1): flattens more slowly than `tanh`.

    Raises:
        InputError: if the scale is not positive.

    Differs from the paper: brought to (-1, 1) by the factor, so that it can stand in for `tanh`.
    """
    return np.asarray(2 / np.pi * np.arctan(np.asarray(reward, dtype=np.float64) / _positive("arctan", scale)))


def polynomial(reward: ArrayLike) -> Floats:
    """The polynomial of degree five nearest to the sigmoid on [-5, 5]; 0 below and 1 above: it saturates for good.

    Nearest by least squares over 1,001 even places, kept within [0, 1].

    Source: Fu et al. 2025, "Reward Shaping to Mitigate Reward Hacking in RLHF" [3], an ablation of PAR's.
    """
    z = np.asarray(reward, dtype=np.float64)
    inside = np.clip(np.polynomial.polynomial.polyval(np.clip(z, -5, 5), _coefficients()), 0.0, 1.0)
    return np.asarray(np.where(np.isnan(z), np.nan, np.where(z <= -5, 0.0, np.where(z >= 5, 1.0, inside))))


@cache
def _coefficients() -> Floats:
    at = np.linspace(-5, 5, 1001)
    return np.asarray(np.polynomial.polynomial.polyfit(at, sigmoid(at), 5))


def _positive(who: str, scale: float) -> float:
    if not scale > 0:
        raise InputError(f"{who}: scale is {scale}; give a positive number of reward units")
    return scale
