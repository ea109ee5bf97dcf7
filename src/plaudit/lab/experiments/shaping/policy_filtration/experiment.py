"""Which completions an update learns from, where a reward can be relied on at its extremes only.

Completions have features, and a worth that is linear in them with a little curvature. The reward is the worth and an
error that is large where the worth is middling and small where it is very good or very bad. A policy that is softmax in
the same features is updated a fixed number of times, on groups of five completions of fresh prompts. Arms differ in the
weights of the completions; the weighted advantages have the same mean square in all of them, so that no arm has the
longer step. What counts is the worth under the policy on prompts that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.groups import mean_only
from plaudit.shaping.groups.selection import FILTERS, most_reliable

FEATURES, K, GROUP = 12, 32, 5
ARMS = (*FILTERS, "chosen", "random", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What completions are worth, and how wrong a reward is about it.

    Attributes:
        weight: (FEATURES,) of the worth.
        bend: (FEATURES,) of its squares.
        error: deviation of the reward's error on average, in deviations of the worth.
        even: the error does not depend on the worth.
    """

    weight: Numbers
    bend: Numbers
    error: float
    even: bool

    def worth(self, x: Numbers) -> Numbers:
        """Of completions with features x, (..., FEATURES); mean about 0, deviation about 1."""
        return np.asarray(x @ self.weight + (x**2 - 1) @ self.bend)

    def reward(self, worth: Numbers, noise: Numbers) -> Numbers:
        """`worth + error * noise`, the error 2.1 times the average for middling worth and falling off beyond."""
        # the mean of exp(-u^2 / 0.5) over a standard normal u is 1 / sqrt(5) = 0.447
        scale = 1.0 if self.even else np.exp(-(worth**2) / 0.5) / 0.447
        return np.asarray(worth + self.error * scale * noise)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, mean under the policy on test prompts; `reliability`, R squared of reward and worth under the weights
        on completions of the starting policy; `filter`, the index of the filter in use.
    """
    del fit  # a softmax policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"policy_filtration: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    raw = rng.normal(size=(2, FEATURES)) * np.array([[1.0], [0.3]])
    scale = np.sqrt((raw[0] ** 2).sum() + 2 * (raw[1] ** 2).sum())
    world = World(raw[0] / scale, raw[1] / scale, float(budget["error"]), even=bool(knob))
    choice, known = _chosen(world, seed, budget)
    filter_ = choice if name == "chosen" else "none" if name in ("random", "oracle") else name
    theta = _trained(world, seed, name, filter_, budget)
    x = np.random.default_rng([seed, 4]).normal(size=(int(budget["test"]), K, FEATURES))
    worth = (_softmax(x @ theta) * world.worth(x)).sum(axis=1).mean()
    return {"worth": float(worth), "reliability": known[filter_], "filter": float(list(FILTERS).index(filter_))}


def _chosen(world: World, seed: int, budget: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """The most reliable filter, by completions of the starting policy whose worth is known."""
    rng = np.random.default_rng([seed, 3])
    n = int(budget["known"])
    worth = world.worth(rng.normal(size=(n * GROUP, FEATURES)))
    reward = world.reward(worth, rng.normal(size=worth.shape))
    return most_reliable((reward - reward.mean()) / reward.std(), worth, np.repeat(np.arange(n), GROUP))


def _trained(world: World, seed: int, name: str, filter_: str, budget: Mapping[str, Any]) -> Numbers:
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 5])
    theta, p = np.zeros(FEATURES), int(budget["prompts"])
    row, group = np.arange(p)[:, None], np.repeat(np.arange(p), GROUP)
    for _ in range(int(budget["updates"])):
        x = draw.normal(size=(p, K, FEATURES))
        worth = world.worth(x)
        reward = worth if name == "oracle" else world.reward(worth, draw.normal(size=worth.shape))
        policy = _softmax(x @ theta)
        a = (draw.random((p, GROUP, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        r = reward[row, a].reshape(-1)
        # over the whole buffer, as the paper's power filter needs
        weight = FILTERS[filter_]((r - r.mean()) / (r.std() + 1e-9), group)
        if name == "random":
            weight = _two_of_each(p, deal)
        push = weight * mean_only(r, group)
        push = push / (np.sqrt(np.mean(push**2)) + 1e-9)
        apart = x[row, a] - np.einsum("pk,pkf->pf", policy, x)[:, None]
        theta = theta + float(budget["rate"]) * np.einsum("n,nf->f", push, apart.reshape(-1, FEATURES)) / push.size
    return theta


def _two_of_each(groups: int, deal: np.random.Generator) -> Numbers:
    """1/2 for two members of each group, whichever they are: as few completions as best and worst have."""
    weight = np.zeros((groups, GROUP))
    weight[:, :2] = 0.5
    return np.asarray(deal.permuted(weight, axis=1).reshape(-1))


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
