"""Advantages: how much better a completion is than its siblings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups import mean_only, standardised


def group_advantages(
    reward: Float[np.ndarray, " n"],
    valid: Bool[np.ndarray, " n"],
    groups: Sequence[object],
    *,
    scale: bool = True,
    epsilon: float = 1e-4,
) -> NDArray[np.float64]:
    """Rewards centred, and scaled, within groups; samples without a reward take no part and get 0.

    `(r_i - mean) / (std + epsilon)`, mean and standard deviation (dividing by the count) over the group's valid
    members. A group with fewer than two of them says nothing: its advantages are 0.

    Args:
        reward: (n,), finite where valid.
        valid: True where the reward counts, (n,).
        groups: label of each sample's group, (n,).
        scale: whether to divide by the standard deviation.
        epsilon: added to it, in units of the reward.

    Returns:
        Advantages, (n,).

    Raises:
        ShapeError: if the three differ in length.
        InputError: if a valid reward is not finite.

    Source: Shao et al. 2024, "DeepSeekMath", section 4.1; without scaling, Liu et al. 2025, "Dr. GRPO".

    Differs from the paper: members without a reward leave the mean and the deviation.
    """
    if not len(reward) == len(valid) == len(groups):
        raise ShapeError(
            f"group_advantages: {len(reward)} rewards, {len(valid)} marks and {len(groups)} groups; give as many"
        )
    if not np.isfinite(reward[valid]).all():
        at = int(np.flatnonzero(valid & ~np.isfinite(reward))[0])
        raise InputError(f"group_advantages: reward of sample {at} is {reward[at]} and marked valid; mark it invalid")
    found = np.where(valid, reward, np.nan)
    advantages = standardised(found, groups, ddof=0, epsilon=epsilon) if scale else mean_only(found, groups)
    return np.asarray(advantages)
