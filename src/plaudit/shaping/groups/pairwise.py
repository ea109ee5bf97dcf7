"""Advantages out of comparisons within a group: win rates, and a judge's strengths without a detour over scores.

Both take the comparisons as pairs of sample indices, since a judge is asked about some pairs only, and skip pairs that
are undecided: `NaN` changes nothing for the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats, Groups, Labels

Pairs = NDArray[np.int64]


def pairs_within(groups: Labels | Groups) -> Pairs:
    """All unordered pairs of different samples of a group, (m, 2), the lower index first.

    Args:
        groups: a label a sample.
    """
    g = Groups.of(groups)
    starts = np.concatenate([[0], np.cumsum(g.size)])[:-1]
    found = [np.zeros((0, 2), dtype=np.int64)]
    for size in np.unique(
        g.size[g.size >= 2]
    ).tolist():  # groups of one size at a time: what is made is what is returned
        first, second = np.triu_indices(size, k=1)
        at = starts[g.size == size][:, None]
        found.append(np.sort(np.stack([g.order[at + first].ravel(), g.order[at + second].ravel()], axis=1), axis=1))
    both = np.concatenate(found)
    return both[np.lexsort((both[:, 1], both[:, 0], g.code[both[:, 0]]))]


def group_win_rates(
    probability: ArrayLike, pairs: ArrayLike, *, n: int, with_self: bool = False
) -> Float[np.ndarray, " n"]:
    """`mean over opponents j of P(i is better than j)`, in [0, 1].

    Args:
        probability: (m,) that the first of each pair is better: 1, 0, 1/2 for a tie or an answer that could not be
            read, or anything between; NaN where the pair is undecided by no fault of either.
        pairs: (m, 2) sample indices, each unordered pair once.
        n: samples.
        with_self: counts every completion against itself too, as a tie: a group's rates are then `(rank - 1/2) / n`
            where a score decides.

    Returns:
        NaN for samples without a decided pair. Over a group in which all pairs are decided the mean is 1/2.

    Raises:
        ShapeError: if probabilities and pairs differ in number.
        InputError: if a probability is outside [0, 1].

    Source: Wang et al. 2025, "Pref-GRPO" [128].
    """
    p, both = _checked("group_win_rates", probability, pairs, n)
    if p.size and not (np.fmin.reduce(p, initial=0) >= 0 and np.fmax.reduce(p, initial=0) <= 1):
        raise InputError(f"group_win_rates: a probability is {p[(p < 0) | (p > 1)][0]}; give values in [0, 1], or NaN")
    total, count = _sums(p, 1 - p, both, n)
    met = count > 0
    if with_self:
        total, count = total + 0.5 * met, count + met
    return np.where(met, total / np.maximum(count, 1), np.nan)


def pairwise_advantages(
    strength: ArrayLike, pairs: ArrayLike, groups: Labels | Groups, *, epsilon: float = 1e-6
) -> Float[np.ndarray, " n"]:
    """`A_i = (1 / G) sum_j D_ij / sqrt(sum_ij D_ij^2 / (2 G (G - 1)) + epsilon)`, D antisymmetric.

    Where `D_ij = r_i - r_j` this is `(r_i - mean) / std` with the deviation over G - 1: the group advantage of scores,
    got without scores. Judgements that run in circles need none.

    Args:
        strength: (m,) D of each pair, by how much the first is better, such as -3 to 3; 0 for a judgement that could
            not be read, as in the paper; NaN where a machine failed: no judgement.
        pairs: (m, 2) sample indices, each unordered pair of a group once; pairs that were not asked about count as 0.
        groups: a label a sample; G counts those of its group with at least one judgement.
        epsilon: in squared units of the strength.

    Returns:
        Advantages, (n,), of sum 0 in each group; 0 without a judgement.

    Raises:
        ShapeError: if strengths and pairs differ in number.
        InputError: if a pair lies in two groups, or a strength is infinite.

    Source: Hong et al. 2025, "Think-RM", section 3.3 [143].
    """
    g = Groups.of(groups)
    d, both = _checked("pairwise_advantages", strength, pairs, len(g))
    if np.isinf(d).any():
        raise InputError("pairwise_advantages: a strength is infinite; give finite values, and NaN where there is none")
    of_first, of_second = (g.code[at] for at in np.ascontiguousarray(both.T))
    if (apart := of_first != of_second).any():
        i, j = both[int(apart.argmax())].tolist()
        raise InputError(f"pairwise_advantages: samples {i} and {j} are of two groups; compare within groups")
    total, judged = _sums(d, -d, both, len(g))
    met = judged > 0
    size = np.maximum(g.size if met.all() else np.bincount(g.code[met], minlength=g.count), 2)
    # each unordered pair stands for D_ij and D_ji
    known = d if 2 * len(d) == judged.sum() else np.nan_to_num(d)
    squares = 2 * np.bincount(of_first, weights=known * known, minlength=g.count)
    scale = np.sqrt(squares / (2 * size * (size - 1)) + epsilon)
    return np.asarray(total / (size * np.where(scale > 0, scale, 1.0))[g.code])


def _sums(first: Floats, second: Floats, pairs: Pairs, n: int) -> tuple[Floats, NDArray[Any]]:
    """What each sample got of its pairs, and how many of them counted."""
    missing = np.isnan(first)
    if missing.any():
        first, second, pairs = first[~missing], second[~missing], pairs[~missing]
    got, count = np.zeros(n), np.zeros(n, dtype=np.int64)
    for at, worth in zip(np.ascontiguousarray(pairs.T), (first, second), strict=True):
        got += np.bincount(at, weights=worth, minlength=n)
        count += np.bincount(at, minlength=n)
    return got, count


def _checked(who: str, value: ArrayLike, pairs: ArrayLike, n: int) -> tuple[Floats, Pairs]:
    v, both = np.asarray(value, dtype=np.float64), np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if v.shape != (len(both),):
        raise ShapeError(f"{who}: {v.shape} values for {len(both)} pairs; give one a pair")
    if n < 0:
        raise InputError(f"{who}: n is {n}; give the number of samples")
    if both.size and (both.min() < 0 or both.max() >= n):
        raise ShapeError(f"{who}: pairs name samples {both.min()} to {both.max()} of {n}; give indices of samples")
    return v, both
