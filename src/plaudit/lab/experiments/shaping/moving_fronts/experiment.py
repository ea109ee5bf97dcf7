"""Two objectives that fall off with the distance from two targets, and the front that training with weights finds.

A policy makes eight yes-or-no decisions, each with a chance of its own. An objective is `exp(-d^2 / width)`, d the
distance of these chances from its target, so that what is best for both lies on the line between the targets. With D
the squared distance of the targets and `bend = D / width`, the front is `(exp(-bend t^2), exp(-bend (1 - t)^2))` for t
in [0, 1]. Its slope is `-(1 - t) / t exp(-bend (1 - 2 t))`, whose size must fall with t and rises where
`t (1 - t) > 1 / (2 bend)`: below a bend of 2 the front is convex and weights reach all of it, above it they do not.
The width is set for each instance so that the bend is the budget's: at 4 a sum with weights is best within 0.022 of
one end or the other, whatever the weights. One policy is trained for each of five weights, on noisy gradients, and
validated every few steps. What counts is the hypervolume of all validation results.
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
        width: of both; the smaller beside the squared distance of the targets, the less convex the front.
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

    @property
    def front(self) -> Numbers:
        """What can be had at best, (201, 2), from the first target to the second."""
        first, second = self.targets
        line = first + np.linspace(0, 1, 201)[:, None] * (second - first)
        return np.array([self.objectives(chance) for chance in line])


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `volume`, the hypervolume of all validation results above (0, 0); `final`, that of the last ones; `factor`, the
        mean factor of the reward; `unsupported`, the share of the front's points that are best under no weights.
    """
    del fit  # a policy of eight numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"moving_fronts: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, float(budget["bend"]), apart=not knob)
    front = {"unsupported": float((~_supported(world.front)).mean())}
    if name == "oracle":
        best = hypervolume(world.front, (0.0, 0.0))
        return {"volume": best, "final": best, "factor": 1.0, **front}
    runs = [_trained(world, seed, i, name, budget) for i in range(len(WEIGHTS))]
    points = [points for points, _ in runs]
    return {
        "volume": hypervolume(np.concatenate(points), (0.0, 0.0)),
        "final": hypervolume(np.stack([p[-1] for p in points]), (0.0, 0.0)),
        "factor": float(np.mean([factors for _, factors in runs])),
        **front,
    }


def _world(seed: int, bend: float, *, apart: bool) -> World:
    """Two targets, or the first one twice, and the width that two of them have."""
    targets = np.random.default_rng([seed, 4]).uniform(0.1, 0.9, size=(2, DECISIONS))
    width = float(((targets[0] - targets[1]) ** 2).sum()) / bend
    return World(targets if apart else targets[[0, 0]], width)


def _supported(points: Numbers) -> NDArray[np.bool_]:
    """True where some weights of both objectives, not below 0, are best served by no other point, (p,).

    `u gain_0 + (1 - u) gain_1 >= 0` against every other point bounds u from one side: what is left is an interval.
    """
    gain = points[:, None, :] - points[None, :, :]
    slope = gain[..., 0] - gain[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -gain[..., 1] / slope
    low = np.where(slope > 0, bound, 0.0).max(axis=1, initial=0.0)
    high = np.where(slope < 0, bound, 1.0).min(axis=1, initial=1.0)
    beaten = ((slope == 0) & (gain[..., 1] < 0)).any(axis=1)
    return np.asarray((low <= high) & ~beaten)


def _trained(
    world: World, seed: int, run: int, name: str, budget: Mapping[str, Any], given: Numbers | None = None
) -> tuple[Numbers, Numbers]:
    """Validation results (v + 1, 2), the start's first, and the factors that were used between them (v,)."""
    rng = np.random.default_rng([seed, 5, run])
    logits = rng.normal(0, 0.3, size=DECISIONS)
    weights = np.array([WEIGHTS[run], 1 - WEIGHTS[run]])
    validations = int(budget["validations"])
    if given is None and name in ("matched", "shuffled"):
        _, moved = _trained(world, seed, run, "moving", budget)
        deal = np.random.default_rng([seed, 6, run])
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
            logits = logits + float(budget["rate"][name]) * factors[v] * (weights @ g)
        point = world.objectives(_sigmoid(logits))
        points.append(point)
        if name == "moving" and v + 1 < validations:
            factors[v + 1] = front.factor(point)
        front = front.updated(point)
    return np.stack(points), factors


def _sigmoid(x: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-x)))
