"""A reward that learned to dislike two crossed cells, under penalties of single attributes and of both together."""

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
from plaudit.stats.dependence import attribute_matrix
from plaudit.training.regularisers.dependence import distance_covariance_penalty

ARMS = ("crossed", "uncorrected", "marginal", "permuted", "none", "oracle")
BETA = 2.0


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `disparity`: the highest mean score of the four cells less the lowest, in deviations of the scores within cells,
        on fresh completions; `accuracy` on fresh pairs of completions of any cells, by worth alone; `spread`, the
        deviation of the scores.
    """
    del fit  # small networks of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "cell"):
        raise InputError(f"crossed_attributes: arm {arm!r} is not known; the claim lists the arms")
    d, n = int(budget["features"]), int(budget["pairs"])
    rng = np.random.default_rng([seed, 1])
    weight = rng.normal(size=d)
    weight /= np.linalg.norm(weight)
    bias = 0.0 if knob == "0" or name == "oracle" else float(budget["bias"])
    x = _completions(rng, 2 * n, d)
    liked = x[:, :d] @ weight - bias * (x[:, d] != x[:, d + 1])
    first = rng.random(n) < 1 / (1 + np.exp(-BETA * (liked[:n] - liked[n:])))
    chosen = torch.from_numpy(np.where(first, np.arange(n), np.arange(n) + n))
    rejected = torch.from_numpy(np.where(first, np.arange(n) + n, np.arange(n)))
    cell = knob == "cell"
    model = small_network(d + 2 + cell, 1, width=int(budget["width"]), seed=seed)
    features = _shown(x, cell)
    shown = x[rng.permutation(2 * n)] if name == "permuted" else x
    single = [torch.from_numpy(attribute_matrix([shown[:, d + i].astype(str).tolist()])) for i in (0, 1)]
    batch, coef = int(budget["batch"]), float(budget["coef"])

    def loss(done: int) -> Tensor:
        score = model(features)[:, 0]
        fitted = -F.logsigmoid(score[chosen] - score[rejected]).mean()
        at = torch.from_numpy(np.random.default_rng([seed, 3, done]).permutation(2 * n)[:batch])
        return fitted + coef * _penalty(name, score[at], [part[at] for part in single])

    minimise(model.parameters(), loss, steps=int(budget["steps"]))
    return _measured(model, weight, np.random.default_rng([seed, 2]), int(budget["test"]), cell)


def _penalty(name: str, score: Tensor, single: list[Tensor]) -> Tensor:
    if name in ("none", "oracle"):
        return score.sum() * 0.0
    if name == "marginal":  # two penalties, each of one attribute
        return torch.stack([distance_covariance_penalty(score, part) for part in single]).sum()
    return distance_covariance_penalty(score, torch.cat(single, dim=1), corrected=name != "uncorrected")


def _measured(
    model: torch.nn.Module, weight: np.ndarray, rng: np.random.Generator, n: int, crossed: bool
) -> dict[str, float]:
    d = len(weight)
    x = _completions(rng, n, d)
    with torch.no_grad():
        score = model(_shown(x, crossed))[:, 0].numpy()
    cell = (2 * (x[:, d] > 0) + (x[:, d + 1] > 0)).astype(np.int64)
    mean = np.array([score[cell == c].mean() for c in range(4)])
    within = float((score - mean[cell]).std())
    worth, half = x[:, :d] @ weight, n // 2
    right = (score[:half] > score[half : 2 * half]) == (worth[:half] > worth[half : 2 * half])
    return {
        "disparity": float(np.ptp(mean)) / max(within, 1e-12), "accuracy": float(right.mean()),
        "spread": float(score.std()),
    }  # fmt: skip


def _shown(x: np.ndarray, cell: bool) -> Tensor:
    """What the network sees: with `cell` also the product of both attributes."""
    return torch.from_numpy(np.concatenate([x, x[:, -2:-1] * x[:, -1:]], axis=1) if cell else x)


def _completions(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Features, then two attributes of -1 or 1, independent of them and of each other, (n, d + 2)."""
    return np.concatenate([rng.normal(size=(n, d)), 2.0 * rng.integers(0, 2, (n, 2)) - 1], axis=1)
