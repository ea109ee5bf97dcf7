"""Advantages with a value function: PPO's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.returns import generalised_advantages, placed_rewards, whitened


@final
@dataclass(frozen=True)
class ValueBased(Stateless):
    """Generalised advantages of each token, the KL penalty among its rewards; and the returns for the value function.

    Reads `columns["last_value"]`, V after the last token of completions that were cut off, where it is given; else 0.

    Source: Schulman et al. 2015 (GAE) and 2017 (PPO); Ziegler et al. 2019 for language models; verl's `gae`.
    """

    gamma: float = 1.0
    """Discount of later rewards."""
    lam: float = 0.95
    """Lambda: 1 trusts returns, 0 the value function."""
    kl_coef: float = 0.0
    """Reward units per nat, of k1 at each token; needs `logp` and `ref_logp` unless 0."""
    whiten: bool = True
    """Brings the batch's advantages to mean 0 and deviation 1, not the returns."""

    takes: ClassVar[frozenset[str]] = frozenset({"token_rewards", "last_value"})

    @property
    def extent(self) -> Extent:
        """The batch, if that whitens; else a group, though it compares none."""
        return "batch" if self.whiten else "group"

    @property
    def needs(self) -> frozenset[str]:
        """Values, and log-probabilities for the penalty."""
        return frozenset({"values"} | ({"logp", "ref_logp"} if self.kl_coef else set()))

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; completions without a reward have advantage 0 and returns equal to their values."""
        values = inputs.need("values", "value-based")
        rewards = placed_rewards(inputs, kl_coef=self.kl_coef, who="value-based")
        advantage, returns = generalised_advantages(
            rewards, values, inputs.lengths, gamma=self.gamma, lam=self.lam, last=inputs.columns.get("last_value", 0.0)
        )
        counted = inputs.included[inputs.owner]
        returns = np.where(counted, returns, values)
        error = float(np.square(returns - values)[counted].mean()) if counted.any() else float("nan")
        if self.whiten:
            advantage = whitened(advantage, counted)
        return Advantages.of(inputs, token=advantage, returns=returns, metrics={"value_error": error})
