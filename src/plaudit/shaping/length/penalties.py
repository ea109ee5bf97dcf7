"""Penalties of length: soft beyond a limit, and outside a band; all are at most 0, and are added to a reward."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError


def overlong_penalty(length: ArrayLike, *, limit: float, cushion: float) -> Float[np.ndarray, " n"]:
    """0 up to `limit - cushion`, falling to -1 at the limit, -1 beyond it.

    Args:
        length: (n,), NaN where it is not known.
        limit: the longest length.
        cushion: over which the penalty grows, in [0, limit]; 0 is a step.

    Raises:
        InputError: if the cushion lies outside.

    Source: Yu et al. 2025, "DAPO", equation 13; TRL's `get_soft_overlong_punishment`.
    """
    if not 0 <= cushion <= limit:
        raise InputError(f"overlong_penalty: cushion is {cushion} and limit {limit}; give 0 <= cushion <= limit")
    over = np.asarray(length, dtype=np.float64) - (limit - cushion)
    if not cushion:
        return np.where(np.isnan(over), np.nan, np.where(over > 0, -1.0, 0.0))
    return np.asarray(-np.clip(over / cushion, 0.0, 1.0) + 0.0)


def band_penalty(
    length: ArrayLike, correct: ArrayLike, *, low: float, high: float, scale: float, right: float = 0.2,
    wrong: float = 1.0, floor: float = -1.0,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """`-w * deviation / scale`, at least `floor`: 0 inside the band [low, high], alike below and above it.

    Args:
        length: (n,), NaN where it is not known.
        correct: (n,) 1 right, 0 wrong; NaN where it is not known, which counts as right: no penalty for what the
            candidate cannot help.
        low: end of the band.
        high: the other.
        scale: length over which a wrong answer loses 1, positive.
        right: w of right answers, at least 0.
        wrong: w of wrong ones; a wrong answer below the band is not penalised: there is no excess.
        floor: the most that length may cost, at most 0.

    Raises:
        ShapeError: if lengths and correctness differ in number.
        InputError: if the band is empty, or a number is out of range.

    Source: "HARMO: hybrid and multi-aspect rewards", generalised length penalty [34]; the constants are ours.
    """
    x, c = np.asarray(length, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if x.shape != c.shape:
        raise ShapeError(f"band_penalty: {x.size} lengths and {c.size} verdicts; give as many")
    if not low <= high or not scale > 0 or min(right, wrong) < 0 or floor > 0:
        raise InputError(
            f"band_penalty: band {low} to {high}, scale {scale}, right {right}, wrong {wrong}, floor {floor}; give "
            "low <= high, a positive scale, weights of at least 0 and a floor of at most 0"
        )
    over, under = np.maximum(x - high, 0.0), np.maximum(low - x, 0.0)
    is_wrong = c < 0.5
    cost = np.where(is_wrong, wrong * over, right * (over + under)) / scale
    return np.asarray(np.maximum(-cost, floor) + 0.0)
