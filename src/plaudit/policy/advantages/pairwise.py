"""Advantages out of comparisons, without a score: win rates [128], and a judge's strengths [143]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.compared import Compared
from plaudit.shaping.groups.baselines import standardised
from plaudit.shaping.groups.pairwise import group_win_rates, pairwise_advantages


@final
@dataclass(frozen=True)
class WinRates(Stateless):
    """`z` of each completion's share of wins against its siblings, kept within `clip`: Pref-GRPO.

    One outlying score cannot squeeze all others together: the win rates of a group are spread evenly, whatever the
    scores behind the judgements are. `clip` matters for large groups only.

    Source: Wang et al. 2025, "Pref-GRPO" [128]; its released mixes add a pointwise reward.
    """

    preference: float = 1.0
    """Weight of the win rate, above 0."""
    pointwise: float = 0.0
    """Weight of the reward that is added to it; completions without one then have no advantage."""
    clip: float = 5.0
    """Greatest size of an advantage, above 0."""
    epsilon: float = 1e-4
    """Added to the deviation (over g)."""

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"compared"})
    siblings: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.preference > 0 and self.pointwise >= 0 and self.clip > 0):
            raise InputError(
                f"win-rates: weights are {self.preference} and {self.pointwise} and clip {self.clip}; give a weight "
                "above 0, another of at least 0, and a positive clip"
            )

    @property
    def reward_counts(self) -> bool:
        """Where it is added to the win rate."""
        return self.pointwise > 0

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; what met no decided comparison is not included, whether it has a reward or not."""
        told: Compared = inputs.need("compared", "win-rates")
        rate = group_win_rates(told.probability, told.pairs, n=len(inputs))
        worth = self.preference * rate
        if self.pointwise:
            worth = worth + self.pointwise * inputs.reward
        found = np.clip(standardised(worth, inputs.groups, ddof=0, epsilon=self.epsilon), -self.clip, self.clip)
        decided = float((~np.isnan(told.probability)).mean()) if len(told.pairs) else float("nan")
        return Advantages.of(inputs, sequence=found, included=~np.isnan(worth), metrics={"decided": decided})


@final
@dataclass(frozen=True)
class Strengths(Stateless):
    """`(1 / G) sum_j D_ij / scale`: group advantages straight from a judge's strengths, circles and all.

    Where `D_ij = r_i - r_j` they are GRPO's.

    Source: Hong et al. 2025, "Think-RM", section 3.3 [143]; the formula is `shaping.groups.pairwise_advantages`.
    """

    epsilon: float = 1e-6
    """In squared units of the strength."""

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"compared"})
    siblings: ClassVar[bool] = True
    reward_counts: ClassVar[bool] = False

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; what was in no judgement is not included.

        Raises:
            InputError: if the comparison gave no strengths.
        """
        told: Compared = inputs.need("compared", "strengths")
        if told.strength is None:
            raise InputError("strengths: the comparison gave probabilities only; give strengths, or use win rates")
        found = pairwise_advantages(told.strength, told.pairs, inputs.groups, epsilon=self.epsilon)
        judged = np.zeros(len(inputs), dtype=bool)
        judged[told.pairs[~np.isnan(told.strength)].ravel()] = True
        return Advantages.of(inputs, sequence=found, included=judged)
