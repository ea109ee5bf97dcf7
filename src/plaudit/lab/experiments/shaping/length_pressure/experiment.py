"""Rewards for brevity, where prompts need different lengths.

A completion has a length of 1 to 16 and is right with a chance that rises with it, fast for easy prompts and slowly for
hard ones. The policy is a softmax over lengths a prompt; each update has a group of completions of every prompt, and
follows their standardised advantages. Arms differ in the reward alone; accuracy and length are computed exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.groups import standardised
from plaudit.shaping.groups.efficiency import efficient_reward
from plaudit.shaping.length import overlong_penalty

LONGEST = 16
ARMS = ("efficient", "penalty", "mild", "none", "overlong", "shuffled", "oracle")

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, the mean chance of a right completion after training; `length`, the mean length; `hard`, the
        accuracy on the harder half of the prompts.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"length_pressure: arm {arm!r} is not known; the claim lists the arms")
    p, n = int(budget["prompts"]), int(budget["samples"])
    chance = _chance(seed, p, flat=bool(knob))
    logits, rows = np.zeros((p, LONGEST)), np.arange(p)[:, None]
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    group = np.repeat(np.arange(p), n)
    for _ in range(0 if name == "oracle" else int(budget["updates"])):
        policy = _softmax(logits)
        a = (draw.random((p, n, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        right = (draw.random((p, n)) < chance[rows, a]).astype(float).reshape(-1)
        seen = deal.permuted(a, axis=1) if name == "shuffled" else a
        reward = _reward(name, right, seen.reshape(-1) + 1.0, group, budget)
        advantage = standardised(reward, group).reshape(p, n)
        push = -advantage.sum(axis=1, keepdims=True) * policy
        np.add.at(push, (np.broadcast_to(rows, a.shape), a), advantage)
        logits = logits + float(budget["rate"]) * push / n
    policy = np.eye(LONGEST)[chance.argmax(axis=1)] if name == "oracle" else _softmax(logits)
    accuracy = (policy * chance).sum(axis=1)
    length = (policy * np.arange(1, LONGEST + 1)).sum(axis=1)
    hard = np.argsort(chance.mean(axis=1))[: (p + 1) // 2]
    return {"accuracy": float(accuracy.mean()), "length": float(length.mean()), "hard": float(accuracy[hard].mean())}


def _reward(name: str, right: Numbers, length: Numbers, group: NDArray[np.int64], budget: Mapping[str, Any]) -> Numbers:
    if name == "none":
        return right
    if name == "overlong":
        return np.asarray(right + overlong_penalty(length, limit=LONGEST, cushion=LONGEST / 4))
    share, alpha = float(budget["share"]), float(budget["alpha"])
    if name in ("penalty", "mild"):  # mild: as much pressure in all, spread over all groups
        share, alpha = 1.0, alpha if name == "penalty" else share * alpha
    return np.asarray(efficient_reward(right, length, group, share=share, alpha=alpha))


def _chance(seed: int, prompts: int, *, flat: bool) -> Numbers:
    """Of a right completion, (p, LONGEST): `most (1 - exp(-length / need))`, or its mean over lengths."""
    rng = np.random.default_rng([seed, 1])
    need = np.exp(rng.uniform(np.log(0.5), np.log(8.0), size=(prompts, 1)))
    most = rng.uniform(0.85, 1.0, size=(prompts, 1))
    chance = most * (1 - np.exp(-np.arange(1, LONGEST + 1) / need))
    return np.asarray(np.repeat(chance.mean(axis=1, keepdims=True), LONGEST, axis=1) if flat else chance)


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
