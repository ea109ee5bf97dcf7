"""Two models that choose each other's pairs, so that neither learns its own mistakes by heart [112].

Differs from the paper: by name, its two models are two heads on one backbone, which a head's pairs change for both;
whoever wants them apart fits two models with `peer_selection`. The share of noise is given and not estimated, and the
form for direct alignment is not built. The selection is a pure function of the losses that it is given; what is
selected becomes a weight of 0 or 1 on the pairs. By name (`cotraining`) these are the losses of a packed row, not of a
whole step, which has no losses before its last row is run: give rows room for a step (`tokens_per_row`). The ramp is
linear (its form was left open).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_number, check_values


def dropped_share(progress: float, *, noise: float, ramp: float = 0.3) -> float:
    """Share of pairs to leave out: grows linearly from 0 to `noise` over the first `ramp` of training.

    Args:
        progress: share of the training that is done, in [0, 1].
        noise: estimated share of wrong labels, in [0, 1).
        ramp: share of the training over which it grows, in [0, 1]; 0 leaves out `noise` from the start.

    Returns:
        A share in [0, noise].

    Raises:
        InputError: if a number is outside its range.

    Source: Han et al. 2018, "Co-teaching", R(T), as in [112].
    """
    check_number("dropped_share", "progress", progress, low=0, high=1)
    check_number("dropped_share", "noise", noise, low=0, high=1, within="[)")
    check_number("dropped_share", "ramp", ramp, low=0, high=1)
    return noise * (min(progress / ramp, 1.0) if ramp else 1.0)


def small_losses(losses: Float[Tensor, " m"], *, dropped: float) -> Bool[Tensor, " m"]:
    """True for the `(1 - dropped) m` pairs of smallest loss, rounded half up; equal ones by their order.

    Args:
        losses: of each pair, or minus its margin.
        dropped: share to leave out, in [0, 1].

    Raises:
        InputError: if the share is outside [0, 1] or a loss is not finite.

    Source: Han et al. 2018, "Co-teaching" [112].
    """
    check_number("small_losses", "dropped", dropped, low=0, high=1)
    check_values("small_losses", "losses", losses)
    n = math.floor((1 - dropped) * losses.numel() + 0.5 + 1e-9)  # 1 - 0.9 is a little less than a tenth
    kept = torch.zeros_like(losses, dtype=torch.bool)
    kept[torch.argsort(losses.detach(), stable=True)[:n]] = True
    return kept


def peer_selection(
    losses_a: Float[Tensor, " m"], losses_b: Float[Tensor, " m"], *, dropped: float
) -> tuple[Bool[Tensor, " m"], Bool[Tensor, " m"]]:
    """The pairs that each of two models learns from: those of small loss under the other.

    Args:
        losses_a: of each pair under the first model.
        losses_b: of each pair under the second.
        dropped: share to leave out, in [0, 1]; at 0 both learn from everything.

    Returns:
        For the first model (chosen by the second), for the second (chosen by the first): True where it learns.

    Raises:
        ShapeError: if the two differ in number.
        InputError: if the share is outside [0, 1] or a loss is not finite.

    Source: Collaborative Reward Modeling, peer review [112]; Han et al. 2018.
    """
    if losses_a.shape != losses_b.shape:
        raise ShapeError(f"peer_selection: {losses_a.numel()} losses of one model and {losses_b.numel()} of the other")
    return small_losses(losses_b, dropped=dropped), small_losses(losses_a, dropped=dropped)


def easy_first(margins: Float[Tensor, "models m"]) -> Int[Tensor, " m"]:
    """Order of the pairs from the largest mean margin to the smallest, the curriculum of an epoch; stable.

    Args:
        margins: `score(chosen) - score(rejected)` under each model.

    Raises:
        InputError: if a margin is not finite.

    Source: Collaborative Reward Modeling, curriculum [112].
    """
    check_values("easy_first", "margins", margins)
    return torch.argsort(margins.mean(dim=0), descending=True, stable=True)
