"""Pairs under scores that are Gaussian: a head of mean and variance learned from preferences alone.

Differs from the paper: Thurstone's case V fixes one variance; here each completion has its own, as in his general case
without correlation. Scale and shift are not determined by pairs: the variance is held to the range of
`plaudit.rewards.readers.gaussian`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.rewards.readers.gaussian import gaussian_parameters
from plaudit.training.objectives.pairs.checking import check_pairs, weighted_sum
from plaudit.training.objectives.ratings.normal import log_normal_cdf


def thurstone_pairs(
    outputs: Float[Tensor, "n 2"], pairs: Int[Tensor, "m 2"], *, weight: Float[Tensor, " m"] | None = None
) -> Float[Tensor, ""]:
    """Sum of `-log Phi((mean_c - mean_r) / sqrt(var_c + var_r))`, in nats.

    Args:
        outputs: mean and logarithm of the variance of every sequence of the row.
        pairs: indices into `outputs`: chosen, rejected.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `outputs` is not (n, 2), `pairs` not (m, 2), or there is not one weight a pair.

    Source: Thurstone 1927, "A law of comparative judgment".
    """
    check_pairs("thurstone_pairs", pairs, weight=weight)
    if outputs.ndim != 2 or outputs.shape[1] != 2:
        raise ShapeError(f"thurstone_pairs: outputs have shape {tuple(outputs.shape)}; they must be (n, 2)")
    mean, log_variance = gaussian_parameters(outputs)
    chosen, rejected = pairs[:, 0], pairs[:, 1]
    spread = torch.exp(0.5 * torch.logaddexp(log_variance[chosen], log_variance[rejected]))
    return weighted_sum(-log_normal_cdf((mean[chosen] - mean[rejected]) / spread), weight)
