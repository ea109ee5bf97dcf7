"""Items with the mean and the spread of their raters, and what a small network learns of them as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.training.objectives.ratings.distribution import distribution_rating, thurstone_fidelity
from plaudit.training.objectives.ratings.levels import interpolated_levels, level_moments, soft_levels
from plaudit.training.objectives.ratings.regression import squared_rating

ARMS = ("soft", "one_hot", "interpolated", "counts", "fidelity", "same_std", "regression", "shuffled", "oracle")
FEATURES, LEVELS = 8, 5


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        On fresh items `srcc` and `plcc` of the predicted mean with the true one and `spread`, the rank correlation of
        the predicted deviation with the raters' (0 where none is predicted); on the training items `off`, the mean
        distance of the targets' mean from the raters'.
    """
    del fit  # a small network on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"soft_levels: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed)
    x, ratings = world.rated(2, int(budget["items"]), int(budget["raters"]), agreed=bool(knob))
    fresh, true, spread = world.items(5, int(budget["test"]))
    mean = torch.from_numpy(ratings.mean(axis=1))
    std = torch.from_numpy(ratings.std(axis=1))
    if name == "shuffled":
        order = torch.from_numpy(np.random.default_rng([seed, 4]).permutation(len(mean)))
        mean, std = mean[order], std[order]
    if name == "same_std":
        std = std.mean().expand(len(std))
    target = _target(name, mean, std, ratings)
    if name == "oracle":
        said, sure = torch.from_numpy(true), torch.from_numpy(spread)
    else:
        said, sure = _fitted(name, x, target, mean, std, fresh, seed=seed, steps=int(budget["steps"]))
    recovered = target @ torch.arange(1, LEVELS + 1, dtype=torch.float64)
    return {
        "srcc": float(spearmanr(said, true).statistic),
        "plcc": float(pearsonr(said, true).statistic),
        "spread": 0.0 if name == "regression" else float(spearmanr(sure, spread).statistic),
        "off": float((recovered - mean).abs().mean()),
    }


class World:
    """A nonlinear quality of eight features on a scale of five levels, and raters who agree on some items only."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed = seed
        self.weight, self.bend, self.width = rng.normal(size=(3, FEATURES)) / np.sqrt(FEATURES)

    def items(self, stream: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (n, 8), true means and the raters' deviations (n,)."""
        x = np.random.default_rng([self.seed, stream]).normal(size=(n, FEATURES))
        mean = 3 + 2 * np.tanh(x @ self.weight - 0.5 * (x**2 - 1) @ self.bend)
        return x, mean, 0.3 + 1.2 / (1 + np.exp(-2 * x @ self.width))

    def rated(self, stream: int, n: int, raters: int, *, agreed: bool) -> tuple[np.ndarray, np.ndarray]:
        """Features, and whole ratings (n, raters); all raters give the level nearest to the mean where they agree."""
        x, mean, spread = self.items(stream, n)
        noise = np.random.default_rng([self.seed, 3]).normal(size=(n, raters))
        return x, np.clip(np.round(mean[:, None] + (0.0 if agreed else spread[:, None]) * noise), 1, LEVELS)


def _target(name: str, mean: Tensor, std: Tensor, ratings: np.ndarray) -> Tensor:
    """Distributions over the levels, (n, 5)."""
    if name == "one_hot":
        return torch.nn.functional.one_hot(mean.round().long() - 1, LEVELS).double()
    if name in ("interpolated", "regression"):
        return interpolated_levels(mean, levels=LEVELS)
    if name == "counts":
        return torch.from_numpy((ratings[:, :, None] == np.arange(1, LEVELS + 1)).mean(axis=1))
    return soft_levels(mean, std, levels=LEVELS)


def _fitted(
    name: str, x: np.ndarray, target: Tensor, mean: Tensor, std: Tensor, fresh: np.ndarray, *, seed: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Predicted means and deviations of fresh items."""
    network = small_network(FEATURES, 1 if name == "regression" else LEVELS, width=16, seed=seed)
    inputs, items = torch.from_numpy(x), torch.arange(len(x))
    partner = torch.from_numpy(np.random.default_rng([seed, 6]).permutation(len(x)))
    pairs = torch.stack([items, partner], dim=1)[items != partner]

    def loss(_: int) -> Tensor:
        """Of all items at once, a mean."""
        outputs = network(inputs)
        if name == "regression":
            return squared_rating(outputs[:, 0], items=items, ratings=mean) / len(items)
        found = distribution_rating(outputs, items=items, target=target)
        if name == "fidelity":
            found = found + thurstone_fidelity(outputs, pairs, mean=mean[pairs], std=std[pairs])
        return found / len(items)

    minimise(network.parameters(), loss, steps=steps)
    with torch.no_grad():
        outputs = network(torch.from_numpy(fresh))
        if name == "regression":
            return outputs[:, 0], torch.zeros(len(fresh))
        centre, variance = level_moments(outputs)
    return centre, variance.sqrt()
