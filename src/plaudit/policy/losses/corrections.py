"""When the sampler is not the trainer: weights between two programs that run one policy, and what is too old to use.

An inference server rounds otherwise than the trainer, so its log-probabilities differ although the weights are the
same. The factor `pi_old / pi_sampler`, kept within bounds, multiplies the loss of each token.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.policy.losses.tokens import TokenBatch, check_owner, sum_by

Outside = Literal["truncate", "mask"]
Extent = Literal["token", "sequence"]


@torch.no_grad()
def sampler_weights(
    old_logp: Float[Tensor, " t"], sampler_logp: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int, *,
    level: Extent = "token", outside: Outside = "truncate", low: float | None = None, high: float | None = 3.0,
) -> Float[Tensor, " t"]:  # fmt: skip
    """`w = pi_old / pi_sampler` of each token, or of each completion (the product over its tokens), within bounds.

    Args:
        old_logp: (t,) of the tokens in the trainer, nats.
        sampler_logp: (t,) as the sampler reported them; NaN where it did not: such a token has weight 1.
        owner: int64 (t,), see `TokenBatch`.
        n: completions.
        level: whose ratio.
        outside: what becomes of a ratio beyond a bound: the bound (TIS), or 0 (masked: the token or the completion is
            left out).
        low: least ratio, None for none.
        high: greatest ratio, None for none.

    Returns:
        Constants; multiply the loss by them.

    Raises:
        ShapeError: if shapes differ.
        InputError: if a choice is not known or bounds do not rise.

    Source: Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training" (TIS); Liu et al.
    2025, "When Speed Kills Stability" (masked); TRL's `vllm_importance_sampling_mode`.
    """
    if not old_logp.shape == sampler_logp.shape == owner.shape:
        raise ShapeError(
            f"sampler_weights: {tuple(old_logp.shape)}, {tuple(sampler_logp.shape)} and {tuple(owner.shape)}; give "
            "(t,) each"
        )
    for what, given, known in (("level", level, get_args(Extent)), ("outside", outside, get_args(Outside))):
        if given not in known:
            raise InputError(f"sampler_weights: {what} {given!r} is not known; {nearest(given, known)}")
    least, greatest = -math.inf if low is None else low, math.inf if high is None else high
    if not least < greatest:
        raise InputError(f"sampler_weights: low is {low} and high is {high}; give low < high")
    check_owner("sampler_weights", owner, n)
    apart = (old_logp - sampler_logp).nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf)
    ratio = (apart if level == "token" else sum_by(apart, owner, n)[owner]).exp()
    if outside == "truncate":
        return ratio.clamp(least, greatest)
    return ratio.masked_fill((ratio < least) | (ratio > greatest), 0.0)


@torch.no_grad()
def fresh_enough(
    batch: TokenBatch, *, threshold: float, sampler_logp: Float[Tensor, " t"] | None = None
) -> Bool[Tensor, " t"]:
    """False for tokens of negative advantage in completions that the policy has moved away from.

    Moved away: `mean_t (log pi_old - log pi) > threshold`. What is good is always learned from.

    Args:
        batch: the tokens.
        threshold: nats a token.
        sampler_logp: (t,) in place of `old_logp`, where the sampler differs; NaN counts as no difference.

    Raises:
        ShapeError: if the sampler's have another shape.

    Source: DeepSeek-AI 2025, "DeepSeek-V3.2", equation 9; TRL's `off_policy_mask_threshold`.
    """
    old = batch.old_logp if sampler_logp is None else sampler_logp
    if old.shape != batch.logp.shape:
        raise ShapeError(f"fresh_enough: {tuple(old.shape)} log-probabilities for {tuple(batch.logp.shape)} tokens")
    moved = batch.mean_by((old - batch.logp).nan_to_num(nan=0.0))[batch.owner]
    return (batch.advantage >= 0) | (moved <= threshold)
