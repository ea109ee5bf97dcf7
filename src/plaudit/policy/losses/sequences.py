"""Surrogates that weigh whole completions: VESPO's soft weight of the exact ratio, GMPO's geometric mean."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.policy.losses.surrogates import Surrogate, by_sign
from plaudit.policy.losses.tokens import FARTHEST, TokenBatch

_LEAST = math.log(1e-8)
"""Of a completion's log-ratio, as in the released code: below it weights are 0 in all but name."""


def vespo(
    batch: TokenBatch, *, k_pos: float = 2.0, lambda_pos: float = 3.0, k_neg: float = 3.0, lambda_neg: float = 2.0,
    correction: Float[Tensor, " t"] | None = None,
) -> Surrogate:  # fmt: skip
    """`-phi(w) A logp` with `phi(w) = e^lambda w^k e^{-lambda w}`, w the exact ratio of the completion, a constant.

    `phi(1) = 1`; the weight is greatest at `w = k / lambda` and falls on both sides without a cut, so that completions
    far from the policy count less and less. It is a weight of the gradient: none flows through it.

    Args:
        batch: the tokens; the sign of a token's advantage decides k and lambda.
        k_pos: of advantages of at least 0.
        lambda_pos: of advantages of at least 0.
        k_neg: of negative ones.
        lambda_neg: of negative ones.
        correction: (t,) truncated or masked weights of a sampler that differs from the trainer, see
            `sampler_weights` at token level; they enter w, and must not be multiplied in again.

    Returns:
        The loss; `watched.ratio` sums phi.

    Raises:
        ShapeError: if the correction has another shape.
        InputError: if a k or lambda is negative.

    Source: "VESPO: Variational Sequence-Level Soft Policy Optimization", arXiv 2602.10693; TRL's `vespo`.
    """
    if min(k_pos, lambda_pos, k_neg, lambda_neg) < 0:
        raise InputError(f"vespo: k and lambda are {k_pos}, {lambda_pos}, {k_neg}, {lambda_neg}; give at least 0")
    if correction is not None and correction.shape != batch.logp.shape:
        raise ShapeError(f"vespo: correction {tuple(correction.shape)} for {tuple(batch.logp.shape)} tokens")
    with torch.no_grad():
        own = batch.log_ratio()
        if correction is not None:
            own = own + correction.log().clamp(_LEAST, FARTHEST)
        log_w = batch.sum_by(own).clamp(_LEAST, FARTHEST)[batch.owner]
        good = batch.advantage >= 0
        k, lam = by_sign(good, k_pos, k_neg, log_w), by_sign(good, lambda_pos, lambda_neg, log_w).clamp(min=1e-4)
        phi = (lam + k * log_w - lam * log_w.exp()).exp()
    return Surrogate.of(-phi * batch.advantage * batch.logp, phi)


def gmpo(batch: TokenBatch, *, clip_low: float = 0.4, clip_high: float = 0.4) -> Surrogate:
    """`-exp(mean_t of the clipped log-ratios) A`, the same number for all tokens of a completion.

    Log-ratios are cut one-sidedly: above `clip_high` where the advantage is positive, below `-clip_low` where it is
    not. One token with an extreme ratio moves the geometric mean little.

    Args:
        batch: the tokens; all of a completion must have the same sign of advantage, as completions' advantages do.
        clip_low: in nats.
        clip_high: in nats.

    Returns:
        The loss; with `sequence` weights it is the mean over completions.

    Raises:
        InputError: if a bound is negative.

    Source: "Geometric-Mean Policy Optimization" (GMPO), 2025; TRL's experimental GMPOTrainer.
    """
    if clip_low < 0 or clip_high < 0:
        raise InputError(f"gmpo: clip_low is {clip_low} and clip_high {clip_high}; give at least 0")
    own, a = batch.log_ratio(), batch.advantage
    cut = torch.where(a > 0, own.clamp(max=clip_high), own.clamp(min=-clip_low))
    ratio = batch.mean_by(cut)[batch.owner].exp()
    return Surrogate.of(-ratio * a, ratio, low=(own < -clip_low) & (a < 0), high=(own > clip_high) & (a > 0))
