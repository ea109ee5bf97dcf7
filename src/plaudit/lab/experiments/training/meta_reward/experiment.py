"""A network on labels of a starting policy, with and without meta steps on the samples of a shifted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.meta import meta_gradients, score_spread
from plaudit.training.shifted import turn

ARMS = ("meta", "plain", "longer", "start", "labelled")
DRIFT, CLOSENESS = 3.0, 0.6
"""How far the shifted policy's completions lie from those of the start, and their deviation, which was 1."""
SHARPNESS = 1.0
"""Log-odds of the labels per unit of the true reward."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy_shifted` and `accuracy` on fresh pairs of the shifted and the starting policy, by the true reward, and
        `spread`: the deviation of the scores of the shifted ones over that of the starting ones.
    """
    del fit  # a network of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "bare"):
        raise InputError(f"meta_reward: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed, int(budget["features"]), shifted=knob != "0")
    x = world.completions(2, 2 * int(budget["pairs"]), shifted=name == "labelled")
    odds = SHARPNESS * (world.worth(x)[0::2] - world.worth(x)[1::2])
    first = np.random.default_rng([seed, 3]).random(len(odds)) < 1 / (1 + np.exp(-odds))
    places = np.arange(len(x)).reshape(-1, 2)
    pairs = torch.from_numpy(np.where(first[:, None], places, places[:, ::-1]))
    many = int(budget["prompts"]) * int(budget["completions"])
    samples = world.completions(4, many, shifted=name == "meta")
    rate = float(budget["rate"]) if name in ("meta", "start") else 0.0
    steps = int(budget["steps"]) * (2 if name == "longer" else 1)
    decay = 0.0 if knob == "bare" else float(budget["decay"])
    weights = _fitted(torch.from_numpy(x), pairs, torch.from_numpy(samples), rate, decay, steps, seed, budget)
    found = {}
    for metric, stream, shifted in (("accuracy_shifted", 5, True), ("accuracy", 6, False)):
        test = world.completions(stream, 2 * int(budget["test"]), shifted=shifted)
        said = _scores(weights, torch.from_numpy(test)).numpy()
        found[metric] = float(((said[0::2] > said[1::2]) == (np.diff(world.worth(test))[0::2] < 0)).mean())
        found[f"deviation_{metric}"] = float(said.std())
    found["spread"] = found.pop("deviation_accuracy_shifted") / found.pop("deviation_accuracy")
    return found


class World:
    """A true reward of features, and two policies whose completions have features in different places."""

    def __init__(self, seed: int, features: int, *, shifted: bool) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed, self.weight = seed, rng.normal(size=features)
        self.first, self.second = rng.normal(size=(features, 8)) * 2 / np.sqrt(features), rng.normal(size=8)
        way = rng.normal(size=features)
        self.way, self.shifted = DRIFT * way / np.linalg.norm(way), shifted

    def worth(self, x: np.ndarray) -> np.ndarray:
        """The true reward."""
        return np.asarray(x @ self.weight + np.tanh(x @ self.first) @ self.second * 2)

    def completions(self, stream: int, n: int, *, shifted: bool) -> np.ndarray:
        """Features of n completions of one of the policies; without a shift both are the first."""
        x = np.random.default_rng([self.seed, stream]).normal(size=(n, len(self.weight)))
        return self.way + CLOSENESS * x if shifted and self.shifted else x


def _scores(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return torch.tanh(x @ weights["first"] + weights["bias"]) @ weights["second"] + x @ weights["linear"]


def _fitted(
    x: Tensor, pairs: Tensor, samples: Tensor, rate: float, decay: float, steps: int, seed: int,
    budget: Mapping[str, Any],
) -> dict[str, Tensor]:  # fmt: skip
    """Weights after Adam on all pairs, each gradient taken at the weights of a meta step."""
    width, k, batch = (int(budget[name]) for name in ("width", "completions", "batch"))
    g = torch.Generator().manual_seed(seed % 2**63)
    d = x.shape[1]
    weights = {
        "first": torch.randn(d, width, generator=g, dtype=torch.float64) / d**0.5,
        "bias": torch.zeros(width, dtype=torch.float64),
        "second": torch.randn(width, generator=g, dtype=torch.float64) / width**0.5,
        "linear": torch.zeros(d, dtype=torch.float64),
    }

    def loss(w: Mapping[str, Tensor]) -> Tensor:
        penalty = torch.stack([value.square().sum() for value in w.values()]).sum()
        return bradley_terry(_scores(w, x), pairs) / len(pairs) + decay / 2 * penalty

    lists = [torch.arange(i * k, (i + 1) * k) for i in range(batch)]
    optimiser = torch.optim.Adam(weights.values(), lr=0.01)
    for step in range(steps):
        taken = turn(step, n=len(samples) // k, size=batch, seed=seed)
        seen = samples.reshape(-1, k, d)[list(taken)].reshape(-1, d)
        gradients = meta_gradients(
            weights,
            spread=lambda w, seen=seen: score_spread(_scores(w, seen), lists) / batch,  # type: ignore[misc]
            loss=loss,
            rate=rate,
        )
        for name, weight in weights.items():
            weight.grad = gradients[name]
        optimiser.step()
    return weights
