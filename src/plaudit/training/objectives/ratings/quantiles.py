"""Several quantiles of what raters would say, which cannot cross.

Differs from the paper: the quantiles are a first value plus positive steps (`plaudit.rewards.readers.quantile`), where
quantile regression fits each alone and may cross them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.readers.quantile import quantiles
from plaudit.training.objectives.pairs.checking import check_columns, check_values, weighted_sum


def quantile_rating(
    outputs: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    ratings: Float[Tensor, " m"],
    levels: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9),
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over items and levels of the pinball loss `max(level * e, (level - 1) * e)`, `e = rating - quantile`.

    Args:
        outputs: of all sequences of the row: the lowest quantile, then steps before `softplus`.
        items: indices of the m rated sequences; one sequence may have several ratings.
        ratings: of each item.
        levels: k probabilities, increasing, within 0 and 1.
        weight: weight of each rating, default 1.

    Returns:
        The sum over items and levels; 0 for none. At level 0.5 alone, half the absolute error.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if the levels are not increasing within (0, 1), or a rating is not finite.

    Source: Koenker and Bassett 1978, "Regression Quantiles".
    """
    steps = list(levels)
    if not steps or any(a >= b for a, b in zip([0.0, *steps], [*steps, 1.0], strict=True)):
        raise InputError(f"quantile_rating: levels are {steps}; they must increase, above 0 and below 1")
    if outputs.shape[1] != len(steps):
        raise ShapeError(f"quantile_rating: {outputs.shape[1]} outputs a sequence for {len(steps)} levels")
    check_columns("quantile_rating", "items", items.numel(), ratings=ratings, weight=weight)
    check_values("quantile_rating", "ratings", ratings)
    found = quantiles(outputs)[items]
    error = ratings[:, None].to(found.dtype) - found
    level = torch.tensor(steps, dtype=found.dtype, device=found.device)
    return weighted_sum(torch.maximum(level * error, (level - 1) * error).sum(dim=1), weight)
