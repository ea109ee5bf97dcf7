"""Weights from how far repeated judgements of one thing differ [200].

Differs from the paper: there, the two judgements are a reward network's on an image and on its slightly noisier twin,
and the uncertainty is a number a pixel; here it is a number an item, from any judgements that a caller has:
presentation orders, samples of a judge, dropout, members of an ensemble. With labels as judgements the uncertainty has
no gradient, and the added term is a constant. The paper's warm-up and its limit on noise steps belong to diffusion.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_pairs, check_values


def judgement_spread(judgements: Float[Tensor, "m v"]) -> Float[Tensor, " m"]:
    """Mean absolute difference between two different judgements of an item; of two, `|r - r'|`.

    Args:
        judgements: v of each item, at least 2.

    Returns:
        At least 0; 0 where all agree.

    Raises:
        InputError: if there are fewer than two, or one is not finite.

    Source: Ctrl-U [200]; Gini 1912 for more than two.
    """
    v = judgements.shape[1]
    if v < 2:
        raise InputError(f"judgement_spread: {v} judgements of each item; give at least 2")
    check_values("judgement_spread", "judgements", judgements)
    first, second = torch.triu_indices(v, v, offset=1, device=judgements.device)
    return (judgements[:, first] - judgements[:, second]).abs().mean(dim=1)


def categorical_spread(first: Float[Tensor, "m c"], second: Float[Tensor, "m c"]) -> Float[Tensor, " m"]:
    """`KL(softmax(second) || softmax(first))`, in nats: how far two judgements of a category differ.

    Args:
        first: logits of the judgement that is used.
        second: logits of the other view.

    Raises:
        ShapeError: if the two differ in shape.

    Source: Ctrl-U [200].
    """
    if first.shape != second.shape:
        raise ShapeError(f"categorical_spread: shapes {tuple(first.shape)} and {tuple(second.shape)} differ")
    p, q = first.log_softmax(dim=-1), second.log_softmax(dim=-1)
    return F.kl_div(p, q, reduction="none", log_target=True).sum(dim=-1).clamp(min=0)


def judgement_weights(spread: Float[Tensor, " m"], *, scale: float = 1.0) -> Float[Tensor, " m"]:
    """`exp(-scale * spread)`, in (0, 1]: 1 where the judgements agree.

    Args:
        spread: at least 0, in reward units.
        scale: per reward unit, at least 0; 0 weighs all alike.

    Raises:
        InputError: if a number is outside its range.

    Source: Ctrl-U [200].
    """
    check_number("judgement_weights", "scale", scale, low=0)
    check_values("judgement_weights", "spread", spread, low=0)
    return torch.exp(-scale * spread)


def uncertainty_weighted(
    losses: Float[Tensor, " m"], *, spread: Float[Tensor, " m"], scale: float = 1.0, penalty: float = 1.0
) -> Float[Tensor, ""]:
    """Sum of `exp(-scale * u) * loss + penalty * scale * u`.

    The second term keeps a spread that has a gradient from growing without end: at a fixed loss L and penalty 1 the sum
    is least at `scale * u = log L` for L above 1, else at 0.

    Args:
        losses: of each item, before the sum.
        spread: u of each item, at least 0; detach it where it should only weigh.
        scale: per unit of spread, at least 0.
        penalty: of the second term, at least 0.

    Returns:
        The sum; where all spreads are 0, the plain sum of the losses.

    Raises:
        ShapeError: if losses and spread differ in number.
        InputError: if a number is outside its range.

    Source: Ctrl-U [200].
    """
    check_columns("uncertainty_weighted", "losses", losses.shape[0], spread=spread)
    check_number("uncertainty_weighted", "penalty", penalty, low=0)
    return (judgement_weights(spread, scale=scale) * losses + penalty * scale * spread).sum()


def judged_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    judgements: Float[Tensor, "m v"],
    scale: float = 1.0,
) -> Float[Tensor, ""]:
    """Sum of `-exp(-scale * spread) log sigmoid(scores[chosen] - scores[rejected])`, in nats.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        judgements: repeated judgements of each pair's difference, at least two.
        scale: per unit of spread, at least 0; 0 is Bradley-Terry.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2) or there are judgements of another number of pairs.
        InputError: if there are fewer than two judgements, or a number is outside its range.

    Source: Ctrl-U [200], with Bradley-Terry as the loss.
    """
    check_pairs("judged_bradley_terry", pairs)
    if judgements.shape[0] != pairs.shape[0]:
        raise ShapeError(f"judged_bradley_terry: judgements of {judgements.shape[0]} pairs for {pairs.shape[0]} pairs")
    losses = -F.logsigmoid(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    return uncertainty_weighted(losses, spread=judgement_spread(judgements), scale=scale, penalty=0.0)
