"""A pair read as one text, in both orders: the quadratic baseline of general preference.

Differs from the paper: a cross-encoder's two logits need not be opposite; here their half difference is the logit, so
the probabilities of both orders add up to 1, and a penalty may hold down what depends on the order alone.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, weighted_sum


def antisymmetric_logits(scores: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"]) -> Float[Tensor, " m"]:
    """`(scores[forward] - scores[backward]) / 2`: the logit that the completion shown first in `forward` is better.

    Args:
        scores: logit of every sequence that the completion shown first is better.
        pairs: indices into `scores`: one pair in its order, and in the reverse one.

    Raises:
        ShapeError: if `pairs` is not (m, 2).

    Source: Jiang et al. 2023, "LLM-Blender", PairRanker, with both orders in one logit.
    """
    check_pairs("antisymmetric_logits", pairs)
    return (scores[pairs[:, 0]] - scores[pairs[:, 1]]) / 2


def cross_encoder(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    order_coef: float = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log sigmoid((z - z') / 2) + order_coef * ((z + z') / 2)^2`, in nats.

    Args:
        scores: logit of every sequence (a prompt with two completions) that the completion shown first is better.
        pairs: indices into `scores`: the sequence that shows the chosen one first (z), and the one that shows the
            rejected one first (z').
        order_coef: at least 0; above 0, the mean of the two logits, which is the preference for a place, is held down.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or there is not one weight a pair.
        InputError: if the coefficient is negative.

    Source: Jiang et al. 2023, "LLM-Blender", PairRanker, with both orders in one logit.
    """
    check_pairs("cross_encoder", pairs, weight=weight)
    check_number("cross_encoder", "order_coef", order_coef, low=0)
    loss = -F.logsigmoid(antisymmetric_logits(scores, pairs))
    if order_coef:
        loss = loss + order_coef * ((scores[pairs[:, 0]] + scores[pairs[:, 1]]) / 2).square()
    return weighted_sum(loss, weight)
