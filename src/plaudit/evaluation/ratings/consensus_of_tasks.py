"""One ranking of systems from many tasks: Borda counts beside mean scores [121].

A mean adds numbers of different scales, so that one task whose numbers are spread out, or one broken value, decides the
order. Borda's rule adds ranks: nothing changes when a task's scores are transformed monotonically. They differ where a
system is far ahead in few tasks and behind in most. Where only the best matter, rankings are compared by their first k.

Differs from the paper: ties share their average rank (the published code breaks them by order); ranks run from 0 for
the best, so that a sum of ranks is a number of losses against the other systems, ties half.

Source: Colombo et al. 2022, "What are the best Systems? New Perspectives on NLP Benchmarking".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from plaudit.errors import InputError, ShapeError
from plaudit.stats.correlation import kendall_tau

EXACT = 8
"""Systems up to which every order is tried for Kemeny's consensus."""


@dataclass(frozen=True)
class Consensus:
    """Rankings of s systems; ranks run from 0 for the best, ties share their average.

    Attributes:
        borda: by the sum of ranks, (s,).
        mean: by the mean score, (s,).
        counts: sums of ranks, (s,): losses against other systems over the tasks.
        distortion_borda: mean Kendall distance of `borda` to the tasks' own rankings.
        distortion_mean: the same of `mean`.
        agreement: Kendall's tau-b of the two; NaN where either is one tie.
        disputed: pairs of systems that the two put in opposite orders, as (better by Borda, better by mean).
        top: for k = 1..s, the share of the first k of one that are among the first k of the other, (s,).
        top_borda: the same of `borda` and each task's own ranking, mean over tasks, (s,).
        top_mean: the same of `mean`.
    """

    borda: Float[np.ndarray, " s"]
    mean: Float[np.ndarray, " s"]
    counts: Float[np.ndarray, " s"]
    distortion_borda: float
    distortion_mean: float
    agreement: float
    disputed: tuple[tuple[int, int], ...]
    top: Float[np.ndarray, " s"]
    top_borda: Float[np.ndarray, " s"]
    top_mean: Float[np.ndarray, " s"]


def consensus(scores: Float[np.ndarray, "s t"]) -> Consensus:
    """Borda's ranking and that of the mean, and where they differ.

    Args:
        scores: one column a task, higher is better, without NaN.

    Raises:
        ShapeError: if scores are not a table of systems by tasks.
        InputError: if a score is not finite.
    """
    table = _checked(scores, 2)
    ranks = task_ranks(table)
    counts, mean = ranks.sum(axis=1), table.mean(axis=1)
    borda, by_mean = rankdata(counts) - 1, rankdata(-mean) - 1
    pairs = itertools.permutations(range(len(table)), 2)
    return Consensus(
        borda=borda, mean=by_mean, counts=counts,
        distortion_borda=_distortion(borda, ranks), distortion_mean=_distortion(by_mean, ranks),
        agreement=kendall_tau(borda, by_mean),
        disputed=tuple((i, j) for i, j in pairs if borda[i] < borda[j] and by_mean[j] < by_mean[i]),
        top=top_agreement(borda, by_mean),
        top_borda=np.mean([top_agreement(borda, r) for r in ranks.T], axis=0),
        top_mean=np.mean([top_agreement(by_mean, r) for r in ranks.T], axis=0),
    )  # fmt: skip


def task_ranks(scores: Float[np.ndarray, "s t"]) -> Float[np.ndarray, "s t"]:
    """Rank of each system in each task, 0 the best, ties sharing their average.

    Args:
        scores: higher is better.
    """
    return np.asarray(rankdata(-np.asarray(scores, dtype=np.float64), axis=0) - 1)


def borda_two_level(scores: Float[np.ndarray, "s n t"]) -> Float[np.ndarray, " s"]:
    """Ranking from instances: Borda over the instances of each task, then Borda over the tasks' rankings.

    Every task counts alike, however many instances it has or how finely its metric tells systems apart.

    Args:
        scores: systems, instances, tasks.

    Returns:
        Ranks, 0 the best.
    """
    table = _checked(scores, 3)
    by_task = np.stack([rankdata(task_ranks(table[:, :, t]).sum(axis=1)) - 1 for t in range(table.shape[2])], axis=1)
    return np.asarray(rankdata(by_task.sum(axis=1)) - 1)


