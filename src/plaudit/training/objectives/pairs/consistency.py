"""Labels regularised by how well two rankings of the same completions agree [116].

Differs from the paper: a list in which a ranking is constant has no correlation and gets consistency one half, which
teaches nothing; every list yields a pair, in order, so that rates and pairs cannot be misaligned. The average over the
data set (the paper's default) is the caller's: give its mean for every pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError
from plaudit.training.objectives.lists.counts import borda_counts
from plaudit.training.objectives.pairs.checking import check_number, check_pairs, check_values
from plaudit.training.objectives.pairs.soft import soft_bradley_terry

Measure = Literal["kendall", "spearman", "top"]


def ranking_consistency(
    first: Float[Tensor, " n"],
    second: Float[Tensor, " n"],
    lists: Sequence[Int[Tensor, " _"]],
    *,
    measure: Measure = "kendall",
) -> Float[Tensor, " l"]:
    """Consistency of two rewards over each list, in [0, 1].

    `kendall`: `(tau_b + 1) / 2`. `spearman`: `(rho + 1) / 2` with mean ranks for ties. `top`: 1 where both have the
    same best and the same worst (the first of equal ones), else 0.

    Args:
        first: rewards of the current model.
        second: rewards of the previous one, for the same completions.
        lists: for each prompt the indices of its completions, in any order.
        measure: one of the three.

    Returns:
        One number a list; one half where a ranking is constant (not for `top`).

    Raises:
        ShapeError: if the two rewards differ in number.
        InputError: if a list has fewer than two members or the measure is not known.

    Source: Wang et al. 2024, "CREAM" [116]; Kendall 1945 (tau-b).
    """
    if measure not in ("kendall", "spearman", "top"):
        raise InputError(f"ranking_consistency: measure {measure!r} is not known; known: kendall, spearman, top")
    if first.shape != second.shape:
        raise ShapeError(
            f"ranking_consistency: {first.shape[0]} rewards of the first and {second.shape[0]} of the other"
        )
    rates = []
    for place, members in enumerate(lists):
        if members.numel() < 2:
            raise InputError(f"ranking_consistency: lists[{place}] has {members.numel()} members; give at least 2")
        rates.append(_agreement(first[members], second[members], measure))
    return torch.stack(rates) if rates else first.new_zeros(0)


def _agreement(a: Tensor, b: Tensor, measure: Measure) -> Tensor:
    if measure == "top":
        same = (a.argmax() == b.argmax()) & (a.argmin() == b.argmin())
        return same.to(a.dtype)
    if measure == "kendall":  # tau-b is the cosine of the two tables of signs
        x, y = (torch.sign(v[:, None] - v[None, :]).flatten() for v in (a, b))
    else:
        x, y = (r - r.mean() for r in (borda_counts(a[:, None]), borda_counts(b[:, None])))
    size = (x.square().sum() * y.square().sum()).sqrt()
    correlation = (x * y).sum() / size if float(size) > 0 else torch.zeros_like(size)
    return ((correlation + 1) / 2).clamp(0, 1).to(a.dtype)


def extreme_pairs(rewards: Float[Tensor, " n"], lists: Sequence[Int[Tensor, " _"]]) -> Int[Tensor, "l 2"]:
    """The best and the worst of each list: indices into `rewards`, one pair a list.

    Where all rewards of a list are equal both are its first member, whose pair has no gradient.

    Source: Wang et al. 2024, "CREAM" [116].
    """
    found = [torch.stack([m[rewards[m].argmax()], m[rewards[m].argmin()]]) for m in lists]
    return torch.stack(found) if found else torch.zeros(0, 2, dtype=torch.long, device=rewards.device)


def consistent_bradley_terry(
    scores: Float[Tensor, " n"],
    pairs: Int[Tensor, "m 2"],
    *,
    consistency: Float[Tensor, " m"],
    beta: float = 1.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum of `-c log sigmoid(z) - (1 - c) log sigmoid(-z)` with `z = beta * (score difference)`, in nats.

    Args:
        scores: scores of all sequences of the row (log-ratios, with the paper's beta of 0.1).
        pairs: indices into `scores`: chosen, rejected.
        consistency: c of each pair, in [0, 1]; 1 is Bradley-Terry, one half teaches that the two are equal.
        beta: steepness, above 0.
        weight: weight of each pair, default 1.

    Returns:
        The sum over the m pairs; 0 for none.

    Raises:
        ShapeError: if `pairs` is not (m, 2), or a column does not have m entries.
        InputError: if a number is outside its range.

    Source: Wang et al. 2024, "CREAM" [116].
    """
    check_number("consistent_bradley_terry", "beta", beta, low=0, within="(]")
    check_pairs("consistent_bradley_terry", pairs, consistency=consistency, weight=weight)
    check_values("consistent_bradley_terry", "consistency", consistency, low=0, high=1)
    return soft_bradley_terry(beta * scores, pairs, target=consistency, weight=weight)
