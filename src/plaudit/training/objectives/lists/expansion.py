"""Lists as the pairs that they imply, with weights that keep long lists from counting too much.

Differs from the paper: InstructGPT weighs by list (all pairs of a list together count as one); the other two are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.lists.rectangle import beside, rectangle

Unit = Literal["pair", "item", "list"]


def expanded_pairs(
    n: int,
    lists: Sequence[Int[Tensor, " _"]],
    *,
    tied: Sequence[Bool[Tensor, " _"]] | None = None,
    unit: Unit = "list",
) -> tuple[Int[Tensor, "m 2"], Float[Tensor, " m"]]:
    """All pairs of each list, the better first, and their weights.

    Args:
        n: how many sequences the row has.
        lists: for each list the indices of its members, best first.
        tied: for each list, True where a member is level with the one before it; such pairs are left out.
        unit: what weighs 1: each `pair`; each `item` (its share of the pairs that it is in, so a list of k untied ones
            weighs k / 2); each `list` (as InstructGPT does).

    Returns:
        Pairs for any pair objective, and float64 weights; a list that is tied throughout gives none.

    Raises:
        ShapeError: if a list has fewer than two members, or `tied` does not belong to the lists.
        InputError: if a list names a sequence twice or the unit is not known.

    Source: Ouyang et al. 2022, "InstructGPT".
    """
    if unit not in ("pair", "item", "list"):
        raise InputError(f"expanded_pairs: unit {unit!r} is not known; known: item, list, pair")
    device = lists[0].device if lists else torch.device("cpu")
    index, present = rectangle("expanded_pairs", n, lists, device)
    level = torch.zeros_like(present) if tied is None else beside("expanded_pairs", "tied", tied, present, False)
    block = (~level).cumsum(dim=1)
    compared = (block[:, :, None] < block[:, None, :]) & present[:, None, :] & present[:, :, None]
    which, first, second = compared.nonzero(as_tuple=True)
    pairs = torch.stack([index[which, first], index[which, second]], dim=1)
    mine = (compared | compared.transpose(1, 2)).sum(dim=2).double()  # the pairs that each member is in
    if unit == "pair":
        weight = torch.ones(len(pairs), dtype=torch.float64, device=device)
    elif unit == "list":
        weight = 1 / compared.sum(dim=(1, 2)).double()[which]
    else:  # each member has a half, shared out over its pairs
        weight = 0.5 / mine[which, first] + 0.5 / mine[which, second]
    return pairs, weight
