"""Losses that know where zero is: each completion's own reward `beta x` counts, not the difference alone.

Arguments as in `difference`: log-ratios of chosen and rejected in nats, (m,) each; a loss a pair comes back. A baseline
that both share would be told apart: these do not forget whether chosen became likelier than under the reference.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_beta, check_sides

Pairs = Float[Tensor, " m"]


def nca_pair(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`-log sigmoid(r_c) - (log sigmoid(-r_c) + log sigmoid(-r_r)) / 2`, with `r = beta x`.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: Chen et al. 2024, "Noise Contrastive Alignment of Language Models with Explicit Rewards".
    """
    check_sides("nca_pair", chosen=chosen, rejected=rejected)
    check_beta("nca_pair", beta)
    up, down = beta * chosen, beta * rejected
    return -F.logsigmoid(up) - 0.5 * F.logsigmoid(-up) - 0.5 * F.logsigmoid(-down)


def bco_pair(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`-log sigmoid(r_c) - log sigmoid(-r_r)`: a classifier of wanted and unwanted whose logit is the reward.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: Jung et al. 2024, "Binary Classifier Optimization for Large Language Model Alignment". Differs from the
    paper: without its shift of the rewards, as for pairs.
    """
    check_sides("bco_pair", chosen=chosen, rejected=rejected)
    check_beta("bco_pair", beta)
    return -F.logsigmoid(beta * chosen) - F.logsigmoid(-beta * rejected)


def apo_zero(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`1 - sigmoid(r_c) + sigmoid(r_r)`: chosen up, rejected down; for data that are better than the policy.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: D'Oosterlinck et al. 2024, "Anchored Preference Optimization and Contrastive Revisions", equation 7.
    """
    check_sides("apo_zero", chosen=chosen, rejected=rejected)
    check_beta("apo_zero", beta)
    return torch.sigmoid(-beta * chosen) + torch.sigmoid(beta * rejected)


def apo_down(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`sigmoid(r_c) + 1 - sigmoid(r_c - r_r)`: both down, rejected further; for data that are worse than the policy.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: reward units per nat.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: D'Oosterlinck et al. 2024, "Anchored Preference Optimization and Contrastive Revisions", equation 8.
    """
    check_sides("apo_down", chosen=chosen, rejected=rejected)
    check_beta("apo_down", beta)
    return torch.sigmoid(beta * chosen) + torch.sigmoid(-beta * (chosen - rejected))


def sppo_hard(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1) -> Pairs:
    """`(x_c - 1 / (2 beta))^2 + (x_r + 1 / (2 beta))^2`: log-ratios are pulled to win rates less one half, over beta.

    Args:
        chosen: x_c, log-ratios in nats.
        rejected: x_r.
        beta: the paper's 1 / eta.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if beta is not positive.

    Source: Wu et al. 2024, "Self-Play Preference Optimization for Language Model Alignment", equation 4.7. Differs from
    the paper: win rates are 1 and 0, the labels of the pair.
    """
    check_sides("sppo_hard", chosen=chosen, rejected=rejected)
    check_beta("sppo_hard", beta)
    return (chosen - 0.5 / beta).square() + (rejected + 0.5 / beta).square()
