"""Losses of the difference of two log-ratios: DPO and what became of it.

The two arguments of each are the log-ratios `x = sum_t (log pi - log pi_ref)` of the chosen and of the rejected
completion, in nats, (m,) each; a loss a pair comes back. What does not depend on anything but `d = x_c - x_r` forgets
whether chosen became likelier or rejected less likely: both completions may become less likely while it falls.

Differs from the papers: no mean over the batch, which is the trainer's: it divides by all pairs of a step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_beta, check_sides
from plaudit.training.objectives.pairs.checking import check_number

Pairs = Float[Tensor, " m"]


def smoothed(difference: Pairs, *, label_smoothing: float) -> Pairs:
    """`-(1 - e) log sigmoid(d) - e log sigmoid(-d)`: the cross-entropy to a label that is wrong with probability e."""
    return -(1 - label_smoothing) * F.logsigmoid(difference) - label_smoothing * F.logsigmoid(-difference)


def dpo(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Pairs:
    """`-(1 - e) log sigmoid(beta d) - e log sigmoid(-beta d)`, with `d = x_c - x_r`.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat: the strength of the penalty KL(pi, pi_ref) whose optimum is sought.
        label_smoothing: e, share of labels taken to be flipped, in [0, 0.5); above 0 this is cDPO, whose minimum is at
            the finite `d = log((1 - e) / e) / beta`.

    Returns:
        A loss a pair, (m,).

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is outside its range.

    Source: Rafailov et al. 2023, "Direct Preference Optimization", equation 7; Mitchell 2023, "A note on DPO with noisy
    preferences" (cDPO).
    """
    check_sides("dpo", chosen=chosen, rejected=rejected)
    check_beta("dpo", beta)
    check_number("dpo", "label_smoothing", label_smoothing, low=0, high=0.5, within="[)")
    return smoothed(beta * (chosen - rejected), label_smoothing=label_smoothing)


def dpo_normalised(
    chosen: Pairs, rejected: Pairs, chosen_tokens: Pairs, rejected_tokens: Pairs, *, beta: float = 5.0,
    label_smoothing: float = 0.0,
) -> Pairs:  # fmt: skip
    """DPO on log-ratios a token: `d = x_c / |y_c| - x_r / |y_r|`.

    With equally many tokens n it is DPO with `beta / n`.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        chosen_tokens: |y_c|, at least 1.
        rejected_tokens: |y_r|.
        beta: reward units per nat and token.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.

    Source: Lambert et al. 2024, "Tulu 3" [189], equation 6.
    """
    check_sides("dpo_normalised", chosen=chosen, rejected=rejected, tokens=chosen_tokens, others=rejected_tokens)
    return dpo(chosen / chosen_tokens, rejected / rejected_tokens, beta=beta, label_smoothing=label_smoothing)


def hinge(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`max(0, 1 - beta d)`: no gradient once the margin is 1.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: Zhao et al. 2023, "SLiC-HF"; on log-ratios, Liu et al. 2024, "Statistical Rejection Sampling Improves
    Preference Optimization" (RSO).
    """
    check_sides("hinge", chosen=chosen, rejected=rejected)
    check_beta("hinge", beta)
    return torch.relu(1 - beta * (chosen - rejected))


def ipo(
    chosen: Pairs, rejected: Pairs, chosen_tokens: Pairs, rejected_tokens: Pairs, *, beta: float = 0.1,
    average: bool = True,
) -> Pairs:  # fmt: skip
    """`(d - 1 / (2 beta))^2`: the difference is pulled to a finite target, so that certain labels do not drive it off.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        chosen_tokens: |y_c|.
        rejected_tokens: |y_r|.
        beta: the paper's tau, in pairs a nat.
        average: whether each log-ratio is divided by its tokens, as the paper's experiments did and the paper does not
            say: a squared error of sums grows with the square of the length.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if beta is not positive.

    Source: Azar et al. 2024, "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    equation 17.
    """
    check_sides("ipo", chosen=chosen, rejected=rejected, tokens=chosen_tokens, others=rejected_tokens)
    check_beta("ipo", beta)
    if average:
        chosen, rejected = chosen / chosen_tokens, rejected / rejected_tokens
    return (chosen - rejected - 1 / (2 * beta)).square()


def robust_dpo(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1, flipped: float = 0.1) -> Pairs:
    """`(-(1 - e) log sigmoid(beta d) + e log sigmoid(-beta d)) / (1 - 2 e)`: unbiased for DPO under flipped labels.

    Its mean over a label that is turned round with probability e is DPO's loss of the true label. Unlike cDPO it has no
    finite minimum in d, and it may be negative.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.
        flipped: e, share of labels that are wrong, in [0, 0.5).

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is outside its range.

    Source: Chowdhury et al. 2024, "Provably Robust DPO: Aligning Language Models with Noisy Feedback", equation 12.
    """
    check_sides("robust_dpo", chosen=chosen, rejected=rejected)
    check_beta("robust_dpo", beta)
    check_number("robust_dpo", "flipped", flipped, low=0, high=0.5, within="[)")
    d = beta * (chosen - rejected)
    return (-(1 - flipped) * F.logsigmoid(d) + flipped * F.logsigmoid(-d)) / (1 - 2 * flipped)


def exo(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1, label_smoothing: float = 1e-3) -> Pairs:
    """`KL((p, 1 - p) || (1 - e, e))` with `p = sigmoid(beta d)`: the reverse of DPO's divergence, so it seeks the mode.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.
        label_smoothing: e, in (0, 0.5): with 0 the divergence is infinite wherever p is not 1.

    Returns:
        At least 0; 0 where `beta d = log((1 - e) / e)`.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is outside its range.

    Source: Ji et al. 2024, "Towards Efficient Exact Optimization of Language Model Alignment", equation 16.
    """
    check_sides("exo", chosen=chosen, rejected=rejected)
    check_beta("exo", beta)
    check_number("exo", "label_smoothing", label_smoothing, low=0, high=0.5, within="()")
    d = beta * (chosen - rejected)
    right, wrong = F.logsigmoid(d), F.logsigmoid(-d)
    return right.exp() * (right - math.log1p(-label_smoothing)) + wrong.exp() * (wrong - math.log(label_smoothing))


def discopop(chosen: Pairs, rejected: Pairs, *, beta: float = 0.05, tau: float = 0.05) -> Pairs:
    """`(1 - s) (-log sigmoid(z)) + s exp(-z)`, with `z = beta d` and `s = sigmoid(z / tau)`: logistic below, then exp.

    Not convex: at `z = 0` its slope is `(1 - log 2) / (4 tau) - 3/4`, positive for tau below 0.102, so that a policy
    that starts as its reference is first moved the wrong way. The margin then falls, and the loss with it.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.
        tau: width of the passage from one to the other, above 0.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is not positive.

    Source: Lu et al. 2024, "Discovering Preference Optimization Algorithms with and for Large Language Models",
    equation 5 (its log-ratio modulated loss, found by a language model).
    """
    check_sides("discopop", chosen=chosen, rejected=rejected)
    check_beta("discopop", beta)
    check_number("discopop", "tau", tau, low=0, within="(]")
    z = beta * (chosen - rejected)
    share = torch.sigmoid(z / tau)
    return (1 - share) * -F.logsigmoid(z) + share * torch.exp(-z)
