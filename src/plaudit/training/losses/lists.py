"""Losses over the lists of a row: the completions of each prompt, ordered by the numbers that the row gives them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plaudit.training.objectives.lists.counts import borda as borda_loss
from plaudit.training.objectives.lists.counts import borda_counts
from plaudit.training.objectives.lists.local import rank_list as rank_list_loss
from plaudit.training.objectives.lists.local import reach_at
from plaudit.training.objectives.lists.luce import plackett_luce as plackett_luce_loss


def ordered_lists(row: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """For each group the indices of its members, best first, and their numbers in that order.

    Args:
        row: `group` (n,) and `values` (n,) of a collated row; members without a number are left out.
    """
    groups, values = row["group"], row["values"]
    lists, grades = [], []
    for group in range(int(groups.max()) + 1 if groups.numel() else 0):
        members = ((groups == group) & values.isfinite()).nonzero()[:, 0]
        if members.numel() < 2:
            continue
        order = values[members].argsort(descending=True, stable=True)
        lists.append(members[order])
        grades.append(values[members[order]])
    return lists, grades


def plackett_luce(outputs: Tensor, row: Mapping[str, Tensor], *, top: int) -> Tensor:
    """Plackett-Luce, equal numbers being ties; `top` above 0 counts so many places only."""
    lists, grades = ordered_lists(row)
    tied = [torch.cat([g.new_zeros(1, dtype=torch.bool), g[1:] == g[:-1]]) for g in grades]
    return plackett_luce_loss(outputs[:, 0], lists, tied=tied, top=top or None)


def rank_list(
    outputs: Tensor, row: Mapping[str, Tensor], *, reach: int, skip_coef: float, tail_coef: float, min_gap: float,
    curriculum: bool = False,
) -> Tensor:  # fmt: skip
    """RankList: neighbours, members up to `reach` distinct grades apart, and the tail.

    With the curriculum, `reach` grows from 1 to what was given while the training goes on.
    """
    lists, grades = ordered_lists(row)
    if curriculum:
        reach = reach_at(float(row["progress"]), longest=reach)
    return rank_list_loss(
        outputs[:, 0], lists, grades=grades, reach=reach, skip_coef=skip_coef, tail_coef=tail_coef, min_gap=min_gap
    )


def borda(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy to the Borda counts of the row's order."""
    lists, grades = ordered_lists(row)
    return borda_loss(outputs[:, 0], lists, counts=[borda_counts(g[:, None]) for g in grades])
