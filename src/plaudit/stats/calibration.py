"""Calibration error on equal-mass bins, the floor that a perfect model shows, and the reliability curve.

Pairs whose chosen completion always comes first have the label 1 in every row, and "calibrated" would mean p
= 1: fold to confidence first (`fold`). An ECE is biased upwards, a perfectly calibrated model shows about
0.045 at n = 500 with ten bins: print `calibration_floor` beside it, or take the debiased estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]


def fold(probability: ArrayLike) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Confidence and correctness of pairs from the probability that the chosen completion wins.

    `confidence = max(p, 1 - p)`, `correct = 1[p > 1/2]`, one half at p = 1/2.

    Args:
        probability: (n,) in [0, 1]; NaN stays NaN in both.
    """
    p = np.asarray(probability, dtype=np.float64)
    correct = np.where(p == 0.5, 0.5, (p > 0.5).astype(np.float64))
    return np.maximum(p, 1 - p), np.where(np.isnan(p), np.nan, correct)


def equal_mass_bins(x: Floats, *, n_bins: int) -> Int[np.ndarray, " n"]:
    """Bin numbers 0..b-1 of values in bins of nearly equal counts; b <= n_bins, no bin is empty.

    Equal values share the bin of the middle of their block, so the result does not depend on the order of the
    rows.

    Args:
        x: (n,), no NaN.
        n_bins: at most so many bins.
    """
    if n_bins < 1:
        raise InputError(f"calibration: n_bins is {n_bins}; give at least 1")
    _, inverse, count = np.unique(x, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count + 1) / 2
    raw = np.minimum((middle * n_bins / max(x.size, 1)).astype(np.int64), n_bins - 1)[inverse.reshape(-1)]
    return np.asarray(np.unique(raw, return_inverse=True)[1]).reshape(-1)


def calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int = 10,
    norm: Literal[1, 2] = 1,
    debias: bool = False,
) -> float:
    """Expected calibration error on equal-mass bins.

    `(sum_b n_b/n |mean confidence_b - accuracy_b|^norm)^(1/norm)`

    Args:
        confidence: (n,) in [0, 1]; NaN rows are left out.
        correct: (n,), 1, 0, or 0.5 for a tie.
        n_bins: number of bins.
        norm: 1 for the ECE, 2 for the root mean square.
        debias: take off what sampling noise adds. norm 2: minus a(1 - a)/(n_b - 1) a bin, floored at 0; norm
            1: minus the excess of the folded normal's mean over |gap|, which can leave a small negative
            number.

    Returns:
        The error; NaN without any row.

    Source: Naeini et al. 2015 (ECE); Kumar, Liang and Ma 2019, "Verified Uncertainty Calibration", section 5
    (debiasing).

    Differs from the paper: equal-mass bins; the norm-1 correction uses the folded normal's mean in closed
    form where the paper simulates it.
    """
    c, y = _complete(confidence, correct)
    if not c.size:
        return float("nan")
    bins = equal_mass_bins(c, n_bins=n_bins)
    count = np.bincount(bins).astype(np.float64)
    sums = [np.bincount(bins, weights=x)[None, :] for x in (c, y)]
    return float(_error(count[None, :], sums[0], sums[1], norm, debias)[0])


def maximum_calibration_error(confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 10) -> float:
    """Maximum calibration error on equal-mass bins: `max_b |mean confidence_b - accuracy_b|`.

    It is that of the worst bin, and chance alone makes it larger the fewer rows a bin has: compare it between
    models on the same rows.

    Args:
        confidence: (n,) in [0, 1]; NaN rows are left out.
        correct: (n,), 1, 0, or 0.5 for a tie.
        n_bins: number of bins.

    Returns:
        The error; NaN without any row.

    Source: Naeini et al. 2015; with the other two in "On Diversified Preferences of LLM Alignment" [130].

    Differs from the paper: equal-mass bins.
    """
    c, y = _complete(confidence, correct)
    if not c.size:
        return float("nan")
    bins = equal_mass_bins(c, n_bins=n_bins)
    count = np.bincount(bins)
    return float(np.max(np.abs(np.bincount(bins, weights=c - y)[count > 0] / count[count > 0])))


