"""Bradley-Terry with a steepness that grows with the margin of the label [77].

Differs from the paper: MM-RLHF scales the DPO logit by it; here the difference of scores takes the place of the
log-ratios, so the same rule serves a reward model. The margin is a label (another model's or a rater's), never the
difference being trained: that one would reward itself for being sure. The paper's DPO with it, and its reward model
that writes a critique first, are not built.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_number, check_pairs, check_values, weighted_sum


def dynamic_scale(
    margin: Float[Tensor, " m"], *, scale: float = 1.0, boost: float = 0.5, rate: float = 0.5
) -> Float[Tensor, " m"]:
    """`scale * (1 + boost * (1 - exp(-rate * margin)))`: from `scale` at margin 0 to `scale * (1 + boost)`.

    Args:
        margin: of each pair, at least 0, in the units of the labels.
        scale: at margin 0, above 0 (the paper's beta_0).
        boost: share by which the largest margins are steeper, at least 0.
        rate: per unit of margin, above 0.

    Returns:
        The steepness of each pair.

    Raises:
        InputError: if a number is outside its range.

    Source: Zhang et al. 2025, "MM-RLHF" [77].
    """
    check_values("dynamic_scale", "margin", margin, low=0)
    check_number("dynamic_scale", "scale", scale, low=0, within="(]")
    check_number("dynamic_scale", "boost", boost, low=0)
    check_number("dynamic_scale", "rate", rate, low=0, within="(]")
    return scale * (1 - boost * torch.expm1(-rate * margin))


def dynamic_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    margin: Float[Tensor, " m"],
    scale: float = 1.0,
    boost: float = 0.5,
    rate: float = 0.5,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log sigmoid(dynamic_scale(margin) * (scores[chosen] - scores[rejected]))`, in nats.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        margin: of each pair's label, at least 0.
        scale: steepness at margin 0, above 0.
        boost: share by which the largest margins are steeper; 0 is Bradley-Terry at `scale`.
        rate: per unit of margin, above 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a number is outside its range.

    Source: Zhang et al. 2025, "MM-RLHF" [77].
    """
    check_pairs("dynamic_bradley_terry", pairs, margin=margin, weight=weight)
    steep = dynamic_scale(margin, scale=scale, boost=boost, rate=rate)
    return weighted_sum(-F.logsigmoid(steep * (scores[pairs[:, 0]] - scores[pairs[:, 1]])), weight)
