"""Pairs: DPO and NCA on a policy's log-ratios.

Differs from the papers: sums, so that any division into rows adds up; NCA with lists of two.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, weighted_sum


def implicit_dpo(
    log_ratio: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, beta: float = 0.05,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over pairs of `-log sigmoid(beta * (x_chosen - x_rejected))`.

    Args:
        log_ratio: x, sum over a completion's tokens of log pi - log pi_ref, in nats.
        pairs: indices of chosen and rejected.
        beta: reward units per nat.
        weight: of each pair, default 1.

    Returns:
        The weighted sum; 0 for no pairs.

    Raises:
        ShapeError: if pairs are not (m, 2) or weights not (m,).
        InputError: if beta is not positive.

    Source: Rafailov et al. 2023, "Direct Preference Optimization".
    """
    check_pairs("implicit_dpo", pairs, weight=weight)
    check_number("implicit_dpo", "beta", beta, low=0.0, within="(]")
    return weighted_sum(-F.logsigmoid(beta * (log_ratio[pairs[:, 0]] - log_ratio[pairs[:, 1]])), weight)


def implicit_nca(
    log_ratio: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, beta: float = 0.05,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over pairs of `-log sigmoid(r_c) - (log sigmoid(-r_c) + log sigmoid(-r_r)) / 2`, with `r = beta * x`.

    Unlike DPO it fixes rewards themselves and not their difference alone: noise-contrastive estimation of the tilt.

    Args:
        log_ratio: x, as in `implicit_dpo`.
        pairs: indices of chosen and rejected.
        beta: reward units per nat.
        weight: of each pair, default 1.

    Returns:
        The weighted sum; 0 for no pairs.

    Raises:
        ShapeError: if pairs are not (m, 2) or weights not (m,).
        InputError: if beta is not positive.

    Source: Chen et al. 2024, "Noise Contrastive Alignment of Language Models with Explicit Rewards".
    """
    check_pairs("implicit_nca", pairs, weight=weight)
    check_number("implicit_nca", "beta", beta, low=0.0, within="(]")
    chosen, rejected = beta * log_ratio[pairs[:, 0]], beta * log_ratio[pairs[:, 1]]
    return weighted_sum(-F.logsigmoid(chosen) - 0.5 * F.logsigmoid(-chosen) - 0.5 * F.logsigmoid(-rejected), weight)