def adaptive_calibration_error(probability: ArrayLike, label: ArrayLike, *, n_bins: int = 10) -> float:
    """Adaptive calibration error: the mean over classes and equal-mass bins of |mean probability - frequency|.

    Every bin weighs alike, and every class counts: `1/(K R) sum_k sum_r |frequency_rk - probability_rk|`. With two
    classes and the label 1 in every row (pairs with the chosen one first) it is degenerate, as every unfolded error is:
    mirror the rows first.

    Args:
        probability: (n, k), rows adding up to 1, or (n,) of the second of two classes; NaN rows are left out.
        label: (n,), number of the true class.
        n_bins: bins a class.

    Returns:
        The error; NaN without any row.

    Raises:
        ShapeError: if rows and labels differ in number.
        InputError: if a label is no class, or a probability lies outside [0, 1].

    Source: Nixon et al. 2019, "Measuring Calibration in Deep Learning".
    """
    p = np.asarray(probability, dtype=np.float64)
    p = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    y = np.asarray(label, dtype=np.float64).reshape(-1)
    if len(p) != y.size:
        raise ShapeError(f"calibration: {len(p)} rows of probabilities and {y.size} labels; they must be as many")
    keep = ~np.isnan(p.sum(axis=1) + y)
    p, y = p[keep], y[keep]
    if not y.size:
        return float("nan")
    if not np.isin(y, np.arange(p.shape[1])).all():
        raise InputError(f"calibration: a label is no class number; give 0 to {p.shape[1] - 1}")
    gaps = []
    for k, column in enumerate(p.T):
        c, hit = _complete(column, y == k)
        bins = equal_mass_bins(c, n_bins=n_bins)
        gaps.append(np.abs(np.bincount(bins, weights=c) - np.bincount(bins, weights=hit)) / np.bincount(bins))
    return float(np.mean([gap.mean() for gap in gaps]))


def calibration_estimate(
    confidence: ArrayLike,
    correct: ArrayLike,
    clusters: Clusters | None = None,
    *,
    by: ArrayLike | None = None,
    n_bins: int = 10,
    norm: Literal[1, 2] = 1,
    debias: bool = False,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """`calibration_error` with an interval over clusters; the bins stay those of the data.

    The interval is recentred: a resample of a noisy sample is noisier still, and the plain percentile
    interval of an ECE can lie wholly above its value.

    Args:
        confidence: (n,) in [0, 1]; NaN rows are left out.
        correct: (n,), 1, 0, or 0.5 for a tie.
        clusters: (n,) labels (prompts), or None.
        by: (n,) what the bins are made of, the confidence itself by default. Confidences that were cross-fitted need
            something that was not: a fold whose labels came out badly leaves the other folds' maps too sure of it, so
            that bins of the confidence sort rows by the luck of their fold.
        n_bins: as in `calibration_error`.
        norm: as in `calibration_error`.
        debias: as in `calibration_error`.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
    """
    codes = cluster_codes(clusters, np.size(confidence))
    keep = ~np.isnan(np.asarray(confidence, dtype=np.float64) + np.asarray(correct, dtype=np.float64)).reshape(-1)
    c, y = _complete(confidence, correct)
    if not c.size:
        return Estimate(float("nan"), n=0, method="no value")
    bins = equal_mass_bins(c if by is None else np.asarray(by, dtype=np.float64).reshape(-1)[keep], n_bins=n_bins)
    onehot = (bins[:, None] == np.arange(bins.max() + 1)).astype(np.float64)
    b = onehot.shape[1]
    columns = [*onehot.T, *(onehot * c[:, None]).T, *(onehot * y[:, None]).T]

    def error(totals: Floats) -> Floats:
        return _error(totals[:, :b], totals[:, b : 2 * b], totals[:, 2 * b :], norm, debias)

    found = bootstrap_totals(error, columns, codes[keep], seed=seed, resamples=resamples, level=level, recentre=True)
    floor = min(found.value, 0.0)  # no error is below 0, but debiasing may leave one, and an interval holds its value
    return replace(found, low=max(found.low, floor), high=max(found.high, 0.0)) if found.low == found.low else found


def _error(count: Floats, confidence: NDArray[Any], correct: NDArray[Any], norm: int, debias: bool) -> Floats:
    """Calibration errors (r,) from counts and sums of confidence and correctness in bins, each (r, b)."""
    some = np.maximum(count, 1)  # a bin that a resample left empty has weight 0
    accuracy = correct / some
    gap = np.abs(accuracy - confidence / some)
    noise = accuracy * (1 - accuracy) / np.maximum(count - 1, 1)
    share = count / count.sum(axis=1, keepdims=True)
    if norm == 1:
        excess = _folded_excess(gap, noise) if debias else 0.0
        return np.asarray(((gap - excess) * share).sum(axis=1))
    square = ((gap**2 - (noise if debias else 0.0)) * share).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _folded_excess(gap: Floats, variance: Floats) -> Floats:
    """`E|N(gap, variance)| - gap`, which is 0 where there is no variance."""
    from scipy.special import ndtr

    sd = np.sqrt(variance)
    z = np.divide(gap, sd, out=np.full_like(gap, np.inf), where=sd > 0)
    mean = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * z**2) + gap * (1 - 2 * ndtr(-z))
    return np.asarray(mean - gap)


