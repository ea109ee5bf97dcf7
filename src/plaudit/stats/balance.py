"""Balance: is a model as often right as it says, over all rows at once, without bins.

Differs from the paper: the paper states properties of its score (0 where the prediction equals the base rate, |q - p|
for a constant prediction), and the mean gain below is the simplest function that has them; the signed form is ours.

Its blind spot: over-confidence on one half of the rows and equal under-confidence on the other cancel to 0, while the
binned calibration error shows both. Take it by slice, or beside the calibration error, never alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.calibration import fold
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.scores import checked_probabilities

Floats = NDArray[np.float64]


def balance_gains(probability: ArrayLike, label: ArrayLike) -> Float[np.ndarray, " n"]:
    """What each row adds: `1 - c` where the favoured side won, `-c` where it lost, with `c = max(p, 1 - p)`.

    That is correctness minus confidence: its mean is accuracy minus mean confidence. A row with p = 1/2 favours no
    side and gives 0; a tie (label 1/2) is half a win.

    Args:
        probability: (n,) in [0, 1], of the event.
        label: (n,) in [0, 1]: 1 where it happened; for pairs with the chosen one first, 1 everywhere.

    Returns:
        (n,) in [-1, 1/2]; NaN where either is NaN.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a value lies outside [0, 1].

    Source: catalogue [75], "Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data".
    """
    p, y = checked_probabilities("balance", probability, label)
    confidence, _ = fold(p)
    correct = np.where(p > 0.5, y, np.where(p < 0.5, 1 - y, 0.5))
    return np.asarray(np.where(np.isnan(p + y), np.nan, correct - confidence))


def balance_score(probability: ArrayLike, label: ArrayLike, *, signed: bool = False) -> float:
    """`|mean gain| = |accuracy - mean confidence|`; signed, below 0 is over-confident and above 0 under-confident.

    Args:
        probability: (n,) in [0, 1]; NaN rows are left out.
        label: (n,) in [0, 1].
        signed: without the absolute value.

    Returns:
        The score; NaN without any row.
    """
    gains = balance_gains(probability, label)
    known = gains[~np.isnan(gains)]
    mean = float(known.mean()) if known.size else float("nan")
    return mean if signed else abs(mean)


def balance_estimate(
    probability: ArrayLike, label: ArrayLike, clusters: Clusters | None = None, *, signed: bool = False, **options: Any
) -> Estimate:
    """`balance_score` with an interval over clusters.

    The interval of the absolute score is the image of the signed one: resampled absolute values are biased upwards and
    could never hold 0.

    Args:
        probability: (n,) in [0, 1]; NaN rows are left out.
        label: (n,) in [0, 1].
        clusters: (n,) labels (prompts), or None.
        signed: as in `balance_score`.
        **options: `seed`, `resamples` and `level` of `bootstrap_mean`.
    """
    found = bootstrap_mean(balance_gains(probability, label), clusters, **options)
    if signed:
        return found
    ends = sorted((abs(found.low), abs(found.high)))
    low = 0.0 if found.low <= 0 <= found.high else ends[0]
    return replace(found, value=abs(found.value), low=low if found.low == found.low else found.low, high=ends[1])
