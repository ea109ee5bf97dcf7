"""Ratings as draws from a Gaussian whose mean and variance are both predicted.

Differs from the paper: the logarithm of the variance is clamped (`plaudit.rewards.readers.gaussian`), since one sample
predicted exactly would otherwise own the loss. With `beta` above 0 an item's loss is weighed by its own variance to
that power, so that items of large error are not written off as noise.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.rewards.readers.gaussian import gaussian_parameters
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def gaussian_rating(
    outputs: Float[Tensor, "n 2"],
    *,
    items: Int[Tensor, " m"],
    ratings: Float[Tensor, " m"],
    beta: float = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `variance^beta * (log(2 pi variance) + (rating - mean)^2 / variance) / 2`, in nats for beta 0.

    Args:
        outputs: mean and logarithm of the variance of all sequences of the row.
        items: indices of the m rated sequences; one sequence may have several ratings.
        ratings: of each item.
        beta: in [0, 1]; 0 is the likelihood, 0.5 the paper's choice; the factor has no gradient.
        weight: weight of each rating, default 1.

    Returns:
        The sum over the m items; 0 for none. May be negative.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if beta is outside [0, 1] or a rating is not finite.

    Source: Nix and Weigend 1994; Seitzer et al. 2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation".
    """
    check_number("gaussian_rating", "beta", beta, low=0, high=1)
    if outputs.ndim != 2 or outputs.shape[1] != 2:
        raise ShapeError(f"gaussian_rating: outputs have shape {tuple(outputs.shape)}; they must be (n, 2)")
    check_columns("gaussian_rating", "items", items.numel(), ratings=ratings, weight=weight)
    check_values("gaussian_rating", "ratings", ratings)
    mean, log_variance = (part[items] for part in gaussian_parameters(outputs))
    loss = 0.5 * (math.log(2 * math.pi) + log_variance + (ratings - mean).square() * torch.exp(-log_variance))
    if beta:
        loss = loss * torch.exp(beta * log_variance.detach())
    return weighted_sum(loss, weight)