def calibration_floor(
    confidence: ArrayLike,
    *,
    by: ArrayLike | None = None,
    n_bins: int = 10,
    norm: Literal[1, 2] = 1,
    seed: int = 0,
    draws: int = 400,
    level: float = 0.95,
) -> Estimate:
    """The calibration error that a perfectly calibrated model shows at these confidences.

    Labels are drawn with the stated confidences; an error inside the interval is no evidence of
    miscalibration.

    Args:
        confidence: (n,) in [0, 1]; NaN rows are left out.
        by: as in `calibration_estimate`.
        n_bins: as in `calibration_error`.
        norm: as in `calibration_error`.
        seed: of the simulation.
        draws: simulated data sets.
        level: of the interval of one data set's error.

    Returns:
        Mean of the simulated errors, with the interval in which a single one falls.
    """
    c, _ = _complete(confidence, np.zeros(np.shape(confidence)))
    if not c.size:
        return Estimate(float("nan"), n=0, method="no value")
    keep = ~np.isnan(np.asarray(confidence, dtype=np.float64)).reshape(-1)
    made_of = c if by is None else np.asarray(by, dtype=np.float64).reshape(-1)[keep]
    errors = _simulated(c, equal_mass_bins(made_of, n_bins=n_bins), norm, seed, draws)
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        float(errors.mean()),
        float(low),
        float(high),
        int(c.size),
        f"{draws} simulated calibrated models, {level:.0%}",
    )


def _simulated(c: Floats, bins: NDArray[np.int64], norm: int, seed: int, draws: int) -> Floats:
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(bins, weights=(rng.random(c.size) < c)) for _ in range(draws)])
    count = np.bincount(bins).astype(np.float64)[None, :]
    return _error(count, np.bincount(bins, weights=c)[None, :], drawn, norm, False)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy against confidence, bin by bin.

    Attributes:
        confidence: mean confidence of each bin (b,).
        accuracy: share correct in each bin (b,), ties half.
        low: lower end of the accuracy's Wilson interval (b,).
        high: upper end (b,).
        band_low: lower end of where a calibrated model's accuracy would fall (b,).
        band_high: upper end (b,).
        count: rows in each bin (b,).
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    count: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The curve as JSON takes it."""
        return {name: list(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> ReliabilityCurve:
        """The inverse of `to_dict`."""
        return cls(**{name: tuple(row[name]) for name in cls.__dataclass_fields__})


def reliability_curve(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int = 10,
    seed: int = 0,
    draws: int = 400,
    level: float = 0.95,
) -> ReliabilityCurve:
    """The reliability diagram's numbers, with the band in which a calibrated model would fall.

    Args:
        confidence: (n,) in [0, 1]; NaN rows are left out.
        correct: (n,), 1, 0, or 0.5 for a tie.
        n_bins: number of equal-mass bins.
        seed: of the band's simulation.
        draws: simulated data sets.
        level: of the intervals and of the band, bin by bin.

    Source: Broecker and Smith 2007, "Increasing the Reliability of Reliability Diagrams" (consistency bars).
    """
    from plaudit.stats.intervals import wilson

    c, y = _complete(confidence, correct)
    if not c.size:
        return ReliabilityCurve((), (), (), (), (), (), ())
    bins = equal_mass_bins(c, n_bins=n_bins)
    count = np.bincount(bins)
    hits = np.bincount(bins, weights=y)
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(bins, weights=(rng.random(c.size) < c)) / count for _ in range(draws)])
    band = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    ends = [wilson(float(h), int(n), level=level) for h, n in zip(hits, count, strict=True)]
    return ReliabilityCurve(
        confidence=_floats(np.bincount(bins, weights=c) / count),
        accuracy=_floats(hits / count),
        low=tuple(e.low for e in ends),
        high=tuple(e.high for e in ends),
        band_low=_floats(band[0]),
        band_high=_floats(band[1]),
        count=tuple(int(n) for n in count),
    )


def _floats(x: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in x)


def _complete(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats]:
    c = np.asarray(confidence, dtype=np.float64).reshape(-1)
    y = np.asarray(correct, dtype=np.float64).reshape(-1)
    if c.shape != y.shape:
        raise ShapeError(f"calibration: {c.size} confidences and {y.size} labels; they must be equal in number")
    keep = ~np.isnan(c + y)
    c, y = c[keep], y[keep]
    for name, x in (("confidence", c), ("label", y)):
        if x.size and (x.min() < 0 or x.max() > 1):
            raise InputError(f"calibration: a {name} is {x.min() if x.min() < 0 else x.max()}; it must lie in [0, 1]")
    return c, y
