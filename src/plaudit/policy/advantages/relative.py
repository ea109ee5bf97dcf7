"""Advantages beside the siblings of a prompt: GRPO, Dr. GRPO, RLOO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, nearest
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.returns import penalties
from plaudit.shaping.groups.baselines import batch_standardised, leave_one_out, mean_only, standardised
from plaudit.shaping.groups.codes import Floats

Scale = Literal["group", "batch", "none"]


@final
@dataclass(frozen=True)
class GroupRelative(Stateless):
    """`(r_i - group mean) / scale`, the same for all tokens of a completion: GRPO.

    Source: Shao et al. 2024, "DeepSeekMath" (GRPO); with scale "none" Liu et al. 2025, "Dr. GRPO"; TRL's GRPOTrainer.
    """

    scale: Scale = "group"
    """Deviation of the `group`, of all rewards of the `batch`, or `none`."""
    epsilon: float = 1e-4
    """Added to the deviation, in units of the reward."""

    needs: ClassVar[frozenset[str]] = frozenset()
    siblings: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise InputError(
                f"group-relative: scale {self.scale!r} is not known; {nearest(self.scale, get_args(Scale))}"
            )

    @property
    def extent(self) -> Extent:
        """The batch, if that scales."""
        return "batch" if self.scale == "batch" else "group"

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; groups of fewer than two rewards have 0."""
        if self.scale == "none":
            found = mean_only(inputs.reward, inputs.groups)
        elif self.scale == "group":
            found = standardised(inputs.reward, inputs.groups, epsilon=self.epsilon)
        else:
            found = batch_standardised(inputs.reward, inputs.groups, center=False, epsilon=self.epsilon)
        return Advantages.of(inputs, sequence=found)


@final
@dataclass(frozen=True)
class LeaveOneOut(Stateless):
    """`r_i - mean of the siblings`, RLOO; with a KL penalty summed over the completion, and normalised if wanted.

    Source: Ahmadian et al. 2024, "Back to Basics" (RLOO); TRL's RLOOTrainer.
    """

    kl_coef: float = 0.0
    """Reward units per nat; needs `logp` and `ref_logp` unless 0."""
    normalise: bool = False
    """Brings the batch's advantages to mean 0 and deviation 1 (over n - 1)."""
    epsilon: float = 1e-4
    """Added to that deviation."""

    siblings: ClassVar[bool] = True

    @property
    def extent(self) -> Extent:
        """The batch, if that normalises."""
        return "batch" if self.normalise else "group"

    @property
    def needs(self) -> frozenset[str]:
        """Log-probabilities, for the penalty."""
        return frozenset({"logp", "ref_logp"}) if self.kl_coef else frozenset()

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; groups of fewer than two rewards have 0, and enter no statistic."""
        reward, metrics = inputs.reward, {}
        if self.kl_coef:
            cost = penalties(inputs, kl_coef=self.kl_coef, who="leave-one-out")
            by_completion = np.bincount(inputs.owner, weights=cost, minlength=len(inputs)).astype(np.float64)
            reward, metrics = reward + by_completion, {"kl_penalty": _mean(by_completion, inputs.included)}
        found = leave_one_out(reward, inputs.groups)
        if self.normalise:
            known = found[inputs.comparable]
            spread = float(known.std(ddof=1)) if known.size and np.ptp(known) > 0 else 0.0
            scale = spread + self.epsilon if spread else 0.0
            found = np.where(inputs.comparable, (found - known.mean()) / scale, 0.0) if scale else np.zeros(len(inputs))
        return Advantages.of(inputs, sequence=found, metrics=metrics)


def _mean(value: Floats, kept: NDArray[np.bool_]) -> float:
    return float(value[kept].mean()) if kept.any() else float("nan")
