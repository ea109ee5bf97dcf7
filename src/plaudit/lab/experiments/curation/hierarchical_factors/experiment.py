"""A reward from ranked factors and one from fixed weights, before and after a factor's unit changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.curation.hierarchies import hierarchical_labels
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.training.frozen import fit_linear

ARMS = ("hierarchy", "weights", "standardised", "lexicographic", "shuffled", "oracle")
WORTH = np.array([1.0, 0.6, 0.36, 0.2])
"""True weights of the factors in units of their deviations, before an instance's own spread."""
BEST_OF = 16


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `best_of_16`: mean true worth of the best of 16 candidates by the arm's reward.
    """
    del fit  # a linear reward of given factors
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "1"):
        raise InputError(f"hierarchical_factors: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    truth = WORTH * rng.lognormal(0, 0.3, len(WORTH))
    truth /= np.linalg.norm(truth)
    unit = np.ones(len(WORTH))
    unit[1 + rng.integers(len(WORTH) - 1)] = 1.0 if knob else float(budget["unit"])  # never the most important one
    mixing = np.eye(len(WORTH)) + 0.3 * rng.normal(size=(len(WORTH),) * 2)
    candidates = rng.normal(size=(int(budget["candidates"]), len(WORTH))) @ mixing
    test = rng.normal(size=(int(budget["test"]), BEST_OF, len(WORTH))) @ mixing
    weight = _weight(name, candidates * unit, truth, unit, seed)
    chosen = (test * unit @ weight).argmax(axis=1)
    worth = test @ truth
    return {"best_of_16": float((worth[np.arange(len(test)), chosen] / worth.std()).mean())}


def _weight(arm: str, factors: np.ndarray, truth: np.ndarray, unit: np.ndarray, seed: int) -> np.ndarray:
    """Weights of the factors in the units in which they are measured now."""
    spread = factors.std(axis=0)
    if arm == "oracle":
        return np.asarray(truth / unit)
    if arm == "weights":
        return truth
    if arm == "standardised":
        return np.asarray(truth / spread)
    order = np.argsort(-truth)  # the designer ranks the factors rightly
    label, _ = hierarchical_labels(factors[:, order], margins=0.0 if arm == "lexicographic" else 0.5)
    better, worse = np.nonzero(label > 0)
    gap = (factors[better] - factors[worse]) / spread
    if arm == "shuffled":
        gap *= np.where(np.random.default_rng([seed, 2]).random(len(gap)) < 0.5, -1.0, 1.0)[:, None]
    return np.asarray(fit_linear(gap, l2=1e-2) / spread)
