"""A bilinear true reward, scores with noise, and the same scores drawn towards those of near completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.fusion import fused_rewards

ARMS = ("fused", "bare", "wide", "shuffled", "twice", "oracle")
NOISE = {"": 0.5, "0": 0.0, "2": 2.0}
"""Deviation of a score's noise, in deviations of the true reward."""
NEARNESS = 0.25
"""Deviation of prompts within a topic and of completions within a way to answer, in deviations between them."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs by the true reward, and `moved`, the share of scores that the fusion changed.
    """
    del fit  # the scores are given
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in NOISE:
        raise InputError(f"fused_reward: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed, budget)
    texts, truth = world.pairs(3, int(budget["test"]))
    said, own = said_of(name, world, texts, truth, noise=NOISE[knob], corpus=int(budget["corpus"]))
    better = (said[:, 0] > said[:, 1]) == (truth[:, 0] > truth[:, 1])
    return {"accuracy": float(better.mean()), "moved": float((said != own).mean())}


def said_of(
    name: str, world: World, texts: np.ndarray, truth: np.ndarray, *, noise: float, corpus: int
) -> tuple[np.ndarray, np.ndarray]:
    """What an arm says of texts (n, 2, 2 d) whose true rewards are (n, 2), and what its score said before fusion.

    Args:
        name: one of `ARMS`.
        world: the instance.
        texts: embeddings of two texts each.
        truth: their true rewards.
        noise: of a score, in deviations of the true reward of these texts.
        corpus: training pairs, whose better completions are what is fused with.
    """
    near, chosen = world.pairs(2, corpus)
    best = np.argmax(chosen, axis=1)
    near, gold = (np.take_along_axis(v, best.reshape(-1, *[1] * (v.ndim - 1)), axis=1)[:, 0] for v in (near, chosen))
    spread = float(truth.std())
    errors = np.random.default_rng([world.seed, 4]).normal(size=(3, *truth.shape)) * noise * spread
    own = truth if name == "oracle" else truth + (errors[:2].mean(axis=0) if name == "twice" else errors[0])
    if name not in ("fused", "wide", "shuffled"):
        return own, own
    if name == "shuffled":
        near = np.random.default_rng([world.seed, 5]).permutation(near)
    scored = gold + np.random.default_rng([world.seed, 6]).normal(size=len(gold)) * noise * spread
    fused = fused_rewards(
        own.reshape(-1), texts.reshape(-1, texts.shape[2]), corpus_rewards=scored, corpus=near,
        threshold=0.5 if name == "wide" else 0.9,
    )  # fmt: skip
    return fused.reshape(own.shape), own


class World:
    """Prompts around topics, completions around ways to answer, and a bilinear true reward of both."""

    def __init__(self, seed: int, budget: Mapping[str, Any]) -> None:
        rng, d = np.random.default_rng([seed, 1]), int(budget["features"])
        self.seed, self.between = seed, rng.normal(size=(d, d))
        self.topics, self.ways = (rng.normal(size=(int(budget[k]), d)) for k in ("topics", "ways"))

    def pairs(self, stream: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (n, 2, 2 d) and true rewards (n, 2) of two completions of each of n prompts."""
        rng, d = np.random.default_rng([self.seed, stream]), len(self.between)
        x = self.topics[rng.integers(len(self.topics), size=n)] + NEARNESS * rng.normal(size=(n, d))
        y = self.ways[rng.integers(len(self.ways), size=(n, 2))] + NEARNESS * rng.normal(size=(n, 2, d))
        prompts = np.repeat(x[:, None], 2, axis=1)
        return np.concatenate([prompts, y], axis=2), np.einsum("nsd,de,nse->ns", prompts, self.between, y)
