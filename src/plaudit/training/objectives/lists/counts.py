"""Borda counts: many rankings of one list as one count a member, and a loss that needs no more [121].

Differs from the paper: it ranks systems over tasks; here a task is a rater, an aspect or an instance that judges the
completions of one prompt. Ties share the mean rank (its code breaks them by order). The loss is the Bradley-Terry
likelihood of all pairs of all rankings: of these it depends on the counts alone, so the counts are all it asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.training.objectives.lists.rectangle import beside, rectangle
from plaudit.training.objectives.pairs.checking import check_columns, check_values, weighted_sum


def borda_counts(judgements: Float[Tensor, "k t"]) -> Float[Tensor, " k"]:
    """Mean over t rankings of how many of the other members one beats, a tie counting one half.

    Args:
        judgements: of k members by each of t raters or aspects, higher is better; the scales may differ.

    Returns:
        Counts in [0, k - 1] that add up to `k (k - 1) / 2`. Any strictly increasing change of a column leaves them.

    Raises:
        InputError: if there are no judgements, or one is not finite.

    Source: Colombo et al. 2022, "What are the best systems?" [121]; Borda 1781.
    """
    if not judgements.numel():
        raise InputError(f"borda_counts: judgements have shape {tuple(judgements.shape)}; give at least one")
    check_values("borda_counts", "judgements", judgements)
    wins = torch.sign(judgements[:, None, :] - judgements[None, :, :]).mean(dim=2)
    return (wins.sum(dim=1) + (judgements.shape[0] - 1)) / 2


def borda_two_level(judgements: Sequence[Float[Tensor, "k _"]]) -> Float[Tensor, " k"]:
    """Counts over the instances of each metric, then counts over the metrics: each metric has one vote.

    Args:
        judgements: for each metric (k, its instances).

    Raises:
        InputError: if there are no metrics, or a judgement is not finite.

    Source: Colombo et al. 2022, the two-level procedure, which it recommends [121].
    """
    if not judgements:
        raise InputError("borda_two_level: no metrics; give at least one")
    return borda_counts(torch.stack([borda_counts(metric) for metric in judgements], dim=1))


def borda(
    scores: Float[Tensor, " n"],
    lists: Sequence[Int[Tensor, " _"]],
    *,
    counts: Sequence[Float[Tensor, " _"]],
    weight: Float[Tensor, " l"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over lists of `sum_{i<j} log(exp s_i + exp s_j) - sum_i count_i s_i`, in nats.

    With p_ij the share of rankings in which i beats j, this is the cross-entropy
    `-sum_{i<j} (p_ij log sigmoid(s_i - s_j) + p_ji log sigmoid(s_j - s_i))`, since `count_i = sum_j p_ij`. Members come
    out in the order of their counts.

    Args:
        scores: scores of all sequences of the row.
        lists: for each list the indices of its members, in any order.
        counts: for each list its members' Borda counts.
        weight: weight of each list, default 1; `2 / (k (k - 1))` weighs each list as one pair.

    Returns:
        The sum over the lists; 0 for none.

    Raises:
        ShapeError: if a list has fewer than two members, or columns do not belong to the lists.
        InputError: if the counts of a list of k do not add up to `k (k - 1) / 2`, or lie outside [0, k - 1].

    Source: Colombo et al. 2022 for the counts [121]; Siththaranjan et al. 2023, that Bradley-Terry on the
    pairs of several raters ranks by Borda counts.
    """
    index, present = rectangle("borda", scores.shape[0], lists, scores.device)
    check_columns("borda", "lists", len(lists), weight=weight)
    shares = beside("borda", "counts", counts, present, 0.0).to(scores.dtype)
    _check_counts(shares, present.sum(dim=1))
    values = scores[index]
    both = torch.triu(present[:, None, :] & present[:, :, None], diagonal=1)
    pairs = torch.logaddexp(values[:, :, None], values[:, None, :])
    normaliser = torch.where(both, pairs, torch.zeros_like(pairs)).sum(dim=(1, 2))
    return weighted_sum(normaliser - (shares * values).sum(dim=1), weight)


def _check_counts(counts: Tensor, members: Tensor) -> None:
    if not counts.numel():
        return
    check_values("borda", "counts", counts, low=0)
    most = members - 1
    above = counts > most[:, None] + 1e-4
    if bool(above.any()):
        place, at = above.nonzero()[0].tolist()
        shown, high = float(counts[place, at]), int(most[place])
        raise InputError(f"borda: counts[{place}][{at}] is {shown:g}; it must lie in [0, {high}]")
    wanted = members * most / 2
    wrong = (counts.sum(dim=1) - wanted).abs() > 1e-4 * members.square()
    if bool(wrong.any()):
        place = int(wrong.nonzero()[0, 0])
        raise InputError(
            f"borda: counts[{place}] add up to {float(counts[place].sum()):g}; a list of {int(members[place])} needs "
            f"{float(wanted[place]):g}"
        )
