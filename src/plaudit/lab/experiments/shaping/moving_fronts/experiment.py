"""Two objectives that fall off with the distance from two targets, and the front that training with weights finds.

A policy makes eight yes-or-no decisions, each with a chance of its own. An objective is `exp(-d^2 / width)`, d the
distance of these chances from its target, so that what is best for both lies on the line between the targets, and the
front is not convex: a sum with weights is best near one end or the other. One policy is trained for each of five
weights, on noisy gradients, and validated every few steps. What counts is the hypervolume of all validation results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.combine import Front, gradient_weights, hypervolume

DECISIONS = 8
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the first objective; the second has the rest."""
ARMS = ("moving", "fixed", "matched", "shuffled", "gradients", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Two objectives of the chances of eight decisions.

    Attributes:
        targets: (2, DECISIONS) in [0, 1].
        width: of both; the smaller, the less convex the front.
    """

    targets: Numbers
    width: float

    def objectives(self, chance: Numbers) -> Numbers:
        """(2,), in (0, 1]."""
        return np.asarray(np.exp(-((chance - self.targets) ** 2).sum(axis=1) / self.width))

    def gradients(self, logits: Numbers) -> Numbers:
        """Of both objectives with respect to the logits, (2, DECISIONS)."""
        chance = _sigmoid(logits)
        slope = -2 * (chance - self.targets) / self.width * self.objectives(chance)[:, None]
        return np.asarray(slope * chance * (1 - chance))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `volume`, the hypervolume of all validation results above (0, 0); `final`, that of the last ones; `factor`, the
        mean factor of the reward.
    """
    del fit  # a policy of eight numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"moving_fronts: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    first, second = rng.uniform(0.1, 0.9, size=(2, DECISIONS))
    world = World(np.stack([first, first if knob else second]), float(budget["width"]))
    if name == "oracle":
        line = first + np.linspace(0, 1, 201)[:, None] * (world.targets[1] - first)
        best = hypervolume(np.array([world.objectives(chance) for chance in line]), (0.0, 0.0))
        return {"volume": best, "final": best, "factor": 1.0}
    runs = [_trained(world, seed, i, name, budget) for i in range(len(WEIGHTS))]
    points = [points for points, _ in runs]
    return {
        "volume": hypervolume(np.concatenate(points), (0.0, 0.0)),
        "final": hypervolume(np.stack([p[-1] for p in points]), (0.0, 0.0)),
        "factor": float(np.mean([factors for _, factors in runs])),
    }


def _trained(
    world: World, seed: int, run: int, name: str, budget: Mapping[str, Any], given: Numbers | None = None
) -> tuple[Numbers, Numbers]:
    """Validation results (v + 1, 2), the start's first, and the factors that were used between them (v,)."""
    rng = np.random.default_rng([seed, 2, run])
    logits = rng.normal(0, 0.3, size=DECISIONS)
    weights = np.array([WEIGHTS[run], 1 - WEIGHTS[run]])
    validations = int(budget["validations"])
    if given is None and name in ("matched", "shuffled"):
        _, moved = _trained(world, seed, run, "moving", budget)
        deal = np.random.default_rng([seed, 3, run])
        given = np.full(validations, moved.mean()) if name == "matched" else deal.permutation(moved)
    point = world.objectives(_sigmoid(logits))
    points, factors = [point], np.ones(validations)
    front = Front(reference=(0.0, 0.0)).updated(point)
    for v in range(validations):
        if given is not None:
            factors[v] = given[v]
        for _ in range(int(budget["steps"])):
            g = world.gradients(logits) + rng.normal(0, float(budget["noise"]), size=(2, DECISIONS))
            if name == "gradients":
                weights = gradient_weights(weights, g, rate=float(budget["flow"]), scale=1.0)
            logits = logits + float(budget["rate"]) * factors[v] * (weights @ g)
        point = world.objectives(_sigmoid(logits))
        points.append(point)
        if name == "moving" and v + 1 < validations:
            factors[v + 1] = front.factor(point)
        front = front.updated(point)
    return np.stack(points), factors


def _sigmoid(x: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-x)))
