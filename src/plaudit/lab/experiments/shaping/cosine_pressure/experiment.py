"""The cosine length reward, where thinking longer helps until the window cuts it off.

A policy writes token by token and stops with a chance that is logistic in how much of the window it has used: two
numbers a prompt, so that it can aim at a length but not hit it; under the knob `blind` with one, which does not see the
window. A completion is right with a chance that rises with its length, fast for easy prompts and slowly for hard ones;
one that reaches the window is cut off, and wrong. Arms differ in the reward alone; accuracy and lengths are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.rewards.rules import cosine_length
from plaudit.shaping.groups import standardised
from plaudit.shaping.groups.efficiency import efficient_reward
from plaudit.shaping.length import overlong_penalty

WINDOW = 32
ARMS = ("cosine", "inside", "none", "overlong", "brevity", "shuffled", "oracle")

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, the mean chance of a right completion after training; `length`, the mean length, the window's for
        what is cut off; `cut`, the share of completions that reach the window; `hard`, the accuracy on the harder half
        of the prompts; `longer`, by how many tokens hard prompts are answered longer than easy ones.
    """
    del fit  # two numbers a prompt
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "blind"):
        raise InputError(f"cosine_pressure: arm {arm!r} is not known; the claim lists the arms")
    p, n = int(budget["prompts"]), int(budget["samples"])
    chance = _chance(seed, p, flat=knob == "0")
    theta, rows = np.zeros((p, 2)), np.arange(p)[:, None]
    theta[:, 0] = float(budget["start"])
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    group = np.repeat(np.arange(p), n)
    for _ in range(0 if name == "oracle" else int(budget["updates"])):
        policy, slope = _lengths(theta)
        a = (draw.random((p, n, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        right = (draw.random((p, n)) < chance[rows, a]).astype(float).reshape(-1)
        seen = deal.permuted(a, axis=1) if name == "shuffled" else a
        reward = _reward(name, right, seen.reshape(-1) + 1.0, group, budget)
        advantage = standardised(reward, group).reshape(p, n)
        push = (advantage[:, :, None] * slope[rows, a]).mean(axis=1)
        theta = theta + float(budget["rate"]) * push * ([1.0, 0.0] if knob == "blind" else [1.0, 1.0])
    policy = np.eye(WINDOW)[chance.argmax(axis=1)] if name == "oracle" else _lengths(theta)[0]
    accuracy = (policy * chance).sum(axis=1)
    length = (policy * np.arange(1, WINDOW + 1)).sum(axis=1)
    order = np.argsort(chance.mean(axis=1))
    hard, easy = order[: (p + 1) // 2], order[(p + 1) // 2 :]
    return {
        "accuracy": float(accuracy.mean()),
        "length": float(length.mean()),
        "cut": float(policy[:, -1].mean()),
        "hard": float(accuracy[hard].mean()),
        "longer": float(length[hard].mean() - length[easy].mean()),
    }


def _reward(name: str, right: Numbers, length: Numbers, group: NDArray[np.int64], budget: Mapping[str, Any]) -> Numbers:
    if name == "none":
        return right
    if name == "overlong":
        return np.asarray(right + overlong_penalty(length, limit=WINDOW, cushion=WINDOW / 4))
    if name == "brevity":
        return np.asarray(efficient_reward(right, length, group, share=1.0, alpha=float(budget["alpha"])))
    # inside: the curves without their penalty for reaching the limit, where the wrong one has risen to 0
    exceeded = 0.0 if name == "inside" else -10.0
    margin = WINDOW / 64  # the paper's 16 of 1,024
    return np.asarray(cosine_length(length, right > 0.5, limit=WINDOW, exceeded=exceeded, margin=margin))


def _chance(seed: int, prompts: int, *, flat: bool) -> Numbers:
    """Of a right completion, (p, WINDOW): `most (1 - exp(-length / need))`, 0 where it is cut off; flat: its mean."""
    rng = np.random.default_rng([seed, 1])
    need = np.exp(rng.uniform(np.log(1.0), np.log(16.0), size=(prompts, 1)))
    most = rng.uniform(0.85, 1.0, size=(prompts, 1))
    chance = most * (1 - np.exp(-np.arange(1, WINDOW + 1) / need))
    chance[:, -1] = 0.0
    return np.asarray(np.repeat(chance.mean(axis=1, keepdims=True), WINDOW, axis=1) if flat else chance)


def _lengths(theta: Numbers) -> tuple[Numbers, Numbers]:
    """Chances of each length, (p, WINDOW), and the slopes of their logarithms in `theta`, (p, WINDOW, 2).

    `stop_t = sigmoid(u + v t / WINDOW)` after token t; what has not stopped before the window ends there.
    """
    used = np.stack([np.ones(WINDOW), np.arange(1, WINDOW + 1) / WINDOW], axis=1)  # (t, 2)
    stop = 1 / (1 + np.exp(-(theta @ used.T)))
    go = np.cumprod(1 - stop, axis=1)
    reach = np.concatenate([np.ones((len(theta), 1)), go[:, :-1]], axis=1)
    ends = np.where(np.arange(WINDOW) == WINDOW - 1, 1.0, stop)
    passed = np.cumsum(-stop[:, :, None] * used, axis=1)  # of log of the product of (1 - stop)
    before = np.concatenate([np.zeros_like(passed[:, :1]), passed[:, :-1]], axis=1)
    here = np.where(np.arange(WINDOW)[:, None] == WINDOW - 1, 0.0, (1 - stop)[:, :, None] * used)
    return np.asarray(reach * ends), np.asarray(before + here)
