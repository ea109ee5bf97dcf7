"""Linear Bradley-Terry on three sources, weighed in several ways, measured on what the sources share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.calibration import calibration_error
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.people.balanced import balanced_sources

ARMS = ("balanced", "uniform", "even", "l2", "shuffled", "oracle")
SHARES = (0.7, 0.2, 0.1)
SHARPNESS = 2.0
"""Log-odds per unit of the shared value."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `ece` and `accuracy` on fresh pairs whose labels follow the direction that all sources share.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"balanced_sources: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    shared, *own = np.linalg.qr(rng.normal(size=(int(budget["features"]), 1 + len(SHARES))))[0].T
    gap = rng.normal(size=(int(budget["pairs"]), len(shared)))
    source = rng.choice(len(SHARES), size=len(gap), p=SHARES)
    apart = 0.0 if knob else float(budget["own"])
    coin = rng.random(len(gap))
    values = shared if name == "oracle" else shared + apart * np.array(own)[source]
    label = coin < 1 / (1 + np.exp(-SHARPNESS * (gap * values).sum(axis=1)))
    if name == "shuffled":
        source = rng.permutation(source)
    weight = _fitted(np.where(label[:, None], gap, -gap), source, name, int(budget["steps"]))
    test = np.random.default_rng([seed, 2]).normal(size=(int(budget["test"]), len(shared)))
    first = np.random.default_rng([seed, 3]).random(len(test)) < 1 / (1 + np.exp(-SHARPNESS * (test @ shared)))
    logits = test @ weight
    error = calibration_error(1 / (1 + np.exp(-logits)), first.astype(np.float64))
    return {"ece": float(error), "accuracy": float(((logits > 0) == (test @ shared > 0)).mean())}


def _fitted(gap: np.ndarray, source: np.ndarray, arm: str, steps: int) -> np.ndarray:
    """Weights after full-batch Adam; each pair's rejected side is the zero vector."""
    features = torch.from_numpy(np.concatenate([gap, np.zeros((1, gap.shape[1]))]))
    pairs = torch.stack([torch.arange(len(gap)), torch.full((len(gap),), len(gap))], dim=1)
    which = torch.from_numpy(source.astype(np.float64))
    weight = torch.zeros(gap.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([weight], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = _loss(features @ weight, pairs, which, arm, weight) / len(gap)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return np.asarray(weight.detach().numpy())


def _loss(scores: Tensor, pairs: Tensor, source: Tensor, arm: str, weight: Tensor) -> Tensor:
    if arm in ("uniform", "oracle"):
        return bradley_terry(scores, pairs)
    if arm == "even":
        _, place, count = torch.unique(source, return_inverse=True, return_counts=True)
        share = len(source) / (len(count) * count.double())
        return bradley_terry(scores, pairs, weight=share[place])
    unit: Literal["l2", "none"] = "l2" if arm == "l2" else "none"
    return balanced_sources(scores, pairs, source=source, parameters=[weight], normalise=unit)