def borda_one_level(scores: Float[np.ndarray, "s n t"]) -> Float[np.ndarray, " s"]:
    """Ranking from instances: Borda over all instances of all tasks at once.

    Args:
        scores: systems, instances, tasks.

    Returns:
        Ranks, 0 the best.
    """
    table = _checked(scores, 3)
    return np.asarray(rankdata(task_ranks(table.reshape(len(table), -1)).sum(axis=1)) - 1)


def kendall_distance(a: Float[np.ndarray, " s"], b: Float[np.ndarray, " s"]) -> float:
    """Pairs of systems in opposite orders, plus half of those that only one of the two ties.

    Args:
        a: ranks.
        b: ranks.

    Source: Kendall 1938; Fagin et al. 2004 (ties, p = 1/2).
    """
    one, two = (np.sign(np.subtract.outer(np.asarray(r), np.asarray(r))) for r in (a, b))
    return float(np.triu(np.abs(one - two), 1).sum() / 2)


def top_agreement(a: Float[np.ndarray, " s"], b: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """For k = 1..s, the share of the first k of one ranking that are among the first k of the other.

    Systems that tie at the border share the places that are left: each is among the first k to the same degree, and two
    rankings have in common, of each system, the smaller of its two degrees. So equal rankings agree wholly.

    Args:
        a: ranks, 0 the best.
        b: ranks.

    Returns:
        In [0, 1]; 1 at k = s.

    Raises:
        ShapeError: if the two rankings are not of the same systems.

    Source: Colombo et al. 2022 (agreement of the first systems); ties are ours.
    """
    one, two = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 1 or not one.size:
        raise ShapeError(
            f"top_agreement: rankings have shapes {one.shape} and {two.shape}; give two of the same systems"
        )
    common = np.minimum(_degrees(one), _degrees(two)).sum(axis=1)
    return np.asarray(common / np.arange(1, one.size + 1))


def _degrees(ranks: Float[np.ndarray, " s"]) -> Float[np.ndarray, "s s"]:
    """How far each system (column) is among the first k (row k - 1)."""
    above = (ranks[None, :] < ranks[:, None]).sum(axis=1)
    tied = (ranks[None, :] == ranks[:, None]).sum(axis=1)
    return np.asarray(np.clip((np.arange(1, ranks.size + 1)[:, None] - above) / tied, 0.0, 1.0))


def kemeny(scores: Float[np.ndarray, "s t"]) -> Float[np.ndarray, " s"]:
    """The order with the smallest summed Kendall distance to the tasks' rankings, by trying them all.

    Borda's is at most five times as far (Coppersmith et al. 2010), and takes no search.

    Args:
        scores: at most 8 systems.

    Returns:
        Ranks without ties, 0 the best; of equally good orders the first in the order of the systems.

    Raises:
        InputError: if there are more than 8 systems.
    """
    table = _checked(scores, 2)
    s = len(table)
    if s > EXACT:
        raise InputError(f"kemeny: {s} systems have too many orders to try; use Borda's ranking above {EXACT}")
    ranks = task_ranks(table)
    # cost of putting i before j: the tasks that say otherwise, ties half; the order's cost is a sum over its pairs
    worse = (np.sign(ranks[:, None, :] - ranks[None, :, :]) + 1).sum(axis=2) / 2
    best = min(
        itertools.permutations(range(s)), key=lambda o: sum(worse[i, j] for i, j in itertools.combinations(o, 2))
    )
    return np.argsort(best).astype(np.float64)


def _distortion(ranking: Float[np.ndarray, " s"], ranks: Float[np.ndarray, "s t"]) -> float:
    return float(np.mean([kendall_distance(ranking, ranks[:, t]) for t in range(ranks.shape[1])]))


def _checked(scores: Float[np.ndarray, ...], dimensions: int) -> Float[np.ndarray, ...]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != dimensions or not table.size:
        want = "systems by tasks" if dimensions == 2 else "systems by instances by tasks"
        raise ShapeError(f"consensus: scores have shape {table.shape}; give {want}")
    if not np.isfinite(table).all():
        raise InputError("consensus: a score is not finite; leave out the task or the system that lacks it")
    return table
