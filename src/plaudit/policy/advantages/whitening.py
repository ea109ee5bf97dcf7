"""Advantages that are whitened over all tokens of the batch: REINFORCE++, with and without a baseline of the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.returns import placed_rewards, token_returns, whitened
from plaudit.shaping.groups.baselines import mean_only


@final
@dataclass(frozen=True)
class ReinforcePlusPlus(Stateless):
    """Returns of each token, the KL penalty among its rewards, whitened over the tokens of the batch.

    The baseline is the mean over all prompts: no group is needed, and one completion a prompt will do.

    Source: Hu et al. 2025, "REINFORCE++", equations 8 to 10; verl's `reinforce_plus_plus`.
    """

    kl_coef: float = 0.0
    """Reward units per nat, of k1 at each token; needs `logp` and `ref_logp` unless 0."""
    gamma: float = 1.0
    """Discount of later rewards."""

    extent: ClassVar[Extent] = "batch"
    takes: ClassVar[frozenset[str]] = frozenset({"token_rewards"})

    @property
    def needs(self) -> frozenset[str]:
        """Log-probabilities, for the penalty."""
        return frozenset({"logp", "ref_logp"}) if self.kl_coef else frozenset()

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; tokens of completions without a reward enter no statistic."""
        rewards = placed_rewards(inputs, kl_coef=self.kl_coef, who="reinforce++")
        returns = token_returns(rewards, inputs.lengths, gamma=self.gamma)
        return Advantages.of(inputs, token=whitened(returns, inputs.included[inputs.owner]), returns=returns)


@final
@dataclass(frozen=True)
class ReinforcePlusPlusBaseline(Stateless):
    """`r_i - group mean`, then whitened over the tokens of the batch; put k2 of the KL into the loss.

    Unlike GRPO it has one scale for all prompts: those whose rewards hardly differ are not scaled up.

    Source: Hu et al. 2025, "REINFORCE++", section 3 (baseline); verl's `reinforce_plus_plus_baseline`.

    Differs from verl: a completion alone in its group has advantage 0 and enters no statistic; there, it keeps its
    reward.
    """

    extent: ClassVar[Extent] = "batch"
    needs: ClassVar[frozenset[str]] = frozenset()
    siblings: ClassVar[bool] = True

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; long completions weigh more in mean and deviation, as in the released code."""
        centred = mean_only(inputs.reward, inputs.groups)
        return Advantages.of(inputs, token=whitened(centred[inputs.owner], inputs.comparable[inputs.owner]))
