"""Detectors of a long tail of classes, pooled before and after calibration of each class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.pooled import pooled_ranking

ARMS = ("calibrated", "raw", "one", "shifted", "dealt", "prior", "capped", "gamed")
CAP = 0.2
"""Share of all rows that the cap lets through: some five times as many as are positive."""
PRIOR = 1.0
"""Deviation of a class's offset and log slope around those of all classes."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `precision`, pooled (of `capped` and `gamed` the mean over classes under the cap); `by_class`, the mean over
        classes without a cap.
    """
    del fit  # logistic detectors of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"pooled_precision: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("classes", "features", "most", "least", "validation", "test"))
    held, odds, label, share = _scores(seed, bool(knob), sizes)
    n, k = odds.shape
    maps = _maps(name, seed, held[0], held[1])
    if name == "prior":  # trained at even odds
        maps[:, 0] = np.log(share / (1 - share))
    score = (odds * np.exp(maps[:, 1]) + maps[:, 0]).ravel()
    classes = np.tile(np.arange(k), n)
    found = pooled_ranking(score, label.ravel(), classes, cap=max(k, round(CAP * score.size)))
    value = {"capped": found.capped, "gamed": found.gamed}.get(name, found.pooled)
    return {"precision": value, "by_class": found.by_class}


def _maps(name: str, seed: int, odds: Numbers, label: Numbers) -> Numbers:
    """Offset and log slope of each class, (k, 2)."""
    k = odds.shape[1]
    whole = _platt(odds.ravel(), label.ravel(), np.zeros(2), 1e6, slope=True)
    if name in ("calibrated", "dealt", "shifted"):
        free = name != "shifted"
        found = np.array([_platt(odds[:, c], label[:, c], whole, PRIOR, slope=free) for c in range(k)])
        return found[np.random.default_rng([seed, 9]).permutation(k)] if name == "dealt" else found
    return np.tile(whole if name == "one" else np.zeros(2), (k, 1))


def _platt(odds: Numbers, label: Numbers, around: Numbers, spread: float, *, slope: bool) -> Numbers:
    """Offset and log slope with the highest likelihood, under normal priors around a pair."""

    def loss(m: Numbers) -> float:
        z = odds * np.exp(m[1] if slope else around[1]) + m[0]
        gap = (m - around) / spread
        return float(-(label * log_expit(z) + (1 - label) * log_expit(-z)).sum() + gap @ gap / 2)

    found = minimize(loss, around, method="L-BFGS-B", bounds=[(-20, 20), (-5, 3)]).x
    return np.asarray(found if slope else np.array([found[0], around[1]]))


@lru_cache(maxsize=2)
def _scores(seed: int, even: bool, sizes: tuple[int, ...]) -> tuple[tuple[Numbers, Numbers], Numbers, Numbers, Numbers]:
    """Validation odds and labels, (n, k) each; test odds; test labels; share of positives of each class."""
    from sklearn.linear_model import LogisticRegression

    k, d, most, least, validation, test = sizes
    rng = np.random.default_rng([seed, 1])
    counts = np.full(k, most) if even else np.geomspace(most, least, k).round().astype(int)
    weights, noise = rng.normal(size=(k, d)) / np.sqrt(d), rng.uniform(0.3, 1.5, k)
    share = np.full(k, 0.05) if even else 0.2 * counts / most  # rare in training because rare
    share = np.maximum(share, 5 / test)
    many = rng.normal(size=(20000, d))
    bar = np.array([np.quantile(many @ w, 1 - s) for w, s in zip(weights, share, strict=True)])

    def rows(part: int, n: int) -> tuple[Numbers, Numbers]:
        draw = np.random.default_rng([seed, 2, part])
        x = draw.normal(size=(n, d))
        seen = x @ weights.T
        # a class's label is a matter of chance near its bar, in some classes more than in others
        sharp = 8.0 / noise
        return x, (draw.random((n, k)) < expit(sharp * (seen - bar))).astype(np.float64)

    pool, marks = rows(0, max(validation, round(8 * most / 0.05)))
    models = []
    for c in range(k):
        own = np.random.default_rng([seed, 3, c])
        positive, negative = np.flatnonzero(marks[:, c] == 1), np.flatnonzero(marks[:, c] == 0)
        at = np.concatenate([own.choice(part, min(counts[c], len(part)), False) for part in (positive, negative)])
        models.append(LogisticRegression(C=10.0, max_iter=500).fit(pool[at], marks[at, c]))
    (x, held), (y, label) = rows(1, validation), rows(2, test)
    odds = [np.stack([m.decision_function(part) for m in models], axis=1) for part in (x, y)]
    return (odds[0], held), odds[1], label, held.mean(axis=0).clip(0.5 / validation, 1 - 0.5 / validation)
