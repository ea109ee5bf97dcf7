"""A mixture of experts whose shares the prompt decides, and the loss that fits the shares to a user's pairs [139].

Differs from the paper: experts and router are trained on one backbone that is fitted with them, where the paper's is
frozen. The router reads the end of the prompt, so whatever says who is asking must stand in the prompt. The router is
as wide as the backbone (the paper's hidden layer has 128 units).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_pairs, check_values, weighted_sum


def mixture_bradley_terry(
    outputs: Float[Tensor, "n k"],
    pairs: Int[Tensor, "m 2"],
    *,
    logits: Float[Tensor, "m k"],
    entropy_coef: float = 0.5,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log-likelihood of a mixture of Bradley-Terry models, with a pull towards equal shares.

    With `f = softmax(logits)` and `d_k` the difference of expert k's scores a pair adds
    `-log sum_k f_k sigmoid(d_k) + entropy_coef * sum_k f_k log f_k`, in nats. One expert is Bradley-Terry. Without the
    second term one expert may take all prompts before the others have learned anything.

    Args:
        outputs: a score an expert, of all sequences of the row.
        pairs: indices into `outputs`: chosen, rejected.
        logits: of the experts' shares, read from each pair's prompt.
        entropy_coef: at least 0; its term is least, `-entropy_coef * log k`, where the shares are equal.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if the coefficient is negative.

    Source: Shen et al. 2025, "MiCRo: Mixture Modeling and Context-aware Routing", equation 6 [139].
    """
    check_pairs("mixture_bradley_terry", pairs, weight=weight)
    check_number("mixture_bradley_terry", "entropy_coef", entropy_coef, low=0)
    if logits.shape != (pairs.shape[0], outputs.shape[1]):
        wanted = (pairs.shape[0], outputs.shape[1])
        raise ShapeError(f"mixture_bradley_terry: logits have shape {tuple(logits.shape)}; they must be {wanted}")
    share = F.log_softmax(logits, dim=-1)
    won = F.logsigmoid(outputs[pairs[:, 0]] - outputs[pairs[:, 1]])
    loss = -torch.logsumexp(share + won, dim=-1)
    if entropy_coef:
        loss = loss + entropy_coef * (share.exp() * share).sum(dim=-1)
    return weighted_sum(loss, weight)


def router_cross_entropy(
    logits: Float[Tensor, "m k"], *, target: Float[Tensor, "m k"], weight: Float[Tensor, " m"] | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy of the router's shares to Hedge's, `-sum_k target_k log softmax(logits)_k`, in nats.

    The second stage: with a few pairs whose prompt says who is asking, the experts stay and the router moves towards
    `plaudit.rewards.people.hedge`'s shares.

    Args:
        logits: of the router, for each pair's prompt.
        target: shares that the pair speaks for; rows add up to 1.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a share is outside [0, 1].

    Source: Shen et al. 2025, algorithm 1 [139].
    """
    if logits.shape != target.shape:
        raise ShapeError(
            f"router_cross_entropy: target has shape {tuple(target.shape)} for logits of {tuple(logits.shape)}"
        )
    check_values("router_cross_entropy", "target", target, low=0, high=1)
    return weighted_sum(-(target * F.log_softmax(logits, dim=-1)).sum(dim=-1), weight)
