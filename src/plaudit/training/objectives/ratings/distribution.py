"""Ratings as distributions over levels: cross-entropy with soft labels, and the fidelity of pairs [86].

Differs from the paper: the levels have a head of their own, so the loss of the other tokens and the penalty on
probability outside the levels fall away. The fidelity is computed from log-probabilities, without the paper's 1e-8: it
is 0 for equal probabilities, and its gradient stays finite where one saturates.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.checking import check_columns, check_pairs, check_values, weighted_sum
from plaudit.training.objectives.ratings.levels import level_moments
from plaudit.training.objectives.ratings.normal import log_normal_cdf


def distribution_rating(
    outputs: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    target: Float[Tensor, "m k"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `KL(target || softmax(outputs[items]))`, in nats.

    Args:
        outputs: logits of the k levels of all sequences of the row.
        items: indices of the m rated sequences.
        target: distribution over the levels, such as that of `soft_levels`; one-hot gives the usual cross-entropy.
        weight: weight of each rated sequence, default 1.

    Returns:
        The sum over the m items; 0 for none, and 0 where every prediction equals its target.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a target is negative or does not add up to 1.

    Source: You et al. 2025, "DeQA-Score" [86].
    """
    check_columns("distribution_rating", "items", items.numel(), weight=weight)
    if target.shape != (items.numel(), outputs.shape[1]):
        wanted = (items.numel(), outputs.shape[1])
        raise ShapeError(f"distribution_rating: target has shape {tuple(target.shape)}; it must be {wanted}")
    check_values("distribution_rating", "target", target, low=0)
    off = (target.sum(dim=1) - 1).abs() > 1e-4
    if bool(off.any()):
        place = int(off.nonzero()[0, 0])
        raise InputError(
            f"distribution_rating: target[{place}] adds up to {float(target[place].sum()):g}; it must add up to 1"
        )
    logp = outputs[items].log_softmax(dim=-1)
    divergence = F.kl_div(logp, target.to(logp.dtype), reduction="none").sum(dim=-1)
    return weighted_sum(divergence, weight)


def thurstone_fidelity(
    outputs: Float[Tensor, "n k"],
    pairs: Int[Tensor, "m 2"],
    *,
    mean: Float[Tensor, "m 2"],
    std: Float[Tensor, "m 2"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `1 - sqrt(P G) - sqrt((1 - P)(1 - G))`, with P predicted and G from the labels.

    Both are `Phi((mean_a - mean_b) / sqrt(var_a + var_b))`: the chance that a rating of a exceeds one of b.

    Args:
        outputs: logits of the k levels of all sequences of the row.
        pairs: indices into `outputs`; their order does not matter. Pair only what was rated on one scale.
        mean: of the ratings of both.
        std: of the ratings of both, at least 0; where both are 0 the greater mean is certain, equal ones get one half.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; each is at least 0 (to rounding), at most 1, and 0 only for P = G.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a mean is not finite or a std is negative.

    Source: You et al. 2025, "DeQA-Score", fidelity loss [86]; Tsai et al. 2007, "FRank"; Thurstone 1927.
    """
    check_pairs("thurstone_fidelity", pairs, weight=weight)
    for name, table in (("mean", mean), ("std", std)):
        if table.shape != pairs.shape:
            raise ShapeError(f"thurstone_fidelity: {name} has shape {tuple(table.shape)} for {pairs.shape[0]} pairs")
    check_values("thurstone_fidelity", "mean", mean)
    check_values("thurstone_fidelity", "std", std, low=0)
    centre, variance = level_moments(outputs)
    found = _quantile(centre[pairs], variance[pairs])
    label = _quantile(mean.to(found.dtype), std.to(found.dtype).square()).detach()
    alike = _root(found, label) + _root(-found, -label)
    return weighted_sum(1 - alike, weight)


def _root(found: Tensor, label: Tensor) -> Tensor:
    """`sqrt(Phi(found) Phi(label))`."""
    return torch.exp(0.5 * (log_normal_cdf(found) + log_normal_cdf(label)))


def _quantile(mean: Tensor, variance: Tensor) -> Tensor:
    """The standard normal quantile of the chance that the first exceeds the second."""
    tiny = torch.finfo(mean.dtype).eps
    return (mean[:, 0] - mean[:, 1]) / (variance.sum(dim=1) + tiny).sqrt()
