"""Several rewards inside one model that should agree on pairs without labels [118].

Differs from the paper: of which only summaries were at hand, so the coefficients are ours, and the distance between two
internal rewards is the symmetric Kullback-Leibler divergence, `(p - q)(logit p - logit q)`. With more than two, it is
averaged over their pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_columns, check_number, weighted_sum


def order_averaged(forward: Float[Tensor, " m"], backward: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Logit that the first is better, from a judge that saw both orders.

    The probabilities `sigmoid(forward)` and `sigmoid(-backward)` are averaged, so that exchanging the two completions
    (which exchanges the arguments and turns the answer round) negates the result.

    Args:
        forward: logit that the completion shown first is better, the pair shown as it is.
        backward: the same, the pair shown in reverse.

    Returns:
        `log(p / (1 - p))` of the averaged probability p.

    Source: SCIR, P_J averaged over presentation orders [118].
    """
    yes = torch.logaddexp(F.logsigmoid(forward), F.logsigmoid(-backward))
    no = torch.logaddexp(F.logsigmoid(-forward), F.logsigmoid(backward))
    return yes - no


def internal_agreement(logits: Float[Tensor, "models m"]) -> Bool[Tensor, " m"]:
    """True where all internal rewards pick the same winner; a logit of exactly 0 picks none.

    Source: SCIR, dynamic selection of consistent pairs [118].
    """
    return (logits > 0).all(dim=0) | (logits < 0).all(dim=0)


def internal_consistency(
    logits: Float[Tensor, "models m"],
    *,
    consistency_coef: float = 1.0,
    entropy_coef: float = 0.1,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over pairs of the disagreement and the indecision of the internal rewards, in nats.

    `consistency_coef * mean_{a<b} (p_a - p_b)(z_a - z_b) + entropy_coef * mean_a H(p_a)`, with `p = sigmoid(z)`.

    Args:
        logits: z of each internal reward (at least two) that the first of each pair is better.
        consistency_coef: at least 0.
        entropy_coef: at least 0; small, since alone it makes any opinion surer.
        weight: weight of each pair, default 1.

    Returns:
        At least 0; 0 only where all probabilities are the same and 0 or 1. The order within a pair does not matter.

    Raises:
        ShapeError: if `weight` does not have m entries.
        InputError: if there are fewer than two rewards or a coefficient is negative.

    Source: SCIR, consistency and confidence terms [118].
    """
    check_number("internal_consistency", "consistency_coef", consistency_coef, low=0)
    check_number("internal_consistency", "entropy_coef", entropy_coef, low=0)
    n = logits.shape[0]
    if n < 2:
        raise InputError(f"internal_consistency: logits of {n} internal rewards; give at least 2")
    first, second = torch.triu_indices(n, n, offset=1, device=logits.device)
    chance, size = logits.sigmoid(), logits.abs()
    apart = (chance[first] - chance[second]) * (logits[first] - logits[second])
    entropy = F.softplus(-size) + size * torch.sigmoid(-size)  # H is even in z; this form has no large terms to cancel
    check_columns("internal_consistency", "pairs", logits.shape[1], weight=weight)
    return weighted_sum(consistency_coef * apart.mean(dim=0) + entropy_coef * entropy.mean(dim=0), weight)


def self_consistent_preference(
    logits: Float[Tensor, "models m"],
    *,
    consistency_coef: float = 1.0,
    entropy_coef: float = 0.1,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`internal_consistency`, plus `-log sigmoid(|z_0|)` of the first reward on the pairs that all agree about.

    Args:
        logits: of each internal reward that the first of each pair is better; the first row is the one that learns from
            the agreed winner (the implicit reward of the policy).
        consistency_coef: at least 0.
        entropy_coef: at least 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over pairs. Where none agree, `internal_consistency` alone.

    Raises:
        ShapeError: if `weight` does not have m entries.
        InputError: if there are fewer than two rewards or a coefficient is negative.

    Source: SCIR, the whole loss [118].
    """
    agreed = internal_agreement(logits.detach())
    penalty = internal_consistency(logits, consistency_coef=consistency_coef, entropy_coef=entropy_coef, weight=weight)
    return weighted_sum(-F.logsigmoid(logits[0].abs()) * agreed, weight) + penalty
