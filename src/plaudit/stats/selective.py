"""Selective evaluation: what is gained by answering only where one is sure.

A certainty that is worth anything puts right answers before wrong ones: risk falls as coverage falls, and the area
under the ROC curve of certainty for correctness is above one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.stats.bootstrap import bootstrap_statistic
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]


def auroc(score: ArrayLike, label: ArrayLike, strata: ArrayLike | None = None) -> float:
    """Probability that a positive row scores above a negative one, ties half: the area under the ROC curve.

    `sum_s (sum of positives' ranks in s - P_s (P_s + 1) / 2) / sum_s P_s N_s`

    Args:
        score: (n,), higher should be positive; NaN rows are left out.
        label: (n,), 1 positive, 0 negative; rows of 1/2 (ties) belong to neither and are left out.
        strata: (n,) numbers; only rows of one stratum are compared with each other. Scores that were cross-fitted need
            their folds here: what is held out of a fit pulls the fit the other way, and rows of different folds would
            be ordered by that.

    Returns:
        The area in [0, 1]; NaN where no positive row can be compared with a negative one.

    Source: Hanley and McNeil 1982.
    """
    from scipy.stats import rankdata

    s, y, group = _rows("auroc", score, label, strata)
    s, y, group = s[y != 0.5], y[y != 0.5], group[y != 0.5]
    above, compared = 0.0, 0.0
    for at in (group == g for g in np.unique(group)):
        positive, negative = float(y[at].sum()), float((1 - y[at]).sum())
        above += float(rankdata(s[at])[y[at] == 1].sum()) - positive * (positive + 1) / 2
        compared += positive * negative
    return above / compared if compared else float("nan")


def auprc(score: ArrayLike, label: ArrayLike) -> float:
    """Average precision: the area under the precision-recall curve as a step function.

    `sum_k (R_k - R_{k-1}) P_k` over distinct scores from the highest; the share of positives is chance.

    Args:
        score: (n,); NaN rows are left out.
        label: (n,), 1 positive, 0 negative; rows of 1/2 are left out.

    Returns:
        The area in [0, 1]; NaN without a positive row.
    """
    s, y, _ = _rows("auprc", score, label)
    s, y = s[y != 0.5], y[y != 0.5]
    if not y.sum():
        return float("nan")
    values, inverse = np.unique(-s, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse.reshape(-1), weights=y, minlength=values.size))
    taken = np.cumsum(np.bincount(inverse.reshape(-1), minlength=values.size))
    return float(np.sum(np.diff(hits, prepend=0.0) / hits[-1] * hits / taken))


def auroc_estimate(
    score: ArrayLike, label: ArrayLike, clusters: Clusters | None = None, *, strata: ArrayLike | None = None,
    seed: int = 0, resamples: int = 1000,
) -> Estimate:  # fmt: skip
    """`auroc` with a bootstrap interval over clusters.

    Args:
        score: (n,); NaN rows are left out.
        label: (n,), 1, 0, or 1/2 for a tie, which is left out.
        clusters: (n,) labels (prompts), or None.
        strata: as in `auroc`.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
    """
    y = np.asarray(label, dtype=np.float64)
    group = np.zeros(y.shape) if strata is None else np.asarray(strata, dtype=np.float64)
    columns = [np.asarray(score, dtype=np.float64), np.where(y == 0.5, np.nan, y), group]
    return bootstrap_statistic(auroc, columns, clusters, seed=seed, resamples=resamples)


@dataclass(frozen=True)
class RiskCoverage:
    """Risk against coverage, from the most certain row alone to all rows.

    Attributes:
        coverage: share of rows answered, (k,), rising to 1; rows of equal certainty are answered together.
        risk: share of the answered rows that are wrong, (k,).
        area: mean risk over coverage, the area under the curve; lower is better.
    """

    coverage: Floats
    risk: Floats
    area: float


def risk_coverage(certainty: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """The risk of answering only the most certain rows, at every coverage.

    Args:
        certainty: (n,), any unit, higher is surer; NaN rows are left out.
        correct: (n,), 1, 0, or 1/2 for a tie.

    Returns:
        The curve; empty, with area NaN, without any row.

    Source: El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification"; Geifman, Uziel and
    El-Yaniv 2019 (area).
    """
    c, y, _ = _rows("risk_coverage", certainty, correct)
    if not c.size:
        return RiskCoverage(c, c, float("nan"))
    values, inverse = np.unique(-c, return_inverse=True)
    size = np.bincount(inverse.reshape(-1), minlength=values.size)
    wrong = np.cumsum(np.bincount(inverse.reshape(-1), weights=1 - y, minlength=values.size))
    answered = np.cumsum(size)
    risk = wrong / answered
    return RiskCoverage(answered / c.size, risk, float(risk @ size / c.size))


def most_certain(certainty: ArrayLike, share: float) -> Int[np.ndarray, " m"]:
    """Rows of the most certain fraction, in their order; rows as certain as the last one taken come with it.

    Args:
        certainty: (n,); NaN rows are never among them.
        share: fraction of the rows with a certainty to keep, in (0, 1].

    Raises:
        InputError: if the share is out of range.
    """
    if not 0 < share <= 1:
        raise InputError(f"most_certain: share is {share}; give a fraction above 0 and up to 1")
    c = np.asarray(certainty, dtype=np.float64)
    known = np.sort(c[~np.isnan(c)])[::-1]
    if not known.size:
        return np.zeros(0, dtype=np.int64)
    least = known[max(int(np.ceil(share * known.size)), 1) - 1]
    return np.asarray(np.flatnonzero(c >= least))


def discrimination_at(
    score: ArrayLike, label: ArrayLike, certainty: ArrayLike, shares: Sequence[float] = (1.0, 0.75, 0.5, 0.25)
) -> dict[float, tuple[float, float]]:
    """AUROC and AUPRC among the most certain rows, by the fraction that is kept.

    Args:
        score: (n,), what discriminates.
        label: (n,), 1 or 0.
        certainty: (n,), what is kept is chosen by it.
        shares: fractions in (0, 1].

    Returns:
        Fraction to `(auroc, auprc)`; NaN where only one class is left.
    """
    s, y = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    kept = {share: most_certain(certainty, share) for share in shares}
    return {share: (auroc(s[at], y[at]), auprc(s[at], y[at])) for share, at in kept.items()}


def _rows(
    who: str, score: ArrayLike, label: ArrayLike, strata: ArrayLike | None = None
) -> tuple[Floats, Float[np.ndarray, " n"], Floats]:
    s = np.asarray(score, dtype=np.float64).reshape(-1)
    y = np.asarray(label, dtype=np.float64).reshape(-1)
    group = np.zeros(y.size) if strata is None else np.asarray(strata, dtype=np.float64).reshape(-1)
    if not s.shape == y.shape == group.shape:
        raise ShapeError(f"{who}: {s.size} scores, {y.size} labels, {group.size} strata; they must be equal in number")
    keep = ~np.isnan(s + y)
    s, y, group = s[keep], y[keep], group[keep]
    bad = np.flatnonzero(~np.isin(y, (0.0, 0.5, 1.0)))
    if bad.size:
        raise InputError(f"{who}: a label is {y[bad[0]]}; give 1, 0, or 0.5 for a tie")
    return s, y, group
