"""A verifier whose verdicts are turned round for whole prompts, and patterns of reasoning that tell something.

Each prompt has eight answers, one of them right. At every update the verdicts on a group are turned round together with
some chance. What the reasoning looks like scores higher on average for right answers than for wrong ones; answers
differ in it for good. The policy is a softmax over answers a prompt and follows the advantages of the group, without
a scale or, in the arms that are called so, standardised; accuracy is computed exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.combine import pattern_calibrated
from plaudit.shaping.groups import mean_only, standardised

ANSWERS = 8
ARMS = ("bare", "calibrated", "pattern", "weak", "shuffled", "bare-scaled", "calibrated-scaled")
FLIPS = ("0", "20", "40", "50")
"""Chance in hundredths that the verdicts on a group are turned round."""

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, the mean chance of the right answer after training; `found`, the share of prompts on which the right
        answer is the likeliest.
    """
    del fit  # a tabular policy
    name, _, flips = arm.partition("@")
    if name not in ARMS or flips not in FLIPS:
        raise InputError(f"noisy_verifier: arm {arm!r} is not known; the claim lists the arms")
    p, n = int(budget["prompts"]), int(budget["samples"])
    look = _looks(seed, budget, apart=0.5 if name == "weak" else 1.0)
    logits, rows = np.zeros((p, ANSWERS)), np.arange(p)[:, None]
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    group = np.repeat(np.arange(p), n)
    for _ in range(int(budget["updates"])):
        policy = _softmax(logits)
        a = (draw.random((p, n, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        turned = draw.random((p, 1)) < float(flips) / 100
        verdict = ((a == 0) ^ turned).astype(float)
        pattern = np.clip(look[rows, a] + draw.normal(0, float(budget["noise"]), size=a.shape), 0, 1)
        if name == "shuffled":
            pattern = deal.permuted(pattern, axis=1)
        reward = _reward(name, verdict.reshape(-1), pattern.reshape(-1), float(budget["weight"]))
        # standardised advantages are twice as large or more: half the rate
        advantage = 0.5 * standardised(reward, group) if name.endswith("scaled") else mean_only(reward, group)
        advantage = advantage.reshape(p, n)
        push = -advantage.sum(axis=1, keepdims=True) * policy
        np.add.at(push, (np.broadcast_to(rows, a.shape), a), advantage)
        logits = logits + float(budget["rate"]) * push / n
    policy = _softmax(logits)
    return {"accuracy": float(policy[:, 0].mean()), "found": float((policy.argmax(axis=1) == 0).mean())}


def _reward(name: str, verdict: Numbers, pattern: Numbers, weight: float) -> Numbers:
    if name.startswith("bare"):
        return verdict
    if name == "pattern":
        return pattern
    return np.asarray(pattern_calibrated(verdict, pattern, weight=weight))


def _looks(seed: int, budget: Mapping[str, Any], *, apart: float) -> Numbers:
    """What the reasoning of each answer scores by its patterns, (p, ANSWERS); answer 0 is the right one."""
    rng = np.random.default_rng([seed, 1])
    look = rng.normal(float(budget["wrong"]), float(budget["spread"]), size=(int(budget["prompts"]), ANSWERS))
    look[:, 0] += apart * (float(budget["right"]) - float(budget["wrong"]))
    return np.asarray(look)


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
