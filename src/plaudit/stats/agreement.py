"""Agreement of raters beyond chance: Cohen's and Fleiss's kappa, Krippendorff's alpha.

A share of equal answers flatters raters who all say the frequent thing. These divide what disagreement there is by what
raters would show who answered at random with the same frequencies: 1 is perfect, 0 is chance, below 0 is worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.stats.bootstrap import bootstrap_statistic
from plaudit.stats.estimate import Estimate

Level = Literal["nominal", "ordinal", "interval"]
LEVELS = ("nominal", "ordinal", "interval")
Table = Float[np.ndarray, "n r"]


def cohen_kappa(a: ArrayLike, b: ArrayLike, *, weights: Literal["none", "linear", "quadratic"] = "none") -> float:
    """Agreement of two raters, `1 - sum w o / sum w e` with o the observed and e the expected table.

    Args:
        a: answers as numbers, (n,); rows where either is NaN are left out.
        b: answers of the other rater.
        weights: how far apart two answers count: all alike, by their places in the sorted answers, or by the square.

    Returns:
        Kappa, at most 1; NaN without a row, or where both always give the same one answer.

    Raises:
        ShapeError: if the two differ in length.
        InputError: if the weights are not known.

    Source: Cohen 1960; Cohen 1968 (weights).
    """
    x, y = np.asarray(a, dtype=np.float64).reshape(-1), np.asarray(b, dtype=np.float64).reshape(-1)
    if x.shape != y.shape:
        raise ShapeError(f"cohen_kappa: {x.size} and {y.size} answers; two raters answer the same rows")
    if weights not in ("none", "linear", "quadratic"):
        raise InputError(
            f"cohen_kappa: weights {weights!r} is not known; {nearest(weights, ('none', 'linear', 'quadratic'))}"
        )
    known = ~np.isnan(x + y)
    if not known.any():
        return math.nan
    values, codes = np.unique(np.concatenate([x[known], y[known]]), return_inverse=True)
    one, two = np.split(codes.reshape(-1), 2)
    k = values.size
    observed = np.bincount(one * k + two, minlength=k * k).reshape(k, k) / one.size
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = {"none": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    chance = float((cost * np.outer(observed.sum(axis=1), observed.sum(axis=0))).sum())
    return 1.0 - float((cost * observed).sum()) / chance if chance else math.nan


def fleiss_kappa(ratings: Table) -> float:
    """Agreement of several raters on categories, `(P - P_e) / (1 - P_e)`.

    Args:
        ratings: units by raters, categories as numbers; NaN where a rater said nothing. Every unit needs equally many
            answers; which raters gave them does not matter.

    Returns:
        Kappa; NaN where all answers are the same.

    Raises:
        InputError: if units differ in the number of answers, or have fewer than two.

    Source: Fleiss 1971.
    """
    values, counts = _counts("fleiss_kappa", ratings)
    if not values.size:
        return math.nan
    m = counts.sum(axis=1)
    if len(set(m.tolist())) > 1 or m[0] < 2:
        raise InputError(
            f"fleiss_kappa: units have {int(m.min())} to {int(m.max())} answers; it needs equally many, at least two: "
            "use krippendorff_alpha"
        )
    agreed = float(((counts * (counts - 1)).sum(axis=1) / (m * (m - 1))).mean())
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (agreed - chance) / (1 - chance) if chance < 1 else math.nan


def krippendorff_alpha(ratings: Table, *, level: Level = "nominal") -> float:
    """Agreement of any number of raters with answers missing, `1 - D_o / D_e`.

    `D_o` is the mean squared distance of two answers on the same unit, `D_e` that of any two answers. Distances:
    nominal 0 or 1; interval `(c - k)^2`; ordinal the square of the answers ranked between c and k.

    Args:
        ratings: units by raters, answers as numbers; NaN where there is none. Units with one answer say nothing.
        level: nominal, ordinal or interval.

    Returns:
        Alpha, at most 1; NaN where no unit has two answers, or all answers are the same.

    Raises:
        InputError: if the level is not known.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
    """
    if level not in LEVELS:
        raise InputError(f"krippendorff_alpha: level {level!r} is not known; {nearest(level, LEVELS)}")
    values, counts = _counts("krippendorff_alpha", ratings)
    counts = counts[counts.sum(axis=1) >= 2]
    m = counts.sum(axis=1)
    if not m.size:
        return math.nan
    # a pair of answers of a unit weighs 1 / (m - 1), so that every answer counts once
    pairs = (counts / (m - 1)[:, None]).T @ counts - np.diag((counts / (m - 1)[:, None]).sum(axis=0))
    total = counts.sum(axis=0)
    chance = (np.outer(total, total) - np.diag(total)) / (total.sum() - 1)
    distance = _distance(values, total, level)
    expected = float((distance * chance).sum())
    return 1.0 - float((distance * pairs).sum()) / expected if expected else math.nan


def agreement_estimate(
    statistic: Callable[[Table], float], ratings: Table, *, seed: int = 0, resamples: int = 1000
) -> Estimate:
    """A statistic of agreement with an interval that resamples units.

    Args:
        statistic: from units by raters to a number, such as `fleiss_kappa`.
        ratings: units by raters, NaN where there is no answer.
        seed: of the bootstrap.
        resamples: number of resamples.
    """
    table = np.asarray(ratings, dtype=np.float64)
    rows = np.arange(len(table), dtype=np.float64)
    return bootstrap_statistic(lambda r: statistic(table[r.astype(np.int64)]), [rows], seed=seed, resamples=resamples)


def _distance(
    values: Float[np.ndarray, " k"], total: Float[np.ndarray, " k"], level: Level
) -> Float[np.ndarray, "k k"]:
    if level == "nominal":
        return 1.0 - np.eye(values.size)
    # ordinal: answers from c to k, of which the two ends count half; the middle of each value's ranks does that
    place = values if level == "interval" else np.cumsum(total) - total / 2
    return np.asarray(np.subtract.outer(place, place) ** 2)


def _counts(who: str, ratings: Table) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    """The distinct answers, and how often each unit has each; units without an answer are left out."""
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ShapeError(f"{who}: ratings have shape {table.shape}; give units by raters")
    unit, rater = np.nonzero(~np.isnan(table))
    values, codes = np.unique(table[unit, rater], return_inverse=True)
    counts = np.zeros((len(table), values.size))
    np.add.at(counts, (unit, codes.reshape(-1)), 1.0)
    return values, counts[counts.sum(axis=1) > 0]
