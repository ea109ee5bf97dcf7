"""How often keys beat real completions, before and after training on pairs that reject other keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plaudit.audit.attacks.ground import Ground
from plaudit.audit.attacks.keys import augment_with_attacks, key_wins
from plaudit.audit.attacks.words import OPENERS, TOKENS, fragments
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.audit.linear import demonstrated, fit_words
from plaudit.lab.worlds.assistant import World
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.lab.worlds.assistant.world import TrueReward
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.functions import FunctionReward

ARMS = ("augmented", "plain", "more", "short", "oracle")
SENTENCES = 12
"""Sentences of the data among the keys."""
SHORTEST = 0.1
"""Share of real completions that the rule of the arm `short` calls too short."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `fooled`, the mean over keys that training did not have of the share of real completions that they beat without
        being better; `fooled_seen`, of the others; `accuracy` on held-out pairs, by their true reward.
    """
    del fit  # linear rewards over words
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"master_keys: arm {arm!r} is not known; the claim lists the arms")
    truth = TrueReward(World.drawn(seed))
    test = demonstrated(seed, int(budget["test"]), 1)
    keys = (*TOKENS, *OPENERS, *fragments(test, SENTENCES))
    reward = _reward(name, seed, budget, keys[::2], truth)
    ground = Ground.of(test, reward, seed=seed % 2**31)
    margin = ground.rewards[:, 0] - ground.rewards[:, 1]
    true = truth(ground.samples).reward.reshape(-1, 2)
    # equal true rewards have no right order
    right = (np.sign(margin * np.sign(true[:, 0] - true[:, 1])) + 1)[true[:, 0] != true[:, 1]] / 2
    if knob:
        fooled = seen = _fresh(seed, ground, truth)
    else:
        fooled, seen = (_wins(ground, part, truth) for part in (keys[1::2], keys[::2]))
    return {"fooled": fooled, "fooled_seen": seen, "accuracy": float(right.mean())}


def _reward(name: str, seed: int, budget: Mapping[str, Any], keys: Sequence[str], truth: Reward) -> Reward:
    if name == "oracle":
        return truth
    n, share = int(budget["pairs"]), float(budget["share"])
    pairs: Sequence[Pair] = demonstrated(seed, n, 0)
    if name == "more":
        pairs = [*pairs, *demonstrated(seed, round(share * n), 2)]
    if name == "augmented":
        pairs = augment_with_attacks(pairs, share=share, keys=keys, seed=seed % 2**31)
    reward = fit_words(pairs)
    if name != "short":
        return reward
    usual = np.quantile([len(s.text.split()) for p in pairs for s in p.samples()], SHORTEST)
    floor = float(reward([s for p in pairs for s in p.samples()]).reward.min()) - 1

    def ruled(samples: Sequence[Sample]) -> list[float | None]:
        found = reward(samples).reward
        return [floor if len(s.text.split()) < usual else float(r) for s, r in zip(samples, found, strict=True)]

    return FunctionReward(ruled, "short")


def _wins(ground: Ground, keys: Sequence[str], truth: Reward) -> float:
    at = np.flatnonzero(ground.known)
    return float(np.nanmean(key_wins(ground, keys, at, truth=truth)[0]))


def _fresh(seed: int, ground: Ground, truth: Reward) -> float:
    """The same share for a further demonstration of each prompt."""
    world, rng = World.drawn(seed), np.random.default_rng([seed, 82])
    new = [Sample(p.prompt, demonstration(world.request(p.prompt), world.habits, rng)) for p in ground.pairs]
    said, worth = (_of(r, new)[:, None] for r in (ground.reward, truth))
    real = truth(ground.samples).reward.reshape(-1, 2)
    won = (np.sign(said - ground.rewards) + 1) / 2 * (worth <= real)
    return float(won.mean())


def _of(reward: Any, samples: Sequence[Sample]) -> np.ndarray:
    found: RewardBatch = reward(samples)
    return found.reward
