"""Ratings as numbers: squared and Huber loss, for one rating or for several aspects.

Differs from the paper: a sum over the ratings that are known in place of a mean, so missing aspects and any
division into rows add up. Divide by the number of ratings in the whole step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def squared_rating(
    outputs: Float[Tensor, "n ..."],
    *,
    items: Int[Tensor, " m"],
    ratings: Float[Tensor, "m ..."],
    known: Bool[Tensor, "m ..."] | None = None,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `(outputs[items] - ratings)^2`.

    Args:
        outputs: (n,) scores, or (n, k) with one output an aspect, of all sequences of the row.
        items: indices of the m rated sequences.
        ratings: (m,) or (m, k), on the scale that the score is to have; anything where not known.
        known: True where there is a rating, default everywhere.
        weight: weight of each rated sequence, default 1.

    Returns:
        The sum over the ratings that are known; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a known rating is not finite.

    Source: Wang et al. 2024, "HelpSteer2-Preference", regression model [29].
    """
    error = _errors("squared_rating", outputs, items, ratings, known, weight)
    return weighted_sum(error.square().sum(dim=1), weight)


def huber_rating(
    outputs: Float[Tensor, "n ..."],
    *,
    items: Int[Tensor, " m"],
    ratings: Float[Tensor, "m ..."],
    delta: float = 1.0,
    known: Bool[Tensor, "m ..."] | None = None,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `e^2 / 2` for errors up to `delta` and `delta * (|e| - delta / 2)` beyond.

    Args:
        outputs: (n,) scores, or (n, k) with one output an aspect, of all sequences of the row.
        items: indices of the m rated sequences.
        ratings: (m,) or (m, k); anything where not known.
        delta: in units of the ratings, above 0; large ones give half of `squared_rating`.
        known: True where there is a rating, default everywhere.
        weight: weight of each rated sequence, default 1.

    Returns:
        The sum over the ratings that are known; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a known rating is not finite or delta is not above 0.

    Source: Huber 1964.
    """
    check_number("huber_rating", "delta", delta, low=0, within="(]")
    error = _errors("huber_rating", outputs, items, ratings, known, weight)
    loss = F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)
    return weighted_sum(loss.sum(dim=1), weight)


def _errors(
    who: str, outputs: Tensor, items: Tensor, ratings: Tensor, known: Tensor | None, weight: Tensor | None
) -> Tensor:
    """Errors (m, k), zero where the rating is not known."""
    wanted = (*items.shape, *outputs.shape[1:])
    for name, table in (("ratings", ratings), ("known", known)):
        if table is not None and table.shape != wanted:
            raise ShapeError(f"{who}: {name} has shape {tuple(table.shape)}; it must be {wanted}")
    check_columns(who, "items", items.numel(), weight=weight)
    given = outputs[items]
    if known is not None:  # what nobody rated may hold NaN: it takes the output's own value, without its gradient
        ratings = torch.where(known, ratings.to(given.dtype), given.detach())
    check_values(who, "ratings", ratings)
    error = given - ratings
    if known is not None:
        error = torch.where(known, error, torch.zeros_like(error))
    return error[:, None] if error.ndim == 1 else error
