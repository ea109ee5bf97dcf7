"""Bradley-Terry over several sources, weighed so that no source pays for another's gain [130].

Differs from the paper: each packed row weighs its own sources, from the gradients of that row, and there is no average
of gradients over steps (the paper's default likewise keeps the newest only); several processes each weigh their own.
The paper multiplies by the number of sources; here equal weights give the mean over sources, which moves the learning
rate and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_pairs
from plaudit.training.objectives.people.minimum_norm import Normalise, min_norm_weights, scaled_gradients


def source_losses(
    scores: Float[Tensor, " n"], pairs: Int[Tensor, "m 2"], *, source: Float[Tensor, " m"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, " t"]:  # fmt: skip
    """Mean Bradley-Terry loss of each source that occurs, in the order of their numbers, in nats.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        source: a number a pair: pairs with the same number are of one source.
        weight: weight of each pair, default 1; a source's must not all be zero.

    Raises:
        ShapeError: if shapes do not belong together.
    """
    check_pairs("source_losses", pairs, source=source, weight=weight)
    losses = -F.logsigmoid(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    share = torch.ones_like(losses) if weight is None else weight
    of = [source == s for s in torch.unique(source)]
    means = [(losses[at] * share[at]).sum() / share[at].sum() for at in of]
    return torch.stack(means) if means else losses.new_zeros(0)


def balanced_sources(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    source: Float[Tensor, " m"],
    parameters: Sequence[Tensor],
    normalise: Normalise = "none",
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`W sum_i w_i L_i`: mean losses L_i of the sources under min-norm weights w, times the weight W of all pairs.

    The weights come from the gradients of each `L_i` with respect to the head alone: the backbone would cost a backward
    pass a source. They are constants to the optimiser.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        source: a number a pair: pairs with the same number are of one source.
        parameters: the head's, on which `scores` depend.
        normalise: see `scaled_gradients`.
        weight: weight of each pair, default 1.

    Returns:
        A sum like Bradley-Terry's, which it equals where there is one source; 0 for no pairs.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if there are no parameters, or a gradient is not finite.

    Source: Zeng et al. 2023, "On Diversified Preferences of Large Language Model Alignment" (MORE) [130].
    """
    if not parameters:
        raise InputError("balanced_sources: the model has no `score` head whose gradients count; use a decoder")
    losses = source_losses(scores, pairs, source=source, weight=weight)
    total = pairs.shape[0] if weight is None else weight.sum()
    if losses.numel() == 0:
        return scores.sum() * 0.0
    if losses.numel() == 1:
        return total * losses[0]
    rows = [torch.autograd.grad(loss, list(parameters), retain_graph=True) for loss in losses]
    gradients = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    found = min_norm_weights(scaled_gradients(gradients, losses.detach(), normalise=normalise))
    return total * (found.to(losses) * losses).sum()
