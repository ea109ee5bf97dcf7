"""Pairs whose label is a probability, for one score or for several aspects at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_pairs, check_values, weighted_sum


def soft_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    target: Float[Tensor, " m"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-t log sigmoid(d) - (1 - t) log sigmoid(-d)` with `d = scores[first] - scores[second]`, in nats.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: first, second.
        target: probability that the first one is better, in [0, 1]; 1 is Bradley-Terry, 0.5 a tie.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none. Its minimum is the entropy of the targets, not 0.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a target is outside [0, 1].

    Source: Bradley and Terry 1952 with a share of wins as the label; soft labels in [13].
    """
    check_pairs("soft_bradley_terry", pairs, target=target, weight=weight)
    check_values("soft_bradley_terry", "target", target, low=0, high=1)
    lead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    return weighted_sum(_cross_entropy(lead, target), weight)


def soft_bradley_terry_aspects(
    outputs: Float[Tensor, "n k"],
    pairs: Int[Tensor, "m 2"],
    *,
    target: Float[Tensor, "m k"],
    known: Bool[Tensor, "m k"] | None = None,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`soft_bradley_terry` of each of k aspects, summed over pairs and over the aspects that are known.

    Args:
        outputs: a score for each sequence and aspect.
        pairs: indices into `outputs`: first, second.
        target: probability that the first one is better in that aspect, in [0, 1]; anything where not known.
        known: True where an aspect of a pair was judged, default everywhere.
        weight: weight of each pair, default 1.

    Returns:
        The sum; 0 where nothing is known.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a known target is outside [0, 1].

    Source: Bradley and Terry 1952, one model an aspect.
    """
    check_pairs("soft_bradley_terry_aspects", pairs, weight=weight)
    wanted = (pairs.shape[0], outputs.shape[1])
    for name, table in (("target", target), ("known", known)):
        if table is not None and table.shape != wanted:
            raise ShapeError(f"soft_bradley_terry_aspects: {name} has shape {tuple(table.shape)}; it must be {wanted}")
    if known is not None:  # what was not judged may hold NaN, which times zero would still be NaN
        target = torch.where(known, target, torch.full_like(target, 0.5))
    check_values("soft_bradley_terry_aspects", "target", target, low=0, high=1)
    loss = _cross_entropy(outputs[pairs[:, 0]] - outputs[pairs[:, 1]], target)
    if known is not None:
        loss = torch.where(known, loss, torch.zeros_like(loss))
    return weighted_sum(loss.sum(dim=1), weight)


def _cross_entropy(lead: Tensor, target: Tensor) -> Tensor:
    return -target * F.logsigmoid(lead) - (1 - target) * F.logsigmoid(-lead)
