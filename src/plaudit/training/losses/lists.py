"""Losses over the lists of a row: the completions of each prompt, ordered by the numbers that the row gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
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


def check_top(_: Sequence[Pair | Ranked], *, top: int) -> None:
    """Refuses a number of places that is none.

    Args:
        top: of `plackett_luce`; 0 is the whole list.

    Raises:
        InputError: if it is negative.
    """
    if top < 0:
        raise InputError(f"objective plackett-luce: top is {top}; give so many first places, or 0 for the whole list")


def check_gaps(rows: Sequence[Pair | Ranked], *, min_gap: float, curriculum: bool, **options: Any) -> None:
    """Refuses a `min_gap` of `rank_list` that cannot be compared with the scores of a pair, or that none of them meets.

    Args:
        rows: what is trained on; scores that are not finite, or not there in a list, are left to the encoding.
        min_gap: in the units of the scores; without one every row's order counts.
        curriculum: whether `reach` is that of the end.
        options: the further options of `rank_list`.

    Raises:
        InputError: naming the first pair whose scores do not say how far chosen leads; or if no two completions are
            compared in any row, so that nothing would be learned.
    """
    del curriculum  # what is compared at the end is compared at some time
    if not min_gap:
        return
    lists = [_told(i, row) if isinstance(row, Pair) else getattr(row, "scores", ()) for i, row in enumerate(rows)]
    if not all(len(scores) > 1 and all(map(math.isfinite, scores)) for scores in lists):
        return
    for scores in lists:
        grades = torch.tensor(sorted(scores, reverse=True), dtype=torch.float32)  # as a fit has them
        alike, members = torch.zeros(len(scores)), [torch.arange(len(scores))]
        # of completions that a model holds to be alike every comparison costs log 2
        if rank_list_loss(alike, members, grades=[grades], min_gap=min_gap, **options) > 0:
            return
    widest = max(max(scores) - min(scores) for scores in lists)
    further = ", or compare at a greater distance (reach, skip_coef)" if widest >= min_gap else ""
    raise InputError(
        f"objective rank-list: min_gap is {min_gap:g}, and none of the {len(lists)} rows has two completions that far "
        f"apart to compare (their scores differ by at most {widest:g}); lower it{further}"
    )


def _told(index: int, row: Pair) -> tuple[float, ...]:
    """The scores of a pair."""
    if row.chosen_score is None or row.rejected_score is None:
        raise InputError(
            f"row {index + 1}: min_gap is in units of scores, and the pair has none; give chosen_score and "
            "rejected_score, or leave min_gap out"
        )
    if row.chosen_score <= row.rejected_score:
        raise InputError(
            f"row {index + 1}: chosen_score is {row.chosen_score} and rejected_score {row.rejected_score}, which does "
            "not say how far chosen leads; leave the row out, or min_gap"
        )
    return (row.chosen_score, row.rejected_score)


def borda(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy to the Borda counts of the row's order."""
    lists, grades = ordered_lists(row)
    return borda_loss(outputs[:, 0], lists, counts=[borda_counts(g[:, None]) for g in grades])
