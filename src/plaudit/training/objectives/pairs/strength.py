"""Objectives that use how strongly one completion was preferred: scaled Bradley-Terry, regression, and both [29].

Differs from the paper: there, "combined" is a sequence (fit a regression to ratings, start scaled Bradley-Terry from
it, extrapolate the weights). The sequence is available too: `plaudit.training.objectives.ratings` for the first fit and
`extrapolated` for the last step; `combined_strength` puts the two losses of a pair into one sum instead, with the
signed gap as the rating, so that a single fit learns order and size.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, check_values, weighted_sum


def scaled_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    strength: Float[Tensor, " m"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-strength * log sigmoid(scores[chosen] - scores[rejected])`, in nats.

    A pair of strength 3 counts as three pairs; unlike a margin, strength does not move the optimum of a pair that has
    both outcomes.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        strength: how strongly the chosen one is preferred, at least 0 (the paper: 1 slightly, 2, 3 much better).
        weight: weight of each pair besides, default 1.

    Returns:
        The sum over the m pairs; 0 for none. With all strengths 1 it is Bradley-Terry.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a strength is negative or not finite.

    Source: Wang et al. 2024, "HelpSteer2-Preference" [29].
    """
    check_pairs("scaled_bradley_terry", pairs, strength=strength, weight=weight)
    check_values("scaled_bradley_terry", "strength", strength, low=0)
    lead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    return weighted_sum(-strength * F.logsigmoid(lead), weight)


def margin_regression(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    strength: Float[Tensor, " m"],
    scale: float = 1.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `(scores[chosen] - scores[rejected] - scale * strength)^2`.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        strength: signed gap of the labels; negative where the second one is better.
        scale: score units of one unit of strength, above 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a strength is not finite or the scale is not above 0.

    Source: Wang et al. 2024, "HelpSteer2-Preference" [29], on gaps instead of single ratings.
    """
    check_pairs("margin_regression", pairs, strength=strength, weight=weight)
    check_values("margin_regression", "strength", strength)
    check_number("margin_regression", "scale", scale, low=0, within="(]")
    lead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    return weighted_sum((lead - scale * strength).square(), weight)


def combined_strength(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    strength: Float[Tensor, " m"],
    regression_coef: float = 0.1,
    scale: float = 1.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`scaled_bradley_terry + regression_coef * margin_regression`, over the same pairs.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        strength: how strongly the chosen one is preferred, at least 0.
        regression_coef: nats per squared score unit, at least 0; 0 is `scaled_bradley_terry`.
        scale: score units of one unit of strength, above 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a number is outside its range.

    Source: Wang et al. 2024, "HelpSteer2-Preference" [29]; the sum is ours, see the module.
    """
    check_number("combined_strength", "regression_coef", regression_coef, low=0)
    order = scaled_bradley_terry(scores, pairs, strength=strength, weight=weight)
    size = margin_regression(scores, pairs, strength=strength, scale=scale, weight=weight)
    return order + regression_coef * size
