"""Autoregressive reward models: a preference is a difference of log-likelihoods, without any reference.

Differs from the paper: a sum, so that any division into rows adds up.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, weighted_sum


def autoregressive_loss(
    logp: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, beta: float = 0.1,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over pairs of `-log sigmoid(beta * (log pi_r(chosen) - log pi_r(rejected)))`.

    Args:
        logp: sum over a completion's tokens of log pi_r, in nats.
        pairs: indices of chosen and rejected.
        beta: log-odds per nat.
        weight: of each pair, default 1.

    Returns:
        The weighted sum; 0 for no pairs.

    Raises:
        ShapeError: if pairs are not (m, 2) or weights not (m,).
        InputError: if beta is not positive.

    Source: Xu et al. 2024, "GenARM: Reward Guided Generation with Autoregressive Reward Model for Test-time Alignment".
    """
    check_pairs("autoregressive_loss", pairs, weight=weight)
    check_number("autoregressive_loss", "beta", beta, low=0.0, within="(]")
    return weighted_sum(-F.logsigmoid(beta * (logp[pairs[:, 0]] - logp[pairs[:, 1]])), weight)
