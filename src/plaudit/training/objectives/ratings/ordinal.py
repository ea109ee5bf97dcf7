"""Ratings as ordered levels: one score and thresholds between the levels, which say nothing of their distances.

Differs from the paper: nothing; the thresholds are parameters that live beside the head, made increasing by
`ordered_thresholds`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_columns, check_values, weighted_sum


def ordered_thresholds(free: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """The first number, then each further one adds `softplus` of itself: t increasing thresholds.

    Raises:
        InputError: if there are none.

    Source: McCullagh 1980, whose cut points must increase; the parametrisation is ours.
    """
    if not free.numel():
        raise InputError("ordered_thresholds: no thresholds; c levels need c - 1")
    return torch.cat([free[:1], F.softplus(free[1:])]).cumsum(dim=0)


def ordinal_rating(
    scores: Float[Tensor, " n"],
    *,
    items: Int[Tensor, " m"],
    levels: Int[Tensor, " m"],
    thresholds: Float[Tensor, " t"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log(sigmoid(s - threshold_l) - sigmoid(s - threshold_{l+1}))`, in nats: proportional odds.

    The probability of a level above l is `sigmoid(s - threshold_{l+1})`; outside the outer thresholds it is 1 and 0.

    Args:
        scores: scores of all sequences of the row.
        items: indices of the m rated sequences.
        levels: observed, 0 to t.
        thresholds: increasing, in score units; of t thresholds there are t + 1 levels.
        weight: weight of each rating, default 1.

    Returns:
        The sum over the m items; 0 for none. With one threshold it is logistic regression.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if thresholds do not increase or a level is not one of the t + 1.

    Source: McCullagh 1980, "Regression Models for Ordinal Data".
    """
    check_columns("ordinal_rating", "items", items.numel(), levels=levels, weight=weight)
    if not thresholds.numel() or not bool((thresholds[1:] > thresholds[:-1]).all()):
        raise InputError(f"ordinal_rating: thresholds are {thresholds.tolist()}; they must increase, at least one")
    check_values("ordinal_rating", "levels", levels, low=0, high=thresholds.numel())
    given, last = scores[items], thresholds.numel() - 1
    lower, upper = thresholds[(levels - 1).clamp(min=0)], thresholds[levels.clamp(max=last)]
    bottom, top = levels == 0, levels == last + 1
    nothing = torch.zeros_like(given)
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and an outer level lacks one of the factors
    width = torch.where(bottom | top, torch.ones_like(given), upper - lower)
    between = torch.where(bottom | top, nothing, torch.log(-torch.expm1(-width)))
    above = torch.where(bottom, nothing, F.logsigmoid(given - lower))
    below = torch.where(top, nothing, F.logsigmoid(upper - given))
    return weighted_sum(-(above + below + between), weight)
