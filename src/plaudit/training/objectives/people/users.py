"""The two parts of the variational user model's loss besides Bradley-Terry: the divergence, and its weight in time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number


def latent_divergence(mean: Float[Tensor, "u d"], log_variance: Float[Tensor, "u d"]) -> Float[Tensor, " u"]:
    """`KL(N(mean, exp(log_variance)) | N(0, I)) = sum_j (exp(v_j) + mean_j^2 - 1 - v_j) / 2` of each user, in nats.

    Args:
        mean: of each user's latent.
        log_variance: logarithm of the variances.

    Raises:
        ShapeError: if the shapes differ.

    Source: Kingma and Welling 2014, appendix B; Poddar et al. 2024 [145].
    """
    if mean.shape != log_variance.shape:
        raise ShapeError(f"latent_divergence: mean is {tuple(mean.shape)}, log_variance {tuple(log_variance.shape)}")
    return (torch.exp(log_variance) + mean.square() - 1 - log_variance).sum(dim=-1) / 2


def cyclical_weight(progress: float, *, cycles: int = 4, ramp: float = 0.5) -> float:
    """Share of the divergence's weight that counts at a point of training: `cycles` times a cosine up to 1, then 1.

    At the beginning of each cycle the divergence is free, so that the latent is used before it is made to be short.

    Args:
        progress: share of training that is done, 0 to 1.
        cycles: at least 1.
        ramp: share of a cycle in which the weight rises, in (0, 1].

    Raises:
        InputError: if a number is outside its range.

    Source: Fu et al. 2019, "Cyclical Annealing Schedule"; the cosine form as in Poddar et al. 2024 [145].
    """
    check_number("cyclical_weight", "progress", progress, low=0, high=1)
    check_number("cyclical_weight", "cycles", cycles, low=1)
    check_number("cyclical_weight", "ramp", ramp, low=0, high=1, within="(]")
    place = 1.0 if progress == 1 else (progress * cycles) % 1.0
    return 0.5 * (1 - math.cos(math.pi * min(place / ramp, 1.0)))
