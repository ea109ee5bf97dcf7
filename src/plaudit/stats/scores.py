"""Proper scores of probabilities, and Murphy's decomposition of the Brier score.

A pair with the chosen completion first always has the label 1; the proper scores are the same whichever
completion comes first, so they need no folding (calibration does, see `calibration.fold`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError

Floats = NDArray[np.float64]


def brier_terms(probability: ArrayLike, label: ArrayLike) -> Float[np.ndarray, " n"]:
    """`(p - y)^2` a row; NaN where either is NaN.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) in [0, 1]: 1 where the event happened, 0.5 for a tie.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a value lies outside [0, 1].
    """
    p, y = checked_probabilities("brier", probability, label)
    return np.asarray((p - y) ** 2)


def brier_score(probability: ArrayLike, label: ArrayLike) -> float:
    """Mean of `(p - y)^2`, in [0, 1]; 0.25 for p = 1/2 everywhere; NaN rows are left out.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) in [0, 1].

    Source: Brier 1950.
    """
    return _nanmean(brier_terms(probability, label))


def log_loss_terms(probability: ArrayLike, label: ArrayLike, *, eps: float = 1e-15) -> Float[np.ndarray, " n"]:
    """`-(y log p + (1 - y) log(1 - p))` a row, in nats; NaN where either is NaN.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) in [0, 1].
        eps: probabilities are clipped to [eps, 1 - eps], so that one sure mistake costs 34.5 nats, not
            infinity.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a value lies outside [0, 1].
    """
    p, y = checked_probabilities("log_loss", probability, label)
    p = np.clip(p, eps, 1 - eps)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def log_loss(probability: ArrayLike, label: ArrayLike, *, eps: float = 1e-15) -> float:
    """Mean negative log-likelihood in nats; log 2 = 0.693 for p = 1/2 everywhere. NaN rows are left out.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) in [0, 1].
        eps: probabilities are clipped to [eps, 1 - eps].

    Source: Good 1952.
    """
    return _nanmean(log_loss_terms(probability, label, eps=eps))


@dataclass(frozen=True)
class Murphy:
    """The Brier score in three parts: `reliability - resolution + uncertainty` (+ what binning hides).

    Attributes:
        reliability: weighted mean of (mean probability - frequency)^2 over bins; 0 is calibrated.
        resolution: weighted mean of (frequency - base rate)^2; more is better.
        uncertainty: base rate times its complement.
        within: what the three parts miss because probabilities differ within a bin; the four add up exactly.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within: float


def murphy(probability: ArrayLike, label: ArrayLike, *, n_bins: int = 10) -> Murphy:
    """Murphy's decomposition of the Brier score on equal-mass bins.

    Args:
        probability: (n,) in [0, 1]; NaN rows are left out.
        label: (n,) 0 or 1.
        n_bins: number of bins; equal probabilities share a bin.

    Source: Murphy 1973, "A New Vector Partition of the Probability Score"; Stephenson et al. 2008 (within-bin
    terms).

    Differs from the paper: equal-mass bins of continuous probabilities instead of finitely many forecasts, so
    the remainder is given instead of being zero.
    """
    from plaudit.stats.calibration import equal_mass_bins

    p, y = checked_probabilities("murphy", probability, label)
    keep = ~np.isnan(p + y)
    p, y = p[keep], y[keep]
    if not p.size:
        return Murphy(np.nan, np.nan, np.nan, np.nan)
    bins = equal_mass_bins(p, n_bins=n_bins)
    count = np.bincount(bins)
    mean_p = np.bincount(bins, weights=p) / count
    freq = np.bincount(bins, weights=y) / count
    base, share = y.mean(), count / p.size
    reliability = float(share @ (mean_p - freq) ** 2)
    resolution = float(share @ (freq - base) ** 2)
    # labels of 1/2 (ties) have no Bernoulli variance of their own: the total variance of the labels is the
    # right one
    uncertainty = float(y.var())
    within = float(((p - y) ** 2).mean()) - (reliability - resolution + uncertainty)
    return Murphy(reliability, resolution, uncertainty, within)


def checked_probabilities(who: str, probability: ArrayLike, label: ArrayLike) -> tuple[Floats, Floats]:
    """Probabilities and labels as float64, NaN kept.

    Args:
        who: named in the error.
        probability: any shape, in [0, 1].
        label: the same shape, in [0, 1].

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a value lies outside [0, 1].
    """
    p = np.asarray(probability, dtype=np.float64)
    y = np.asarray(label, dtype=np.float64)
    if p.shape != y.shape:
        raise ShapeError(f"{who}: probability has shape {p.shape} and label {y.shape}; they must be equal")
    for name, x in (("probability", p), ("label", y)):
        bad = np.flatnonzero((x < 0) | (x > 1))  # NaN compares false and passes: it is left out later
        if bad.size:
            raise InputError(f"{who}: {name} {int(bad[0])} is {x.flat[bad[0]]}; it must lie in [0, 1]")
    return p, y


def _nanmean(x: Floats) -> float:
    known = x[~np.isnan(x)]
    return float(known.mean()) if known.size else float("nan")
