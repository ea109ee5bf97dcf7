"""Logistic models of two groups, chosen by one number or another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.selective import auprc, auroc

ARMS = ("precision", "area", "within", "rare", "coin")
POSITIVE = (0.2, 0.02)
"""Share of positives in the two groups."""
PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths of the candidates' penalty."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gap`, see the claim; `area` and `precision` of the chosen model on fresh data; `mixture`, the share of the
        group with more positives in its training rows.
    """
    del fit  # logistic models of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"area_under_precision: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("features", "train", "validation", "test", "mixtures"))
    table, validation, test = _candidates(seed, bool(knob), sizes)
    value = [_value(name, validation, table[:, i]) for i in range(table.shape[1])]
    best = int(np.random.default_rng([seed, 9]).integers(len(value)) if name == "coin" else np.argmax(value))
    weight, shares = table[:, best], np.repeat(np.linspace(0, 1, sizes[-1]), len(PENALTIES))
    score, (_, label, group) = test[0] @ weight[:-1] + weight[-1], test
    own = [auroc(score[group == g], label[group == g]) for g in (0, 1)]
    return {
        "gap": own[0] - own[1], "area": auroc(score, label), "precision": auprc(score, label),
        "mixture": float(shares[best]),
    }  # fmt: skip


def _value(name: str, rows: tuple[Numbers, Numbers, Numbers], weight: Numbers) -> float:
    x, label, group = rows
    score = x @ weight[:-1] + weight[-1]
    if name in ("precision", "area"):
        return (auprc if name == "precision" else auroc)(score, label)
    own = [auroc(score[group == g], label[group == g]) for g in (0, 1)]
    return own[1] if name == "rare" else float(np.mean(own))


@lru_cache(maxsize=2)
def _candidates(seed: int, equal: bool, sizes: tuple[int, ...]) -> tuple[Numbers, Any, Any]:
    """Weights of the candidates (d + 1, k), validation rows and test rows: for all arms."""
    from sklearn.linear_model import LogisticRegression

    d, n, validation, test, mixtures = sizes
    rng = np.random.default_rng([seed, 1])
    weights = rng.normal(size=(2, d)) * 1.5 / np.sqrt(d)
    share = (sum(POSITIVE) / 2,) * 2 if equal else POSITIVE
    # the offset at which a group has its share of positives
    many = rng.normal(size=(20000, d))
    offsets = [_offset(many @ w, s) for w, s in zip(weights, share, strict=True)]

    def rows(part: int, size: int) -> tuple[Numbers, Numbers, Numbers]:
        draw = np.random.default_rng([seed, 2, part])
        x, group = draw.normal(size=(size, d)), np.arange(size) % 2
        odds = (x * weights[group]).sum(axis=1) + np.array(offsets)[group]
        return x, (draw.random(size) < expit(odds)).astype(np.float64), group

    x, label, group = rows(0, 2 * n)
    found = []
    for mixture in np.linspace(0, 1, mixtures):
        own = np.where(group == 0, mixture, 1 - mixture)
        for c in PENALTIES:
            model = LogisticRegression(C=c, max_iter=500).fit(x, label, sample_weight=own)
            found.append(np.append(model.coef_[0], model.intercept_[0]))
    return np.array(found).T, rows(1, validation), rows(2, test)


def _offset(odds: Numbers, share: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(lambda b: expit(odds + b).mean() - share, -20, 20))
