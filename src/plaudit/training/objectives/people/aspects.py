"""Several aspects of a completion: their regression where they are known, and the weights that a prompt gives them.

Differs from the papers: a sum over what is known [133]; the gate is fitted together with the aspects, in one backbone,
where ArmoRM fits it afterwards on frozen ones. So that the aspects keep meaning what the raters said, no gradient of
the preferences reaches them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_pairs
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.ratings.regression import squared_rating


def aspect_regression(outputs: Float[Tensor, "n k"], *, ratings: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Squared distance of outputs and ratings over the aspects that are known, divided by k.

    Args:
        outputs: an output an aspect.
        ratings: brought to mean 0 and deviation 1; NaN where nobody rated the aspect.

    Returns:
        `sum_{i, a known} (outputs_ia - ratings_ia)^2 / k`; 0 where nothing is known.

    Raises:
        ShapeError: if the shapes differ.

    Source: Wang et al. 2024, "Arithmetic Control of LLMs ... Directional Preference Alignment", section 3.1 [133].
    """
    if outputs.shape != ratings.shape:
        raise ShapeError(f"aspect_regression: ratings are {tuple(ratings.shape)} for outputs {tuple(outputs.shape)}")
    known = ratings.isfinite()
    items = torch.arange(outputs.shape[0], device=outputs.device)
    given = torch.where(known, ratings, torch.zeros_like(ratings))
    return squared_rating(outputs, items=items, ratings=given, known=known) / max(outputs.shape[1], 1)


def gated_scores(
    outputs: Float[Tensor, "n k"], gates: Float[Tensor, "n k"], *, log_scale: Float[Tensor, ""] | float = 0.0
) -> Float[Tensor, " n"]:
    """`exp(log_scale) * sum_a softmax(gates)_a outputs_a`: what a prompt's weights make of the aspects.

    Args:
        outputs: an output an aspect.
        gates: a logit an aspect, read at the end of the prompt.
        log_scale: of the score; weights that add up to 1 cannot say how sure a preference is.

    Source: Wang et al. 2024, "Interpretable Preferences via Multi-Objective Reward Modeling" (ArmoRM), equation 3.
    """
    scale = torch.as_tensor(log_scale, dtype=outputs.dtype, device=outputs.device).exp()
    return scale * (F.softmax(gates, dim=-1) * outputs).sum(dim=-1)


def gated_bradley_terry(
    outputs: Float[Tensor, "n k"],
    pairs: Int[Tensor, "m 2"],
    *,
    gates: Float[Tensor, "n k"],
    log_scale: Float[Tensor, ""] | float = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Bradley-Terry on the gated score; gradients reach the gates and the scale, not the aspects.

    Args:
        outputs: an output an aspect.
        pairs: indices into `outputs`: chosen, rejected.
        gates: a logit an aspect.
        log_scale: of the score.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs, in nats; 0 for none. With one aspect and scale 1 it is Bradley-Terry's value.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Wang et al. 2024 (ArmoRM), equation 4.
    """
    check_pairs("gated_bradley_terry", pairs, weight=weight)
    if gates.shape != outputs.shape:
        raise ShapeError(f"gated_bradley_terry: gates are {tuple(gates.shape)} for outputs {tuple(outputs.shape)}")
    return bradley_terry(gated_scores(outputs.detach(), gates, log_scale=log_scale), pairs, weight=weight)
