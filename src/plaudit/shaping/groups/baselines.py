"""From the rewards of a group to advantages: what a completion is worth beyond its siblings.

All of them give 0 to a sample without a reward (`NaN`) and to groups with fewer than two rewards, in which there is
nothing to compare with. A constant added to a group's rewards changes none of them, but for
`batch_standardised(center=False)`, whose deviation is that of the rewards and not of their distances from the group's
mean; a positive factor changes `leave_one_out` and `mean_only` by itself and leaves `standardised` (up to epsilon) and
`batch_standardised` alone.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels


def mean_only(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """`r_i - mean`, the baseline without a scale.

    Args:
        reward: (n,), NaN where there is none.
        groups: a label a sample.

    Source: Liu et al. 2025, "Understanding R1-Zero-Like Training: A Critical Perspective" (Dr. GRPO).
    """
    r = Grouped.of("mean_only", reward, groups)
    return r.or_nothing(r.centred)


def leave_one_out(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """`r_i - mean_{j != i} r_j = n / (n - 1) (r_i - mean)`.

    Args:
        reward: (n,), NaN where there is none: such members leave the count n as well.
        groups: a label a sample.

    Source: Ahmadian et al. 2024, "Back to Basics: Revisiting REINFORCE Style Optimization" (RLOO).
    """
    r = Grouped.of("leave_one_out", reward, groups)
    return r.or_nothing(r.centred * (r.n / np.maximum(r.n - 1, 1))[r.groups.code])


def standardised(
    reward: ArrayLike, groups: Labels | Groups, *, ddof: int = 1, epsilon: float = 1e-4
) -> Float[np.ndarray, " n"]:
    """`(r_i - mean) / (std + epsilon)`.

    Hard and easy prompts, whose rewards hardly differ, are scaled up by it: with 0/1 rewards of a group of eight, one
    right answer counts 2.65 times as much as one of four right ones.

    Args:
        reward: (n,), NaN where there is none.
        groups: a label a sample.
        ddof: 1 divides the squares by n - 1, as TRL, verl and OpenRLHF do; 0 by n.
        epsilon: in units of the reward; TRL's is 1e-4, verl's 1e-6, OpenRLHF's 1e-9.

    Raises:
        InputError: if ddof is neither 0 nor 1 or epsilon is negative.

    Source: Shao et al. 2024, "DeepSeekMath", section 4.1 (GRPO).
    """
    _check("standardised", ddof, epsilon)
    r = Grouped.of("standardised", reward, groups)
    scale = r.std(ddof=ddof) + epsilon
    return r.or_nothing(r.centred * _divided(np.ones_like(scale), np.nan_to_num(scale))[r.groups.code])


def batch_standardised(
    reward: ArrayLike, groups: Labels | Groups, *, center: bool = True, ddof: int = 1, epsilon: float = 1e-4
) -> Float[np.ndarray, " n"]:
    """`(r_i - group mean) / (std of the batch + epsilon)`: one scale for all prompts.

    Args:
        reward: (n,), NaN where there is none.
        groups: a label a sample.
        center: True divides by the deviation of what is left after the group means are taken away (REINFORCE++ with a
            baseline); False by that of the rewards themselves (TRL's `scale_rewards="batch"`).
        ddof: see `standardised`.
        epsilon: in units of the reward.

    Raises:
        InputError: if ddof is neither 0 nor 1 or epsilon is negative.

    Source: Hu et al. 2025, "REINFORCE++"; TRL's GRPOTrainer.
    """
    _check("batch_standardised", ddof, epsilon)
    r = Grouped.of("batch_standardised", reward, groups)
    left = r.value if not center else r.centred if r.comparable.all() else r.centred[r.comparable]
    left = left[~np.isnan(left)] if r.missing is not None else left
    scale = float(np.std(left, ddof=ddof)) if left.size > ddof else 0.0
    return r.or_nothing(_divided(r.centred, np.array([scale + epsilon])))


def _divided(x: Floats, by: Floats) -> Floats:
    """The quotient, 0 where `by` is 0: rewards that are all equal say nothing, whatever epsilon is."""
    return x / by if (by > 0).all() else np.divide(x, by, out=np.zeros_like(x), where=by > 0)


def _check(who: str, ddof: int, epsilon: float) -> None:
    if ddof not in (0, 1):
        raise InputError(f"{who}: ddof is {ddof}; give 1 (divide by n - 1) or 0 (by n)")
    if not epsilon >= 0:
        raise InputError(f"{who}: epsilon is {epsilon}; give a number of reward units, at least 0")
