"""Of two like prompts with an answer each: does a prompt's own answer beat the other's, by fused scores [17]?

World, scores, noise and corpus are those of `rewards/fused_reward`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.fused_reward.experiment import ARMS, NEARNESS, NOISE, World, said_of

NEAR = (0.75, 0.9)
"""Cosines of prompts that are alike without being the same, as in the paper."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `c_res` (the share of prompts whose own answer beats that of the like prompt, ties half), and `moved`, the
        share of scores that the fusion changed.
    """
    del fit  # the scores are given
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in NOISE:
        raise InputError(f"fused_consistency: arm {arm!r} is not known; the claim lists the arms")
    world = World(seed, budget)
    texts, truth = contrasts(world, 7, int(budget["test"]), int(budget["candidates"]))
    said, own = said_of(name, world, texts, truth, noise=NOISE[knob], corpus=int(budget["corpus"]))
    lead = np.sign(said[:, 0] - said[:, 1])
    return {"c_res": float((lead + 1).mean() / 2), "moved": float((said != own).mean())}


def contrasts(world: World, stream: int, n: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    """Like prompts, n of them, each with its own answer first and the other's second.

    An answer is the best of some completions by the true reward, for its own prompt.

    Returns:
        Embeddings (2 n, 2, 2 d) and true rewards (2 n, 2).
    """
    rng, d = np.random.default_rng([world.seed, stream]), len(world.between)
    first = world.topics[rng.integers(len(world.topics), size=n)] + NEARNESS * rng.normal(size=(n, d))
    cosine, length = rng.uniform(*NEAR, size=(n, 1)), np.linalg.norm(first, axis=1, keepdims=True)
    across = rng.normal(size=first.shape)
    across -= (across * first).sum(axis=1, keepdims=True) / length**2 * first
    second = cosine * first + np.sqrt(1 - cosine**2) * length * across / np.linalg.norm(across, axis=1, keepdims=True)
    ways = world.ways[rng.integers(len(world.ways), size=(2, n, candidates))]
    offered = ways + NEARNESS * rng.normal(size=ways.shape)
    prompts = np.stack([first, second])
    worth = np.einsum("snd,de,snce->snc", prompts, world.between, offered)
    answers = np.take_along_axis(offered, worth.argmax(axis=2)[..., None, None], axis=2)[:, :, 0]
    both = np.stack([answers, answers[::-1]], axis=2)  # (2, n, own and other, d)
    asked = np.repeat(prompts[:, :, None], 2, axis=2)
    texts = np.concatenate([asked, both], axis=3).reshape(2 * n, 2, 2 * d)
    truth = np.einsum("snad,de,snae->sna", asked, world.between, both).reshape(2 * n, 2)
    return texts, truth
