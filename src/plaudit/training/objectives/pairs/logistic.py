"""The Bradley-Terry objective over the pairs of a group: sums, so that any division into rows adds up.

Differs from the paper: a margin shifts the difference before the sigmoid (Llama 2, section 3.2.2); label smoothing
treats a share of the labels as flipped; centring adds `coef * (r_chosen + r_rejected)^2`, which fixes the free shift
of each prompt near zero (Eisenstein et al. 2023).
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError


def bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    margin: Float[Tensor, " m"] | None = None,
    weight: Float[Tensor, " m"] | None = None,
    label_smoothing: float = 0.0,
    center_coef: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum of negative log-likelihoods of pairs, in nats.

    With `d = scores[chosen] - scores[rejected] - margin`, smoothing s and centring c, each pair adds
    `w * (-(1 - s) log sigmoid(d) - s log sigmoid(-d) + c (scores[chosen] + scores[rejected])^2)`.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        margin: by how much the chosen should at least lead, in score units, default 0.
        weight: weight of each pair, default 1.
        label_smoothing: share of labels taken to be flipped, in [0, 0.5).
        center_coef: per squared score unit, at least 0.

    Returns:
        The weighted sum over the m pairs; 0 for none. Divide by the number of pairs in the whole step.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or margin or weight do not have m entries.
        InputError: if a hyper-parameter is outside its range.

    Source: Bradley and Terry 1952; Ouyang et al. 2022, equation 1; TRL's `center_rewards_coefficient`.
    """
    if not 0 <= label_smoothing < 0.5:
        raise InputError(f"bradley_terry: label_smoothing is {label_smoothing}; it must lie in [0, 0.5)")
    if center_coef < 0:
        raise InputError(f"bradley_terry: center_coef is {center_coef}; it must be at least 0")
    if pairs.ndim != 2 or pairs.shape[-1] != 2:
        raise ShapeError(f"bradley_terry: pairs have shape {tuple(pairs.shape)}; they must be (m, 2)")
    for name, column in (("margin", margin), ("weight", weight)):
        if column is not None and column.shape != pairs.shape[:1]:
            raise ShapeError(f"bradley_terry: {name} has shape {tuple(column.shape)} for {pairs.shape[0]} pairs")
    chosen, rejected = scores[pairs[:, 0]], scores[pairs[:, 1]]
    difference = chosen - rejected if margin is None else chosen - rejected - margin
    loss = -(1 - label_smoothing) * F.logsigmoid(difference)
    if label_smoothing:
        loss = loss - label_smoothing * F.logsigmoid(-difference)
    if center_coef:
        loss = loss + center_coef * (chosen + rejected).square()
    return (loss if weight is None else loss * weight).sum()
