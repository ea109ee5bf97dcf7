"""A linear reward from judgements of uneven noise, weighed by how far the repeated ones differ, and evenly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.training.objectives.pairs.judgements import judgement_spread, judgement_weights

ARMS = ("weighted", "uniform", "averaged", "weighted_average", "median", "shuffled", "oracle")
NOISY, QUIET = 5.0, 0.2
"""Deviation of a judgement's noise; the true reward has deviation 1."""
SHARE = 0.3


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `error`: distance of the fitted weights from the true ones, which have length 1, mean over several data sets.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "1"):
        raise InputError(f"judged_weights: arm {arm!r} is not known; the claim lists the arms")
    loud = {"": NOISY, "0": QUIET, "1": 1.0}[knob]
    rng = np.random.default_rng([seed, 1])
    n, d = int(budget["samples"]), int(budget["features"])
    return {"error": float(np.mean([_error(name, rng, n, d, loud) for _ in range(int(budget["sets"]))]))}


def _error(arm: str, rng: np.random.Generator, n: int, d: int, loud: float) -> float:
    truth = rng.normal(size=d)
    truth /= np.linalg.norm(truth)
    features = rng.normal(size=(n, d))
    noise = np.where(rng.random(n) < SHARE, loud, QUIET)
    seen = (features @ truth)[:, None] + noise[:, None] * rng.normal(size=(n, 2))
    order = rng.permutation(n)
    weight = judgement_weights(judgement_spread(torch.from_numpy(seen))).numpy()
    label = seen.mean(axis=1) if arm in ("averaged", "weighted_average") else seen[:, 0]
    if arm == "median":  # what is robust without a second judgement: least absolute distances
        return float(np.linalg.norm(_least_absolute(features, label) - truth))
    weight = {
        "weighted": weight, "weighted_average": weight, "shuffled": weight[order], "oracle": noise**-2.0,
    }.get(arm, np.ones(n))  # fmt: skip
    return float(np.linalg.norm(_least_squares(features, label, weight) - truth))


def _least_squares(features: np.ndarray, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
    root = np.sqrt(weight)
    return np.asarray(np.linalg.lstsq(features * root[:, None], label * root)[0])


def _least_absolute(features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """By repeated weighing: least squares with weights `1 / |residual|`."""
    found = _least_squares(features, label, np.ones(len(label)))
    for _ in range(50):
        found = _least_squares(features, label, 1 / np.maximum(np.abs(label - features @ found), 1e-3))
    return found
