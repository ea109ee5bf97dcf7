"""Pairs whose rejected completion is poor whatever was asked, and rewordings of the chosen one as further pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.training.objectives.pairs.convex import hull_vertices
from plaudit.training.objectives.pairs.logistic import bradley_terry

ARMS = ("hull", "plain", "every", "elsewhere", "contrasts", "penalty", "oracle")
NEAR = (0.75, 0.9)
"""Cosines of prompts that are alike without being the same."""

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `c_res`: over fresh pairs of like prompts, how often a prompt's own answer beats the other's; `accuracy` on
        fresh pairs of the kind that was trained on; `rows`, how many further pairs there were.
    """
    del fit  # a small network on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"hull_pairs: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed, int(budget["features"]), int(budget["candidates"]))
    x, good, poor = world.pairs(2, int(budget["pairs"]))
    step = 0.0 if knob else float(budget["reworded"])
    rows = _further(name, world, x, good, poor, step=step)
    asked, chosen, rejected = (np.concatenate([a, b]) for a, b in zip((x, good, poor), rows, strict=True))
    if name == "oracle":
        score = world.worth
    else:
        score = _fitted(asked, chosen, rejected, name=name, seed=seed, steps=int(budget["steps"]))
    first, second, one, two = world.contrasts(5, int(budget["contrasts"]))
    own = (score(first, one), score(second, two))
    other = (score(first, two), score(second, one))
    fresh = world.pairs(6, int(budget["contrasts"]))
    return {
        "c_res": float(np.mean([_wins(a, b) for a, b in zip(own, other, strict=True)])),
        "accuracy": _wins(score(fresh[0], fresh[1]), score(fresh[0], fresh[2])),
        "rows": float(len(rows[0])),
    }


class World:
    """Prompts (d) and completions (d + 1), of which the first number is the general quality."""

    def __init__(self, seed: int, d: int, candidates: int) -> None:
        self.seed, self.d, self.candidates = seed, d, candidates
        self.between = np.random.default_rng([seed, 1]).normal(size=(d, d)) / d

    def worth(self, x: Numbers, y: Numbers) -> Numbers:
        """The true reward: how well the completion fits the prompt, and its quality."""
        return np.asarray(np.einsum("nd,de,ne->n", x, self.between, y[:, 1:]) + y[:, 0])

    def answers(self, rng: np.random.Generator, x: Numbers, quality: float) -> Numbers:
        """For each prompt the best of some completions of one general quality."""
        y = rng.normal(size=(self.candidates, len(x), self.d + 1))
        y[..., 0] = quality + 0.3 * y[..., 0]
        best = np.argmax([self.worth(x, one) for one in y], axis=0)
        return np.asarray(y[best, np.arange(len(x))])

    def pairs(self, stream: int, n: int) -> tuple[Numbers, Numbers, Numbers]:
        """Prompts, chosen and rejected: what is rejected is poor in general, which needs no look at the prompt."""
        rng = np.random.default_rng([self.seed, stream])
        x = rng.normal(size=(n, self.d))
        poor = rng.normal(size=(n, self.d + 1))
        poor[:, 0] = -1.5 + 0.3 * poor[:, 0]
        return x, self.answers(rng, x, 0.0), poor

    def contrasts(self, stream: int, n: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Two prompts of a cosine within `NEAR`, and an answer to each."""
        rng = np.random.default_rng([self.seed, stream])
        first, cosine = rng.normal(size=(n, self.d)), rng.uniform(*NEAR, size=(n, 1))
        length = np.linalg.norm(first, axis=1, keepdims=True)
        across = rng.normal(size=first.shape)
        across -= (across * first).sum(axis=1, keepdims=True) / length**2 * first
        across *= length / np.linalg.norm(across, axis=1, keepdims=True)
        second = cosine * first + np.sqrt(1 - cosine**2) * across
        return first, second, self.answers(rng, first, 0.0), self.answers(rng, second, 0.0)


def _further(
    name: str, world: World, x: Numbers, good: Numbers, poor: Numbers, *, step: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Further rows: prompts, chosen, rejected."""
    if name == "contrasts":  # as many rows as five rewordings would make, of an answer and that to a like prompt
        first, second, one, two = world.contrasts(3, max(5 * len(x) // 2, 1))
        return np.concatenate([first, second]), np.concatenate([one, two]), np.concatenate([two, one])
    if name in ("plain", "penalty", "oracle"):
        return x[:0], good[:0], poor[:0]
    moved = np.random.default_rng([world.seed, 4]).normal(size=(len(x), 5, good.shape[1])) * step
    kept = [
        (i, j)
        for i in range(len(x))
        for j in (range(5) if name == "every" else _outermost(np.concatenate([np.zeros((1, good.shape[1])), moved[i]])))
    ]
    row, which = np.array(kept, dtype=np.int64).reshape(-1, 2).T
    asked = np.roll(np.arange(len(x)), 1)[row] if name == "elsewhere" else row
    return x[asked], good[row] + moved[row, which], poor[asked]


def _outermost(table: Numbers) -> list[int]:
    """Rewordings on the hull, counted from 0; the first row is the completion itself."""
    return [i - 1 for i in hull_vertices(torch.from_numpy(table)).tolist() if i]


def _fitted(asked: Numbers, chosen: Numbers, rejected: Numbers, *, name: str, seed: int, steps: int) -> Any:
    network = small_network(_seen(asked, chosen).shape[1], 1, width=0, seed=seed)
    sides = torch.from_numpy(np.concatenate([_seen(asked, chosen), _seen(asked, rejected)]))
    pairs = torch.arange(2 * len(asked)).reshape(2, -1).T
    penalty = 0.01 if name == "penalty" else 0.0

    def loss(_: int) -> Tensor:
        weights = next(iter(network.parameters()))
        return bradley_terry(network(sides)[:, 0], pairs) / len(pairs) + penalty * weights.square().sum()

    minimise(network.parameters(), loss, steps=steps)

    def score(x: Numbers, y: Numbers) -> Numbers:
        with torch.no_grad():
            return np.asarray(network(torch.from_numpy(_seen(x, y)))[:, 0].numpy())

    return score


def _seen(x: Numbers, y: Numbers) -> Numbers:
    """Products of prompt and completion, and the completion: (n, d (d + 1) + d + 1)."""
    return np.concatenate([(x[:, :, None] * y[:, None, :]).reshape(len(x), -1), y], axis=1)


def _wins(a: Numbers, b: Numbers) -> float:
    return float(np.mean((np.sign(a - b) + 1) / 2))
