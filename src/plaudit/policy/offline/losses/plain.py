"""Losses without a reference: what is compared are the policy's own log-probabilities.

Arguments: summed log-probabilities of chosen and rejected in nats, (m,) each, and their numbers of tokens where these
matter; a loss a pair comes back. Nothing here holds the policy near where it began: a small learning rate does, and the
likelihood of chosen that CPO and ORPO add (`nll_coef` of their algorithms).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_beta, check_sides
from plaudit.policy.offline.losses.difference import smoothed
from plaudit.training.objectives.pairs.checking import check_number

Pairs = Float[Tensor, " m"]


def simpo(
    chosen: Pairs, rejected: Pairs, chosen_tokens: Pairs, rejected_tokens: Pairs, *, beta: float = 2.0,
    gamma: float = 1.0, label_smoothing: float = 0.0,
) -> Pairs:  # fmt: skip
    """`-log sigmoid(beta (l_c / |y_c| - l_r / |y_r|) - gamma)`.

    Args:
        chosen: l_c, summed log-probability in nats.
        rejected: l_r.
        chosen_tokens: |y_c|, at least 1.
        rejected_tokens: |y_r|.
        beta: reward units per nat and token; the paper's 2 to 2.5, up to 10 for instructed models.
        gamma: margin that chosen must win by, in reward units, at least 0; the paper's is 0.1 to 0.8 of beta.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.

    Source: Meng et al. 2024, "SimPO: Simple Preference Optimization with a Reference-Free Reward" [160], equation 6.
    """
    check_sides("simpo", chosen=chosen, rejected=rejected, tokens=chosen_tokens, others=rejected_tokens)
    check_beta("simpo", beta)
    check_number("simpo", "gamma", gamma, low=0)
    check_number("simpo", "label_smoothing", label_smoothing, low=0, high=0.5, within="[)")
    lead = beta * (chosen / chosen_tokens - rejected / rejected_tokens) - gamma
    return smoothed(lead, label_smoothing=label_smoothing)


def cpo(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Pairs:
    """`-log sigmoid(beta (l_c - l_r))`: DPO with a uniform reference.

    Args:
        chosen: l_c, summed log-probability in nats.
        rejected: l_r.
        beta: reward units per nat.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is outside its range.

    Source: Xu et al. 2024, "Contrastive Preference Optimization", equation 5, without its likelihood of chosen.
    """
    check_sides("cpo", chosen=chosen, rejected=rejected)
    check_beta("cpo", beta)
    check_number("cpo", "label_smoothing", label_smoothing, low=0, high=0.5, within="[)")
    return smoothed(beta * (chosen - rejected), label_smoothing=label_smoothing)


def odds_ratio(
    chosen: Pairs, rejected: Pairs, chosen_tokens: Pairs, rejected_tokens: Pairs, *, beta: float = 0.1
) -> Pairs:
    """`-beta log sigmoid(log odds_c - log odds_r)`, odds `p / (1 - p)` of the geometric mean probability a token.

    Args:
        chosen: l_c, summed log-probability in nats, below 0.
        rejected: l_r.
        chosen_tokens: |y_c|, at least 1.
        rejected_tokens: |y_r|.
        beta: the paper's lambda.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if beta is not positive.

    Source: Hong et al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model", equation 7, without
    its likelihood of chosen.
    """
    check_sides("odds_ratio", chosen=chosen, rejected=rejected, tokens=chosen_tokens, others=rejected_tokens)
    check_beta("odds_ratio", beta)
    lead = _log_odds(chosen / chosen_tokens) - _log_odds(rejected / rejected_tokens)
    return -beta * F.logsigmoid(lead)


def _log_odds(logp: Pairs) -> Pairs:
    """`log p - log(1 - p)`; a probability of 1 to rounding counts as the largest below 1."""
    below = logp.clamp(max=-torch.finfo(logp.dtype).eps)
    # two forms of log(1 - exp(x)), each exact where the other cancels (Maechler 2012); the one that is not taken gets
    # a harmless argument, since NaN would pass through `where` into the gradient
    near = below > -0.6931471805599453
    small = torch.log(-torch.expm1(torch.where(near, below, -torch.ones_like(below))))
    large = torch.log1p(-torch.exp(torch.where(near, -torch.ones_like(below), below)))
    return logp - torch.where(near, small, large)
