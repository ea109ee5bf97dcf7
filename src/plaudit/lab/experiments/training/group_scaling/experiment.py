"""Bradley-Terry on pairs of a majority and a minority whose taste is rotated, under weights that follow the losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.training.regularisers.scaling import error_bound_weights, identity_weights

ARMS = ("error-bound", "identity-scaling", "plain", "balanced", "shuffled", "oracle")
SHARE = 0.15
"""Of the minority's pairs."""
BETA = 2.0
"""Of the annotators, whose margins have deviation sqrt(2)."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worst_accuracy` of the two groups on clean fresh pairs, `minority` and `majority`, `overall` at their shares,
        and `psd_max`.
    """
    del fit  # small networks of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"group_scaling: arm {arm!r} is not known; the claim lists the arms")
    d, n, m = (int(budget[k]) for k in ("features", "pairs", "test"))
    rng = np.random.default_rng([seed, 1])
    tastes = _tastes(rng, d, 0.0 if knob else float(budget["degrees"]))
    group = (np.arange(n) < round(SHARE * n)).astype(np.int64)
    x = _completions(rng, group, d)
    margin = _worth(x[:, 0], group, tastes) - _worth(x[:, 1], group, tastes)
    swap = rng.random(n) > 1 / (1 + np.exp(-BETA * margin))
    x[swap] = x[swap][:, ::-1]
    model = small_network(d + 1, 1, width=int(budget["width"]), seed=seed)
    shown = torch.from_numpy(np.random.default_rng([seed, 3]).permutation(group) if name == "shuffled" else group)
    chosen, rejected = torch.from_numpy(x[:, 0].copy()), torch.from_numpy(x[:, 1].copy())

    def loss(_: int) -> Tensor:
        losses = -F.logsigmoid((model(chosen) - model(rejected))[:, 0])
        return (losses * _weights(name, losses, shown)).mean()

    if name != "oracle":
        minimise(model.parameters(), loss, steps=int(budget["steps"]))
    test = np.random.default_rng([seed, 2])
    right = []
    for g in (0, 1):
        inside = np.full(m, g)
        z = _completions(test, inside, d)
        true = _worth(z[:, 0], inside, tastes) - _worth(z[:, 1], inside, tastes)
        with torch.no_grad():
            said = (model(torch.from_numpy(z[:, 0].copy())) - model(torch.from_numpy(z[:, 1].copy())))[:, 0].numpy()
        right.append(1.0 if name == "oracle" else float(((said > 0) == (true > 0)).mean()))
    overall = (1 - SHARE) * right[0] + SHARE * right[1]
    return {
        "worst_accuracy": min(right), "minority": right[1], "majority": right[0], "overall": overall,
        "psd_max": (max(right) - min(right)) / overall,
    }  # fmt: skip


def _weights(name: str, losses: Tensor, group: Tensor) -> Tensor:
    if name in ("error-bound", "shuffled"):
        return error_bound_weights(losses, group)
    if name == "identity-scaling":
        return identity_weights(losses, group)
    if name == "balanced":  # both groups weigh alike, whatever their losses
        size = torch.bincount(group).double()
        return (len(group) / (2 * size))[group]
    return torch.ones_like(losses)


def _tastes(rng: np.random.Generator, d: int, degrees: float) -> np.ndarray:
    """Unit weights of majority and minority, (2, d), at this angle."""
    q, _ = np.linalg.qr(rng.normal(size=(d, 2)))
    angle = np.deg2rad(degrees)
    return np.stack([q[:, 0], np.cos(angle) * q[:, 0] + np.sin(angle) * q[:, 1]])


def _completions(rng: np.random.Generator, group: np.ndarray, d: int) -> np.ndarray:
    """Features of both completions of each pair, the group's sign last, (n, 2, d + 1)."""
    x = rng.normal(size=(len(group), 2, d))
    return np.concatenate([x, np.repeat(2.0 * group - 1, 2).reshape(-1, 2, 1)], axis=2)


def _worth(x: np.ndarray, group: np.ndarray, tastes: np.ndarray) -> np.ndarray:
    return np.asarray((x[:, :-1] * tastes[group]).sum(axis=1))
