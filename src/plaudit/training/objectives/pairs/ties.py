"""Pairs in which a rater may call a tie: the models of Rao and Kupper and of Davidson.

Differs from the papers: only in the parametrisation, strengths being `exp(score)`, so that scores stay additive and
both models reduce to Bradley-Terry without ties.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_pairs, check_values, weighted_sum


def rao_kupper(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    tied: Bool[Tensor, " m"],
    threshold: float | Float[Tensor, ""] = 0.5,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of negative log-likelihoods where a lead below a threshold is a tie, in nats.

    `P(first) = sigmoid(d - h)`, `P(second) = sigmoid(-d - h)`, and the rest,
    `(exp(2h) - 1) sigmoid(d - h) sigmoid(-d - h)`, is a tie.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected; in either order where tied.
        tied: True where the rater saw no difference.
        threshold: h, in score units, above 0; a tensor may be learned (give `softplus` of a free parameter).
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if the threshold is not above 0: ties would then be impossible.

    Source: Rao and Kupper 1967, with threshold `log theta`.
    """
    check_pairs("rao_kupper", pairs, tied=tied, weight=weight)
    width = torch.as_tensor(threshold, dtype=scores.dtype, device=scores.device)
    check_values("rao_kupper", "threshold", width.reshape(1), low=0, within="(]")
    lead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    win, loss = F.logsigmoid(lead - width), F.logsigmoid(-lead - width)
    # log(exp(2h) - 1) = 2h + log(1 - exp(-2h)), which neither overflows nor cancels
    tie = 2 * width + torch.log(-torch.expm1(-2 * width)) + win + loss
    return weighted_sum(-torch.where(tied, tie, win), weight)


def davidson(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    tied: Bool[Tensor, " m"],
    log_tie: float | Float[Tensor, ""] = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of negative log-likelihoods where ties are as likely as the geometric mean of the strengths, in nats.

    First, second and tie have the probabilities `softmax(d / 2, -d / 2, log_tie)`.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected; in either order where tied.
        tied: True where the rater saw no difference.
        log_tie: logarithm of nu; equals make ties exp(log_tie) times as likely as one of the two winning. Any number; a
            tensor may be learned.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if log_tie is not finite.

    Source: Davidson 1970.
    """
    check_pairs("davidson", pairs, tied=tied, weight=weight)
    level = torch.as_tensor(log_tie, dtype=scores.dtype, device=scores.device)
    check_values("davidson", "log_tie", level.reshape(1))
    lead = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    logits = torch.stack([lead / 2, -lead / 2, level.expand_as(lead)], dim=-1).log_softmax(dim=-1)
    return weighted_sum(-torch.where(tied, logits[:, 2], logits[:, 0]), weight)
