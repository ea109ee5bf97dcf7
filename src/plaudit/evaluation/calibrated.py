"""What a calibration changes, in numbers: scores of the probabilities before it and after it, on the same pairs.

The probabilities after it are cross-fitted (`plaudit.rewards.calibrators.cross_fitted`): each pair is judged by a
calibrator that saw none of its prompt's pairs. What is held out of a fit pulls the fit the other way, so probabilities
of different folds are not compared with each other: calibration errors are binned by the size of the margin, and areas
under the curve compare pairs of one fold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.evaluation.strata import without_interval
from plaudit.rewards.calibrators.crossing import CrossFitted
from plaudit.stats.balance import balance_estimate
from plaudit.stats.bootstrap import bootstrap_mean, paired_difference
from plaudit.stats.calibration import calibration_estimate, calibration_floor, fold
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share
from plaudit.stats.scores import brier_terms, log_loss_terms
from plaudit.stats.selective import auroc_estimate

Floats = NDArray[np.float64]


def probability_metrics(
    probability: ArrayLike, clusters: Clusters | None = None, *, by: ArrayLike | None = None,
    folds: ArrayLike | None = None, n_bins: int = 10, seed: int = 0, resamples: int = 2000,
) -> dict[str, Estimate]:  # fmt: skip
    """How good probabilities are on pairs with the chosen one first.

    Args:
        probability: (n,) that the chosen one wins; NaN rows are left out.
        clusters: (n,) labels (prompts), or None.
        by: (n,) what the calibration error is binned by; the confidence by default.
        folds: (n,) only pairs of one fold are compared for the area under the curve; all of them by default.
        n_bins: bins of the calibration error.
        seed: of every bootstrap and simulation.
        resamples: number of bootstrap resamples.

    Returns:
        `log_loss` in nats, `brier`, `calibration_error` (folded) beside `calibration_floor`, `balance` (signed:
        accuracy minus mean confidence, below 0 over-confident), `auroc` of confidence for correctness.
    """
    p = np.asarray(probability, dtype=np.float64)
    codes, won = cluster_codes(clusters, p.size), np.where(np.isnan(p), np.nan, 1.0)
    confidence, right = fold(p)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    return {
        "log_loss": without_interval(bootstrap_mean(log_loss_terms(p, won), codes, **options)),
        "brier": share(brier_terms(p, won), codes, **options),
        "calibration_error": calibration_estimate(confidence, right, codes, by=by, n_bins=n_bins, **options),
        "calibration_floor": calibration_floor(confidence, by=by, n_bins=n_bins, seed=seed),
        "balance": balance_estimate(p, won, codes, signed=True, **options),
        "auroc": auroc_estimate(confidence, right, codes, strata=folds, seed=seed, resamples=min(resamples, 500)),
    }


def set_metrics(
    crossed: CrossFitted, probability: ArrayLike, clusters: Clusters | None = None, **options: Any
) -> dict[str, Estimate]:
    """Coverage and size of conformal sets on pairs with the chosen one first.

    Args:
        crossed: with its sets.
        probability: (n,), NaN where a pair has no margin and so no set.
        clusters: (n,) labels (prompts), or None.
        **options: `seed` and `resamples` of the bootstrap.

    Returns:
        `coverage`, a mean over prompts of the mean over their pairs, which is what is promised; `set_size`, and
        `abstained`, the share of sets that hold both; empty without sets.
    """
    if crossed.sets is None:
        return {}
    known = ~np.isnan(np.asarray(probability, dtype=np.float64))
    size = np.where(known, crossed.sets.sum(axis=1), np.nan)
    return {
        "coverage": share(_means(crossed.sets[:, 0][known], cluster_codes(clusters, known.size)[known]), **options),
        "set_size": without_interval(bootstrap_mean(size, clusters, **options)),
        "abstained": share(np.where(known, size == 2, np.nan), clusters, **options),
    }


def _means(values: NDArray[np.bool_], codes: NDArray[np.int64]) -> Floats:
    """The mean of each cluster that has a value."""
    _, place = np.unique(codes, return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def calibration_metrics(
    margin: ArrayLike, before: ArrayLike | None, crossed: CrossFitted, clusters: Clusters | None = None, *,
    n_bins: int = 10, seed: int = 0, resamples: int = 2000,
) -> dict[str, Estimate]:  # fmt: skip
    """The table of `plaudit calibrate`.

    Args:
        margin: (n,) the reward's own log-odds: their sizes are what calibration errors are binned by.
        before: (n,) probabilities before, or None where the reward stated none.
        crossed: what the calibrators of the other folds say of each pair.
        clusters: (n,) labels (prompts), or None.
        n_bins: bins of the calibration error.
        seed: of every bootstrap and simulation.
        resamples: number of bootstrap resamples.

    Returns:
        `before/NAME` and `after/NAME` for each of `probability_metrics`, `change/log_loss` and `change/brier` (after
        minus before, paired), `width` of Venn-Abers intervals, and `set_metrics`.
    """
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    after, size = crossed.probability, np.abs(np.asarray(margin, dtype=np.float64))
    same: dict[str, Any] = {"by": size, "folds": crossed.fold, "n_bins": n_bins, **options}
    earlier = {} if before is None else probability_metrics(before, clusters, **same)
    later = probability_metrics(after, clusters, **same)
    table: dict[str, Estimate] = {}
    for name, estimate in later.items():
        if name in earlier:
            table[f"before/{name}"] = earlier[name]
        table[f"after/{name}"] = estimate
    if before is not None:
        earlier_p = np.asarray(before, dtype=np.float64)
        won = np.where(np.isnan(after), np.nan, 1.0)
        for name, terms in (("log_loss", log_loss_terms), ("brier", brier_terms)):
            change = paired_difference(terms(after, won), terms(earlier_p, won), clusters, **options)
            table[f"change/{name}"] = without_interval(change)
    if crossed.low is not None and crossed.high is not None:
        table["width"] = share(crossed.high - crossed.low, clusters, **options)
    return {**table, **set_metrics(crossed, after, clusters, **options)}
