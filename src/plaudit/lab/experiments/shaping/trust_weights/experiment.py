"""Right and wrong answers, where a judge of the reasoning likes that of the wrong ones better.

A policy has two arms a prompt: the right answer with plain reasoning and the wrong one with flashy reasoning. A
group of completions is rewarded for answers and for reasoning, advantages are those of the group, and the policy
follows them. Arms differ in the reward alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.combine import weighted_sum
from plaudit.shaping.groups import mean_only, trusted_reward

PLAIN, FLASHY = 0.2, 0.95
"""What the judge gives on average to the reasoning of right and of wrong answers."""
ARMS = ("trust", "neither", "annealed", "both", "outcome", "shuffled")
NEVER = 1e12
"""Steps of decay, so many that nothing decays."""

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, the mean chance of the right answer after training; `lost`, the share of prompts where it is below
        one half.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"trust_weights: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    p, n = int(budget["prompts"]), int(budget["samples"])
    logit = rng.normal(float(budget["start"]), 1.0, size=p)  # of the right answer
    likes = np.full((p, 2), PLAIN) + rng.normal(0, 0.1, size=(p, 2))
    likes[:, 0] += 0.0 if knob else FLASHY - PLAIN  # column 0: the wrong answer's reasoning
    group = np.repeat(np.arange(p), n)
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    for step in range(int(budget["updates"])):
        chance = 1 / (1 + np.exp(-logit))
        right = (draw.random((p, n)) < chance[:, None]).astype(int)
        noise = draw.normal(0, float(budget["noise"]), size=(p, n))
        thinking = np.clip(np.take_along_axis(likes, right, axis=1) + noise, 0, 1)
        if name == "shuffled":
            thinking = deal.permuted(thinking, axis=1)
        reward = _reward(name, right.reshape(-1).astype(float), thinking.reshape(-1), group, step, budget)
        advantage = mean_only(reward, group).reshape(p, n)
        logit = logit + float(budget["rate"]) * (advantage * (right - chance[:, None])).mean(axis=1)
    chance = 1 / (1 + np.exp(-logit))
    return {"accuracy": float(chance.mean()), "lost": float((chance < 0.5).mean())}


def _reward(
    name: str, right: Numbers, thinking: Numbers, group: NDArray[np.int64], step: int, budget: Mapping[str, Any]
) -> Numbers:
    alpha, decay = float(budget["alpha"]), float(budget["decay"])
    if name == "outcome":
        return right
    if name in ("trust", "both", "shuffled"):
        steps = decay if name == "both" else NEVER
        return np.asarray(trusted_reward(right, thinking, group, step=step, alpha=alpha, decay_steps=steps))
    weight = alpha * (np.exp(-step / decay) if name == "annealed" else 1.0)
    return np.asarray(weighted_sum(np.stack([right, thinking], axis=1), [1.0, weight]))
