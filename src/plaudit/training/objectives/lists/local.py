"""RankList: neighbours in the order, then neighbours at a growing distance, then everything below [136].

Differs from the paper: whose exact weights were not at hand: the terms at a distance have one coefficient, and the term
over everything below is off by default, being Plackett-Luce itself (`sum_i log(1 + sum_{j>i} exp(s_j - s_i))`).
Comparisons of labels that lie closer than `min_gap` are left out, as there; without labels the order alone counts.
Members may share a label: distances are counted in distinct labels and not in places, so that it means nothing in which
order tied members are written. A block of t members has t comparisons with each member of the next block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.lists.rectangle import beside, rectangle
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def rank_list(
    scores: Float[Tensor, " n"],
    lists: Sequence[Int[Tensor, " _"]],
    *,
    grades: Sequence[Float[Tensor, " _"]] | None = None,
    min_gap: float = 0.0,
    reach: int = 2,
    skip_coef: float = 1.0,
    tail_coef: float = 0.0,
    weight: Float[Tensor, " l"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over lists of a local, a skipping and a tail term, in nats.

    With d(i, j) how many distinct grades j lies below i (without grades: places): `softplus(s_j - s_i)` summed over all
    i, j with `d = 1`, plus `skip_coef` times the same over `2 <= d <= reach`, plus
    `tail_coef * sum_i log(1 + sum_{d(i, j) > 0} exp(s_j - s_i))`.

    Args:
        scores: scores of all sequences of the row.
        lists: for each list the indices of its members, best first.
        grades: for each list its members' labels, not increasing; a comparison needs a gap above 0 and of at least
            `min_gap`. Equal grades are ties, in whichever order they stand. Default: every order counts.
        min_gap: in the units of the labels, at least 0; needs grades.
        reach: largest distance that is compared, in distinct grades, at least 1; see `reach_at` for a curriculum.
        skip_coef: of comparisons further apart than neighbours, at least 0.
        tail_coef: of the tail term, at least 0.
        weight: weight of each list, default 1.

    Returns:
        The sum over the lists; 0 for none. A list of two is one pair (RankNet) while `tail_coef` is 0.

    Raises:
        ShapeError: if a list has fewer than two members, or columns do not belong to the lists.
        InputError: if a list names a sequence twice, grades increase, or a hyper-parameter is outside its range.

    Source: RankList [136]; Burges et al. 2005, "RankNet"; Xia et al. 2008, "ListMLE", for the tail.
    """
    index, present = rectangle("rank_list", scores.shape[0], lists, scores.device)
    check_columns("rank_list", "lists", len(lists), weight=weight)
    for name, value in (("min_gap", min_gap), ("skip_coef", skip_coef), ("tail_coef", tail_coef)):
        check_number("rank_list", name, value, low=0)
    if reach < 1:
        raise InputError(f"rank_list: reach is {reach}; it must be at least 1")
    values = scores[index]
    order = torch.triu(torch.ones(present.shape[1], present.shape[1], dtype=torch.bool, device=scores.device), 1)
    compared = order & present[:, None, :] & present[:, :, None]
    place = torch.arange(present.shape[1], device=scores.device).expand_as(index)
    if grades is not None:
        table = _checked("rank_list", grades, present)
        gap = table[:, :, None] - table[:, None, :]
        compared = compared & (gap > 0) & (gap >= min_gap)
        place = F.pad((table[:, 1:] < table[:, :-1]).cumsum(dim=1), (1, 0))  # distinct grades above a member's own
    elif min_gap:
        raise InputError(f"rank_list: min_gap is {min_gap} and there are no grades; give the labels of the members")
    loss = _pairwise(values, place, compared, reach, skip_coef)
    if tail_coef:
        loss = loss + tail_coef * _tail(values, compared)
    return weighted_sum(loss, weight)


def reach_at(progress: float, *, longest: int) -> int:
    """The curriculum: distance 1 at the start, growing linearly to `longest` at the end.

    Args:
        progress: share of the training that is done, in [0, 1].
        longest: largest distance, at least 1.

    Raises:
        InputError: if a number is outside its range.

    Source: RankList, skip-wise curriculum [136].
    """
    check_number("reach_at", "progress", progress, low=0, high=1)
    check_number("reach_at", "longest", longest, low=1)
    return 1 + round(progress * (longest - 1))


def _checked(who: str, grades: Sequence[Tensor], present: Tensor) -> Tensor:
    """The grades as a rectangle, falling along each list."""
    table = beside(who, "grades", grades, present, 0.0)
    check_values(who, "grades", table)
    rises = (table[:, 1:] > table[:, :-1]) & present[:, 1:]
    if bool(rises.any()):
        place, at = rises.nonzero()[0].tolist()
        raise InputError(f"{who}: grades[{place}] rise at member {at + 1}; lists go from best to worst")
    return table


def _pairwise(values: Tensor, place: Tensor, compared: Tensor, reach: int, skip_coef: float) -> Tensor:
    """Sum over compared members whose places are at most `reach` apart."""
    apart = place[:, None, :] - place[:, :, None]
    coef = (apart == 1) + skip_coef * ((apart > 1) & (apart <= reach))
    lead = values[:, :, None] - values[:, None, :]
    return torch.where(compared, -F.logsigmoid(lead) * coef, torch.zeros_like(lead)).sum(dim=(1, 2))


def _tail(values: Tensor, compared: Tensor) -> Tensor:
    lead = (values[:, None, :] - values[:, :, None]).masked_fill(~compared, torch.finfo(values.dtype).min)
    return torch.logsumexp(F.pad(lead, (1, 0)), dim=2).sum(dim=1)
