"""Which prompts are worth a gradient step: groups whose rewards hardly differ teach nothing.

Differs from the paper: until a first group spread is known, or while the running mean is 0, every group is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError


def group_spread(reward: Float[np.ndarray, "b g"]) -> Float[np.ndarray, " b"]:
    """Standard deviation within each group, without degrees-of-freedom correction.

    Args:
        reward: NaN where a sample's outcome does not count.

    Returns:
        NaN for groups with fewer than two rewards that count; exactly 0 where all that count are equal.
    """
    valid = np.isfinite(reward)
    n = valid.sum(axis=1)
    mean = np.where(valid, reward, 0.0).sum(axis=1) / np.maximum(n, 1)
    square = np.where(valid, (reward - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(n, 1)
    least = np.where(valid, reward, np.inf).min(axis=1, initial=np.inf)
    greatest = np.where(valid, reward, -np.inf).max(axis=1, initial=-np.inf)
    # the sum of equal numbers is off in its last bits, and a deviation of last bits is none
    return np.asarray(np.where(n >= 2, np.where(greatest > least, np.sqrt(square), 0.0), np.nan))


@final
@dataclass(frozen=True, slots=True)
class SpreadFilter:
    """Keeps groups whose spread is at least a share of the running mean spread; a pure value.

    `keep = std >= ratio * EMA(mean std)` from step `filter_from` on; the average runs from step `ema_from` on,
    `EMA <- decay * EMA + (1 - decay) * mean std`, and begins with the first mean. A loop refills its batch with further
    prompts where groups were dropped.

    Attributes:
        ratio: share of the running mean below which a group is dropped.
        decay: of the running mean, in [0, 1).
        ema_from: first step (counted from 1) whose spread enters the mean.
        filter_from: first step in which groups are dropped.
        step: steps seen so far.
        mean: the running mean; None before the first.

    Raises:
        InputError: if a value is out of range.

    Source: Yu et al. 2025, "RLPR: Extrapolating RLVR to General Domains without Verifiers", with its released settings.
    """

    ratio: float = 0.5
    decay: float = 0.99
    ema_from: int = 6
    filter_from: int = 11
    step: int = 0
    mean: float | None = None

    def __post_init__(self) -> None:
        if self.ratio < 0 or not 0 <= self.decay < 1:
            raise InputError(f"spread filter: ratio is {self.ratio} and decay {self.decay}; at least 0, and in [0, 1)")
        if min(self.ema_from, self.filter_from) < 1:
            raise InputError(f"spread filter: steps are {self.ema_from} and {self.filter_from}; they count from 1")

    def keep(self, reward: Float[np.ndarray, "b g"]) -> Bool[np.ndarray, " b"]:
        """Which groups of the coming step are kept.

        Args:
            reward: of each group's samples; NaN where the outcome does not count.

        Returns:
            True where a group is kept. From `filter_from` on, a group with fewer than two rewards that count, or with
            none of its rewards different, is dropped whatever the mean is.
        """
        if self.step + 1 < self.filter_from or not self.mean:
            return np.ones(len(reward), dtype=bool)
        spread = np.nan_to_num(group_spread(reward), nan=0.0)
        return np.asarray((spread >= self.ratio * self.mean) & (spread > 0))

    def updated(self, reward: Float[np.ndarray, "b g"]) -> SpreadFilter:
        """The state after a step with these rewards; groups of which fewer than two count do not enter."""
        spread = group_spread(reward)
        spread = spread[np.isfinite(spread)]
        step = self.step + 1
        if step < self.ema_from or not spread.size:
            return replace(self, step=step)
        now = float(spread.mean())
        mean = now if self.mean is None else self.decay * self.mean + (1 - self.decay) * now
        return replace(self, step=step, mean=mean)
