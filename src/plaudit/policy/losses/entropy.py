"""Entropies of the policy's next-token distributions: a bonus, a target for it, and which tokens are decisions.

The bonus is a term of its own: `-coefficient * sum_t w_t H_t` with `token` weights, whatever the weights of the
policy's loss, so that a coefficient means the same in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plaudit.errors import InputError


def entropies(logits: Float[Tensor, "*t v"]) -> Float[Tensor, " *t"]:
    """`-sum_a p_a log p_a` of each distribution, nats.

    Args:
        logits: of the next token; -inf where a token is forbidden.
    """
    logp = logits.log_softmax(-1)
    # 0 log 0 = 0, with a gradient of 0: a forbidden token is not on the way of either
    return -(logp.exp() * logp.masked_fill(logp.isneginf(), 0.0)).sum(-1)


@torch.no_grad()
def entropy_threshold(entropy: Float[Tensor, " t"], *, share: float) -> Float[Tensor, ""]:
    """The entropy that the given share of tokens reaches: the `1 - share` quantile.

    Ask it of all tokens of a step: that of a micro-batch would let each of them decide for itself what is uncertain.

    Args:
        entropy: (t,) nats, at least one token.
        share: in (0, 1].

    Raises:
        InputError: if the share is out of range or there are no tokens.
    """
    if not 0 < share <= 1 or not entropy.numel():
        raise InputError(
            f"entropy_threshold: share is {share} of {entropy.numel()} tokens; give a share in (0, 1] of at least one"
        )
    return torch.quantile(entropy, 1 - share)


def decisive(entropy: Float[Tensor, " t"], threshold: Float[Tensor, ""] | float) -> Bool[Tensor, " t"]:
    """True for tokens whose entropy reaches the threshold; the loss of the others is multiplied by 0.

    They stay in the denominators, as in TRL: fewer tokens make smaller steps.

    Args:
        entropy: (t,) nats.
        threshold: see `entropy_threshold`.

    Source: Wang et al. 2025, "Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement
    Learning"; TRL's `top_entropy_quantile`.
    """
    return entropy.detach() >= threshold


def entropy_bonus(entropy: Float[Tensor, " t"], *, coefficient: float) -> Float[Tensor, " t"]:
    """`-coefficient H_t`, a loss a token that carries the entropy's gradient.

    Args:
        entropy: (t,) nats, with its gradient: that of the log-probabilities of sampled tokens is not enough.
        coefficient: at least 0; 0 is no bonus.

    Raises:
        InputError: if the coefficient is negative.
    """
    if not coefficient >= 0:
        raise InputError(f"entropy_bonus: coefficient is {coefficient}; give at least 0")
    return -coefficient * entropy


@final
@dataclass(frozen=True)
class AdaptiveEntropy:
    """A bonus only while entropy is below a target, with a coefficient that grows there; a pure value.

    After each step: `coefficient <- min(coefficient + step, greatest)` where the mean entropy was at most the target,
    else `max(coefficient - step, least)`. The next step has the bonus only where the last mean was at most the target.

    Attributes:
        target: nats.
        coefficient: of the bonus while it is on.
        step: by which it moves, above 0.
        least: at least 0.
        greatest: at least `least`.
        seen: the last mean entropy; infinite before any.

    Raises:
        InputError: if a number is out of range.

    Source: "Skywork Open Reasoner 1" (2025), adaptive entropy control; TRL's `use_adaptive_entropy`.
    """

    target: float
    coefficient: float = 0.0
    step: float = 0.005
    least: float = 0.0
    greatest: float = 1.0
    seen: float = float("inf")

    def __post_init__(self) -> None:
        if not self.step > 0 or not 0 <= self.least <= self.coefficient <= self.greatest:
            raise InputError(
                f"adaptive entropy: step is {self.step}, coefficient {self.coefficient} within {self.least} to "
                f"{self.greatest}; give a positive step and 0 <= least <= coefficient <= greatest"
            )

    @property
    def applied(self) -> float:
        """The coefficient of the next step."""
        return self.coefficient if self.seen <= self.target else 0.0

    def updated(self, entropy: float) -> Self:
        """After a step of that mean entropy; itself where it is NaN."""
        if entropy != entropy:
            return self
        moved = self.coefficient + (self.step if entropy <= self.target else -self.step)
        return replace(self, coefficient=min(max(moved, self.least), self.greatest), seen=float(entropy))

    def state(self) -> dict[str, Any]:
        """Coefficient and last entropy, for a run's folder."""
        return {"coefficient": self.coefficient, "seen": self.seen if self.seen != float("inf") else None}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With what `state` gave."""
        seen = state["seen"]
        return replace(
            self, coefficient=float(state["coefficient"]), seen=float("inf") if seen is None else float(seen)
        )
