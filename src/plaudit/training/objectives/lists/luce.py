"""Plackett-Luce: the likelihood of a whole order, or of its first places.

Differs from the paper: ties. A block of t completions of one rank fills t places in an unknown order. We average the
remaining strength instead of the orders (Efron's approximation, known from the Cox model, whose partial likelihood this
is): deterministic, exact where the tied scores are equal, otherwise an upper bound of the mean loss over all t! orders
(Jensen), and linear in t where the mean over orders is exponential. A random order would make the loss of a row a
matter of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.lists.rectangle import beside, rectangle
from plaudit.training.objectives.pairs.checking import check_columns, weighted_sum


def plackett_luce(
    scores: Float[Tensor, " n"],
    lists: Sequence[Int[Tensor, " _"]],
    *,
    tied: Sequence[Bool[Tensor, " _"]] | None = None,
    top: int | None = None,
    weight: Float[Tensor, " l"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over lists of `sum_i (logsumexp of the scores from place i on - score at place i)`, in nats.

    Each place is filled from those that are left, with probability proportional to `exp(score)`. Among t tied ones, the
    place with l of them already gone counts `log(rest + (1 - l / t) * block) - mean score of the block`.

    Args:
        scores: scores of all sequences of the row.
        lists: for each list the indices of its members, best first; tied ones next to each other in any order.
        tied: for each list, True where a member is level with the one before it; default none is.
        top: only the first so many places count, the others being worse in unknown order; default all.
        weight: weight of each list, default 1; `1 / (k - 1)` weighs a list of k as one choice.

    Returns:
        The sum over the lists; 0 for none. A list of two is a Bradley-Terry pair.

    Raises:
        ShapeError: if a list has fewer than two members, or columns do not belong to the lists.
        InputError: if a list names a sequence twice, its first member is tied, or `top` is below 1.

    Source: Luce 1959; Plackett 1975; Xia et al. 2008, "ListMLE"; Efron 1977, for ties.
    """
    index, present = rectangle("plackett_luce", scores.shape[0], lists, scores.device)
    check_columns("plackett_luce", "lists", len(lists), weight=weight)
    if top is not None and top < 1:
        raise InputError(f"plackett_luce: top is {top}; it must be at least 1")
    level = torch.zeros_like(present) if tied is None else beside("plackett_luce", "tied", tied, present, False)
    if bool(level[:, :1].any()):
        raise InputError("plackett_luce: the first member of a list is tied with the one before it; there is none")
    values = scores[index]
    block = (~level).cumsum(dim=1)
    same = (block[:, :, None] == block[:, None, :]) & present[:, None, :] & present[:, :, None]
    size = same.sum(dim=2).clamp(min=1)
    loss = _remaining(values, block, same, size, present) - (same * values[:, None, :]).sum(dim=2) / size
    places = torch.arange(present.shape[1], device=scores.device)
    counted = present & (places < (present.shape[1] if top is None else top))
    return weighted_sum(torch.where(counted, loss, torch.zeros_like(loss)).sum(dim=1), weight)


def _remaining(values: Tensor, block: Tensor, same: Tensor, size: Tensor, present: Tensor) -> Tensor:
    """`log(rest + (1 - l / t) * block)` at each place, by one logsumexp over the members that are left."""
    gone = torch.tril(same, diagonal=-1).sum(dim=2)
    share = torch.log1p(-gone.to(values.dtype) / size)
    later = (block[:, None, :] > block[:, :, None]) & present[:, None, :]
    terms = values[:, None, :] + torch.where(same, share[:, :, None], torch.zeros_like(share[:, :, None]))
    # finite where there is nothing, so that places without a member have a gradient of zero, not NaN
    return terms.masked_fill(~(same | later), torch.finfo(values.dtype).min).logsumexp(dim=2)
