"""Labels corrected by how several models judge them: strength, flips, soft labels, adaptive margins [13].

Differs from the paper: nothing in the formulas; the share to flip is ours to choose (it reports 10 to 20%). In a linear
model, flipping was seen to leave accuracy where it was: what it removes is noise in the labels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.pairs.checking import check_number, check_pairs, check_values
from plaudit.training.objectives.pairs.logistic import bradley_terry


def preference_strength(margins: Float[Tensor, "models m"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Mean and standard deviation over models of `score(chosen) - score(rejected)`.

    Args:
        margins: of each of at least two models, fitted on other shuffles or bootstraps of the data.

    Returns:
        Strength, negative where the models hold the label to be wrong, and its standard deviation (n - 1).

    Raises:
        InputError: if there are fewer than two models, or a margin is not finite.

    Source: Wang et al. 2024, "Secrets of RLHF in Large Language Models II" [13].
    """
    if margins.shape[0] < 2:
        raise InputError(f"preference_strength: margins of {margins.shape[0]} models; give at least 2")
    check_values("preference_strength", "margins", margins)
    return margins.mean(dim=0), margins.std(dim=0)


def strength_targets(margins: Float[Tensor, "models m"]) -> Float[Tensor, " m"]:
    """Mean over models of `sigmoid(margin)`: the probability that the chosen one is the better, a soft label.

    Raises:
        InputError: if a margin is not finite.

    Source: Wang et al. 2024 [13].
    """
    check_values("strength_targets", "margins", margins)
    return margins.sigmoid().mean(dim=0)


def weakest(strength: Float[Tensor, " m"], *, share: float = 0.1) -> Bool[Tensor, " m"]:
    """True for the `share` of pairs of lowest strength, rounded down; equal ones by their order.

    Args:
        strength: of each pair.
        share: in [0, 1].

    Raises:
        InputError: if the share is outside [0, 1] or a strength is not finite.

    Source: Wang et al. 2024 [13].
    """
    check_number("weakest", "share", share, low=0, high=1)
    check_values("weakest", "strength", strength)
    chosen = torch.zeros_like(strength, dtype=torch.bool)
    chosen[torch.argsort(strength, stable=True)[: int(share * strength.numel() + 1e-9)]] = True
    return chosen


def flipped(pairs: Int[Tensor, "m 2"], flip: Bool[Tensor, " m"]) -> Int[Tensor, "m 2"]:
    """The pairs with chosen and rejected exchanged where `flip` is True; twice is the identity.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or `flip` does not have m entries.

    Source: Wang et al. 2024 [13].
    """
    check_pairs("flipped", pairs, flip=flip)
    return torch.where(flip[:, None], pairs.flip(1), pairs)


def adaptive_margin(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    strength: Float[Tensor, " m"],
    label_smoothing: float = 0.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Bradley-Terry with the strength of each pair as its margin: `-log sigmoid(d - strength)`, in nats.

    A negative strength asks for less than equality, so labels that the models doubt pull hardly at all.

    Args:
        scores: scores of all sequences of the row.
        pairs: indices into `scores`: chosen, rejected.
        strength: of each pair, in score units, of `preference_strength`; 0 is Bradley-Terry.
        label_smoothing: share of labels taken to be flipped, in [0, 0.5).
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a strength is not finite or the smoothing is outside its range.

    Source: Wang et al. 2024 [13].
    """
    check_pairs("adaptive_margin", pairs, strength=strength, weight=weight)
    check_values("adaptive_margin", "strength", strength)
    return bradley_terry(scores, pairs, margin=strength, weight=weight, label_smoothing=label_smoothing)
