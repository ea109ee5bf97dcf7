"""Two answers to one question, the second predicted given the first: what a model knows that it does not know [219].

Differs from the paper: it predicts pairs of labels with one network that is shown the first; here one pass emits the
first distribution and, for each value that the first may have, the second. For preferences this takes three scores a
completion: before any answer, after it was preferred, after it was not. Rejection sampling by the confidence and the
paper's error of second-order calibration are not built.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.rewards.readers.twice import two_rating_logits
from plaudit.training.objectives.pairs.checking import check_columns, check_pairs, check_values, weighted_sum


def two_ratings(
    outputs: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    levels: Int[Tensor, "m 2"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-log p1(first) - log p2(second | first)`, in nats, for two independent ratings of a sequence.

    Args:
        outputs: `c + c^2` logits of all sequences of the row: of p1, then of p2 for each first level.
        items: indices of the m sequences that were rated twice.
        levels: both ratings, 0 to c - 1, in random order: swapping them for half of the data is the caller's.
        weight: weight of each item, default 1.

    Returns:
        The sum over the m items; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together, or the number of outputs is not `c + c^2`.
        InputError: if a level is not one of the c.

    Source: Johnson et al. 2024, "Experts Don't Cheat" [219].
    """
    check_columns("two_ratings", "items", items.numel(), weight=weight)
    if levels.shape != (items.numel(), 2):
        raise ShapeError(f"two_ratings: levels have shape {tuple(levels.shape)}; they must be ({items.numel()}, 2)")
    first, second = two_rating_logits(outputs)
    check_values("two_ratings", "levels", levels, low=0, high=first.shape[1] - 1)
    one = F.cross_entropy(first[items], levels[:, 0], reduction="none")
    two = F.cross_entropy(second[items, levels[:, 0]], levels[:, 1], reduction="none")
    return weighted_sum(one + two, weight)


def two_rating_probabilities(outputs: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c c"]]:
    """p1 (n, c), and p2 (n, c, c) with the first rating on the middle axis, of `c + c^2` logits.

    Raises:
        ShapeError: if the number of outputs is not `c + c^2`.

    Source: Johnson et al. 2024 [219].
    """
    first, second = two_rating_logits(outputs)
    return first.softmax(dim=-1), second.softmax(dim=-1)


def two_preferences(
    outputs: Float[Tensor, "n 3"],
    pairs: Int[Tensor, "m 2"],
    *,
    first: Bool[Tensor, " m"],
    second: Bool[Tensor, " m"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of the negative log-likelihoods of two annotators' answers about each pair, in nats.

    With the scores f, g, h of a completion: the first annotator prefers a with `sigmoid(f_a - f_b)`, and if so the
    second with `sigmoid(g_a - h_b)`, otherwise with `sigmoid(h_a - g_b)`. Exchanging a and b exchanges the
    probabilities.

    Args:
        outputs: f, g and h of all sequences of the row.
        pairs: indices into `outputs`: a, b.
        first: True where the first annotator prefers a.
        second: True where the second one does.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Johnson et al. 2024 [219], for preferences.
    """
    check_pairs("two_preferences", pairs, first=first, second=second, weight=weight)
    before, agreed, opposed = _leads(outputs, pairs)
    then = torch.where(first, agreed, opposed)
    loss = -F.logsigmoid(torch.where(first, before, -before)) - F.logsigmoid(torch.where(second, then, -then))
    return weighted_sum(loss, weight)


def two_preference_probabilities(
    outputs: Float[Tensor, "n 3"], pairs: Int[Tensor, "m 2"]
) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
    """p1 (m, 2) over (b, a) preferred, and p2 (m, 2, 2) with the first answer on the middle axis.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Johnson et al. 2024 [219], for preferences.
    """
    check_pairs("two_preference_probabilities", pairs)
    before, agreed, opposed = (lead.sigmoid() for lead in _leads(outputs, pairs))
    p2 = torch.stack([torch.stack([1 - x, x], dim=-1) for x in (opposed, agreed)], dim=-2)
    return torch.stack([1 - before, before], dim=-1), p2


def cheat_variance(p1: Float[Tensor, "m c"], p2: Float[Tensor, "m c c"]) -> Float[Tensor, "m c"]:
    """`p1(y) (p2(y | y) - p1(y))`: the expected squared error of p1 if the pair of predictions is calibrated.

    Args:
        p1: distribution of the first answer.
        p2: of the second given the first, which is on the middle axis.

    Returns:
        Epistemic variance of each probability; may be slightly negative for a fitted model (clip for intervals only).

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Johnson et al. 2024 [219].
    """
    _check_two("cheat_variance", p1, p2)
    return p1 * (p2.diagonal(dim1=-2, dim2=-1) - p1)


def cheat_confidence(p1: Float[Tensor, "m c"], p2: Float[Tensor, "m c c"]) -> Float[Tensor, "m c"]:
    """`p1(y) / p2(y | y)`: 1 where seeing an answer teaches nothing, 0 where p1 is 0.

    Args:
        p1: distribution of the first answer.
        p2: of the second given the first, which is on the middle axis.

    Returns:
        At least 0; above 1 where a fitted model expects an answer less after seeing it, infinite where not at all.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Johnson et al. 2024 [219].
    """
    _check_two("cheat_confidence", p1, p2)
    again = p2.diagonal(dim1=-2, dim2=-1)
    possible = (p1 > 0) & (again > 0)
    ratio = p1 / again.where(possible, torch.ones_like(again))
    impossible = torch.where(p1 > 0, torch.full_like(p1, math.inf), torch.zeros_like(p1))
    return torch.where(possible, ratio, impossible)


def _check_two(who: str, p1: Tensor, p2: Tensor) -> None:
    wanted = (*p1.shape, p1.shape[-1])
    if p2.shape != wanted:
        raise ShapeError(f"{who}: p2 has shape {tuple(p2.shape)}; it must be {wanted}")


def _leads(outputs: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits that a is preferred: before any answer, after a was, after b was."""
    if outputs.ndim != 2 or outputs.shape[1] != 3:
        raise ShapeError(f"two_preferences: outputs have shape {tuple(outputs.shape)}; they must be (n, 3)")
    (f_a, g_a, h_a), (f_b, g_b, h_b) = outputs[pairs[:, 0]].unbind(1), outputs[pairs[:, 1]].unbind(1)
    return f_a - f_b, g_a - h_b, h_a - g_b
