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
    corpus, chosen = world.pairs(2, int(budget["corpus"]))
    best = np.argmax(chosen, axis=1)
    corpus, gold = (
        np.take_along_axis(v, best.reshape(-1, *[1] * (v.ndim - 1)), axis=1)[:, 0] for v in (corpus, chosen)
    )
    texts, truth = world.pairs(3, int(budget["test"]))
    spread = float(truth.std())
    noise = np.random.default_rng([seed, 4]).normal(size=(3, *truth.shape)) * NOISE[knob] * spread
    own = truth if name == "oracle" else truth + (noise[:2].mean(axis=0) if name == "twice" else noise[0])
    said = own
    if name in ("fused", "wide", "shuffled"):
        if name == "shuffled":
            corpus = np.random.default_rng([seed, 5]).permutation(corpus)
        scored = gold + np.random.default_rng([seed, 6]).normal(size=len(gold)) * NOISE[knob] * spread
        said = fused_rewards(
            own.reshape(-1), texts.reshape(-1, texts.shape[2]), corpus_rewards=scored, corpus=corpus,
            threshold=0.5 if name == "wide" else 0.9,
        ).reshape(own.shape)  # fmt: skip
    better = (said[:, 0] > said[:, 1]) == (truth[:, 0] > truth[:, 1])
    return {"accuracy": float(better.mean()), "moved": float((said != own).mean())}


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
