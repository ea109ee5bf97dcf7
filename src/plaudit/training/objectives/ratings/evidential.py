"""Ratings under a normal-inverse-gamma distribution: noise and ignorance from one pass.

Differs from the paper: nothing in the formulas; the parameters are those of `plaudit.rewards.readers.evidential`. What
this head calls epistemic is not a posterior: it is fitted by the regulariser, whose coefficient sets its size.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.rewards.readers.evidential import evidential_parameters
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def evidential_rating(
    outputs: Float[Tensor, "n 4"],
    *,
    items: Int[Tensor, " m"],
    ratings: Float[Tensor, " m"],
    evidence_coef: float = 0.01,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of the negative log-likelihood and `evidence_coef * |rating - gamma| * (2 nu + alpha)`, in nats.

    The rating has a Student t distribution with `2 alpha` degrees of freedom, location gamma and squared scale
    `beta (1 + nu) / (nu alpha)`. The second term takes evidence away where the prediction is wrong.

    Args:
        outputs: of all sequences of the row: gamma, and nu, alpha, beta before their `softplus`.
        items: indices of the m rated sequences.
        ratings: of each item.
        evidence_coef: at least 0.
        weight: weight of each rating, default 1.

    Returns:
        The sum over the m items; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if the coefficient is negative or a rating is not finite.

    Source: Amini et al. 2020, "Deep Evidential Regression".
    """
    check_number("evidential_rating", "evidence_coef", evidence_coef, low=0)
    if outputs.ndim != 2 or outputs.shape[1] != 4:
        raise ShapeError(f"evidential_rating: outputs have shape {tuple(outputs.shape)}; they must be (n, 4)")
    check_columns("evidential_rating", "items", items.numel(), ratings=ratings, weight=weight)
    check_values("evidential_rating", "ratings", ratings)
    gamma, nu, alpha, beta = (part[items] for part in evidential_parameters(outputs))
    error = ratings - gamma
    omega = 2 * beta * (1 + nu)
    # alpha log omega - (alpha + 1/2) log(nu e^2 + omega), with the ratio of the two inside one log1p
    likelihood = (
        0.5 * (torch.log(nu) - math.log(math.pi) - torch.log(omega))
        - (alpha + 0.5) * torch.log1p(nu * error.square() / omega)
        + torch.lgamma(alpha + 0.5)
        - torch.lgamma(alpha)
    )
    return weighted_sum(-likelihood + evidence_coef * error.abs() * (2 * nu + alpha), weight)
