"""Tests of a difference, and what to do with many of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError
from plaudit.stats.clusters import Clusters, cluster_codes


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value that wins and losses are equally likely; ties are left out beforehand.

    Args:
        wins: number of positive differences.
        losses: number of negative ones.

    Returns:
        `min(1, 2 P(X <= min(wins, losses)))` for X ~ Binomial(wins + losses, 1/2); 1 where there are none.

    Source: Arbuthnott 1710; Conover 1999, section 3.4.
    """
    from scipy.stats import binomtest

    n = wins + losses
    return float(binomtest(wins, n, 0.5).pvalue) if n else 1.0


def mcnemar_test(a_correct: ArrayLike, b_correct: ArrayLike) -> float:
    """Two-sided exact p-value that two models that judged the same rows err equally often.

    Args:
        a_correct: (n,), 1 or 0; rows where either is NaN, or where both are equal, carry no information.
        b_correct: (n,).

    Source: McNemar 1947, in its exact binomial form.
    """
    difference = np.asarray(a_correct, dtype=np.float64) - np.asarray(b_correct, dtype=np.float64)
    return sign_test(int((difference > 0).sum()), int((difference < 0).sum()))


def permutation_test(
    differences: ArrayLike, clusters: Clusters | None = None, *, seed: int = 0, permutations: int = 9999
) -> float:
    """Two-sided p-value that a paired difference is symmetric around 0: flips the signs of whole clusters.

    Args:
        differences: (n,); NaN rows are left out.
        clusters: (n,) labels, or None.
        seed: of the permutations.
        permutations: sign flips drawn; the p-value is at least 1 / (permutations + 1).

    Source: Fisher 1935, section 21; Phipson and Smyth 2010 (the + 1).
    """
    d = np.asarray(differences, dtype=np.float64).reshape(-1)
    codes, known = cluster_codes(clusters, d.size), ~np.isnan(d)
    if not known.any():
        return 1.0
    sums = np.bincount(codes[known], weights=d[known])
    rng, hits, chunk = np.random.default_rng(seed), 0, max(1, (1 << 22) // sums.size)
    # a shade of tolerance: the same sum in another order must count as equal
    limit = abs(sums.sum()) * (1 - 1e-12)
    for start in range(0, permutations, chunk):
        size = (min(chunk, permutations - start), sums.size)
        hits += int((np.abs((rng.integers(0, 2, size=size) * 2 - 1) @ sums) >= limit).sum())
    return (hits + 1) / (permutations + 1)


def benjamini_hochberg(p_values: ArrayLike) -> Float[np.ndarray, " m"]:
    """Adjusted p-values; those at or below q form a set of discoveries with expected false share q.

    Args:
        p_values: (m,) in [0, 1]; NaN (a test that was not made) stays NaN and does not count in m.

    Raises:
        InputError: if a p-value lies outside [0, 1].

    Source: Benjamini and Hochberg 1995.
    """
    p, order, adjusted = _ordered("benjamini_hochberg", p_values)
    m = order.size
    scaled = p[order] * m / np.arange(1, m + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def holm(p_values: ArrayLike) -> Float[np.ndarray, " m"]:
    """Adjusted p-values; among those at or below q the chance of any false discovery is at most q, however they depend.

    `max_{j <= i} (m - j + 1) p_(j)` for the i-th smallest, at most 1: never weaker than Bonferroni's `m p`.

    Args:
        p_values: (m,) in [0, 1]; NaN (a test that was not made) stays NaN and does not count in m.

    Raises:
        InputError: if a p-value lies outside [0, 1].

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    p, order, adjusted = _ordered("holm", p_values)
    m = order.size
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (m - np.arange(m))), 1.0)
    return adjusted


def _ordered(who: str, p_values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """The p-values, the places of those that are known from the smallest on, and NaN for each adjusted one."""
    p = np.asarray(p_values, dtype=np.float64).reshape(-1)
    if ((p < 0) | (p > 1)).any():
        raise InputError(f"{who}: a p-value is {p[(p < 0) | (p > 1)][0]}; it must lie in [0, 1]")
    known = np.flatnonzero(~np.isnan(p))
    return p, known[np.argsort(p[known], kind="stable")], np.full(p.shape, np.nan)
