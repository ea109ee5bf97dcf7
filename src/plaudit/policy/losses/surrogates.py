"""What a token adds to the loss of an update, from its ratio and its advantage: PPO, DAPO, CISPO, SAPO and relatives.

All take a `TokenBatch` and return a loss a token, to be multiplied by `token_weights` and summed. Where the ratio is 1
(the first update of a batch) all of them have the gradient of REINFORCE, `-A grad logp`: at token level exactly, at the
levels of sequences summed over a completion whose advantage is one number.

Differs from TRL's trainer, with which all agree to 1e-9: a token-level advantage is allowed everywhere; shares of
clipped tokens count tokens, also where the ratio is that of a completion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.policy.losses.tokens import Level, TokenBatch

Clamp = tuple[float, float] | None


@final
@dataclass(frozen=True)
class Watched:
    """Sums over tokens, without a gradient; those of micro-batches and processes add up.

    Attributes:
        tokens: how many.
        ratio: sum of their ratios.
        low: how many were cut below: a bad token that has become rare enough, and has no gradient any more.
        high: how many were cut above: a good one that has become likely enough.
    """

    tokens: float | Tensor
    ratio: float | Tensor
    low: float | Tensor = 0.0
    high: float | Tensor = 0.0

    def __add__(self, other: Watched) -> Watched:
        return Watched(
            self.tokens + other.tokens, self.ratio + other.ratio, self.low + other.low, self.high + other.high
        )

    def shares(self) -> dict[str, float]:
        """Mean ratio, and the shares that were clipped; NaN without tokens."""
        sums = {"ratio": self.ratio, "clipped_low": self.low, "clipped_high": self.high}
        n = float(self.tokens)
        return {name: float(value) / n if n else float("nan") for name, value in sums.items()}


@final
@dataclass(frozen=True, eq=False)
class Surrogate:
    """A loss a token, and what was watched.

    Attributes:
        loss: (t,), to be minimised.
        watched: of the same tokens.
    """

    loss: Float[Tensor, " t"]
    watched: Watched

    @classmethod
    def of(
        cls, loss: Float[Tensor, " t"], ratio: Tensor, *, low: Tensor | None = None, high: Tensor | None = None
    ) -> Self:
        """With sums over tokens of what is given a token."""
        told = [0.0 if x is None else x.detach().sum() for x in (low, high)]
        return cls(loss, Watched(ratio.numel(), ratio.detach().sum(), *told))


def clipped(
    batch: TokenBatch, *, level: Level = "token", clip_low: float = 0.2, clip_high: float = 0.2,
    delta: float | None = None, clamp: Clamp = None,
) -> Surrogate:  # fmt: skip
    """`-min(r A, clip(r, 1 - low, 1 + high) A)`, r cut at `delta` in the first term.

    Gradient: `-r A grad log r` where the first term is the smaller, else 0: none for a good token that is likely
    enough (`r > 1 + high`), a bad one that is rare enough (`r < 1 - low`), and, with a delta, a bad one whose ratio is
    beyond it, which would otherwise move the policy without bound.

    Args:
        batch: the tokens.
        level: of the ratio. `sequence` with equal bounds is GSPO (its are 3e-4 and 4e-4); `sequence-sum` with
            `sequence` weights is TRL's RLOO; `sequence` with `sequence-sum` weights is LUSPO.
        clip_low: at least 0; from 1 on nothing is cut below.
        clip_high: at least 0; DAPO's is 0.28.
        delta: above `1 + clip_high`; INTELLECT-2's is 4, dual-clip PPO's 3. None for no bound.
        clamp: see `TokenBatch.log_ratio`; StableReinforce's is (1e-3, 1e3).

    Raises:
        InputError: if a bound is out of range.

    Source: Schulman et al. 2017, "PPO", equation 7; Yu et al. 2025, "DAPO" (asymmetric); Ye et al. 2020 (dual clip);
    Zheng et al. 2025, "GSPO"; "Length-Unbiased Sequence Policy Optimization" (LUSPO), arXiv 2602.05261.
    """
    if clip_low < 0 or clip_high < 0 or (delta is not None and not delta > 1 + clip_high):
        raise InputError(
            f"clipped: clip_low is {clip_low}, clip_high {clip_high} and delta {delta}; give bounds of at least 0, and "
            "a delta above 1 + clip_high"
        )
    ratio, a = batch.log_ratio(level, clamp=clamp).exp(), batch.advantage
    free = ratio if delta is None else ratio.clamp(max=delta)
    loss = -torch.minimum(free * a, ratio.clamp(1 - clip_low, 1 + clip_high) * a)
    return Surrogate.of(loss, ratio, low=(ratio < 1 - clip_low) & (a < 0), high=(ratio > 1 + clip_high) & (a > 0))


def importance(batch: TokenBatch, *, level: Level = "token", clamp: Clamp = None) -> Surrogate:
    """`-r A`: the policy gradient of the old policy's samples, unbiased at level `sequence-sum`, without any bound.

    Args:
        batch: the tokens.
        level: of the ratio.
        clamp: see `TokenBatch.log_ratio`.
    """
    ratio = batch.log_ratio(level, clamp=clamp).exp()
    return Surrogate.of(-ratio * batch.advantage, ratio)


def reinforce(batch: TokenBatch) -> Surrogate:
    """`-A logp`: no ratio. Its gradient is that of fresh samples, whatever `old_logp` is.

    With advantages of 1 it is the loss of fine-tuning; its value says nothing.

    Args:
        batch: the tokens.

    Source: Williams 1992, REINFORCE.
    """
    return Surrogate.of(-batch.advantage * batch.logp, batch.log_ratio().detach().exp())


def cispo(
    batch: TokenBatch, *, level: Level = "token", low: float = 0.0, high: float = 5.0, clamp: Clamp = None
) -> Surrogate:
    """`-sg[clip(r, low, high)] A logp`: a token beyond the bound keeps a gradient, of bounded size.

    Args:
        batch: the tokens.
        level: of the ratio.
        low: least weight.
        high: greatest weight, of the ratio itself (ScaleRL's 4 to 8; MiniMax's `1 + epsilon` is given as such).
        clamp: see `TokenBatch.log_ratio`.

    Raises:
        InputError: if the bounds are not 0 <= low < high.

    Source: MiniMax 2025, "MiniMax-M1" (CISPO); Khatri et al. 2025, "The Art of Scaling Reinforcement Learning Compute
    for LLMs" (ScaleRL); TRL's `cispo`, whose `epsilon_high` is `high`.
    """
    if not 0 <= low < high:
        raise InputError(f"cispo: low is {low} and high {high}; give 0 <= low < high")
    ratio, a = batch.log_ratio(level, clamp=clamp).exp().detach(), batch.advantage
    loss = -ratio.clamp(low, high) * a * batch.logp
    return Surrogate.of(loss, ratio, low=(ratio < low) & (a < 0), high=(ratio > high) & (a > 0))


def sapo(
    batch: TokenBatch, *, level: Level = "token", temperature_pos: float = 1.0, temperature_neg: float = 1.05,
    clamp: Clamp = None,
) -> Surrogate:  # fmt: skip
    """`-(4 / tau) sigmoid(tau (r - 1)) A`: a soft trust region instead of a cut.

    The slope in r is `4 s (1 - s)`, 1 at r = 1 and falling on both sides. Tau is larger for advantages of at most 0, so
    that their gradients, which raise all other tokens, fade sooner.

    Args:
        batch: the tokens.
        level: of the ratio.
        temperature_pos: tau of positive advantages, above 0.
        temperature_neg: tau of the others.
        clamp: see `TokenBatch.log_ratio`.

    Raises:
        InputError: if a temperature is not positive.

    Source: "Soft Adaptive Policy Optimization" (SAPO), arXiv 2511.20347; TRL's `sapo`.
    """
    if not (temperature_pos > 0 and temperature_neg > 0):
        raise InputError(f"sapo: temperatures are {temperature_pos} and {temperature_neg}; give positive numbers")
    ratio, a = batch.log_ratio(level, clamp=clamp).exp(), batch.advantage
    tau = by_sign(a > 0, temperature_pos, temperature_neg, ratio)
    return Surrogate.of(-torch.sigmoid(tau * (ratio - 1)) * 4 / tau * a, ratio)


def by_sign(good: Bool[Tensor, " t"], of_good: float, of_bad: float, like: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """One of two numbers a token, in the precision of `like`: `torch.where` would round them to the default one."""
    return torch.where(good, like.new_tensor(of_good), like.new_tensor(of_bad))
