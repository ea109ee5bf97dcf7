"""A policy that may repeat itself, under an outcome and a process reward.

Each prompt's policy is a softmax over (way of reasoning, repetitions of the first step); a group of solutions is
rewarded, advantages are those of the group, and the policy follows them. Arms differ in what is made of the steps'
rewards alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.groups import mean_only
from plaudit.shaping.steps.telescoping import clipped_steps, delta_steps

ARMS = ("delta", "sum", "clipped", "both", "mean", "lowest", "outcome", "dealt")
STEP = (0.65, 0.85)
"""Mean reward of a step of sloppy and of careful reasoning; a plain step that is said again is surely right."""
AGAIN = 0.95
NOISE = 0.08
"""Deviation of a step's reward."""
RIGHT = (0.45, 0.7)
"""Mean chance of the right answer by sloppy and careful reasoning."""
ROOM = 0.5
"""Share of the possible repetitions for which the budget has room; beyond, there is no answer."""
ETA = 0.9
"""Score from which on a clipped step costs nothing: a high quantile of the scores."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `repeats`, the expected number of repetitions after training; `accuracy`, the expected share of right answers;
        `careful`, the chance of careful reasoning.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"repeated_steps: arm {arm!r} is not known; the claim lists the arms")
    p, n, most = int(budget["prompts"]), int(budget["samples"]), int(budget["most"])
    rng = np.random.default_rng([seed, 1])
    success = np.clip(np.array(RIGHT) + rng.normal(0, 0.1, (p, 2)), 0.02, 0.98)
    fits = np.arange(most + 1) <= ROOM * most
    chance = (success[:, :, None] * fits).reshape(p, -1)  # (prompts, way x repetitions)
    # at first few repetitions: each further one is half as likely
    logit = (np.tile(-np.log(2) * np.arange(most + 1), (p, 2, 1)) + rng.normal(0, 0.3, (p, 2, most + 1))).reshape(p, -1)
    weight = 0.0 if knob or name == "outcome" else float(budget["weight"])
    draw, group = np.random.default_rng([seed, 2]), np.repeat(np.arange(p), n)
    for _ in range(int(budget["updates"])):
        policy = softmax(logit, axis=1)
        action = (draw.random((p, n, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        right = draw.random((p, n)) < np.take_along_axis(chance, action, axis=1)
        paid = _paid(name, action.ravel(), int(budget["steps"]), most, draw).reshape(p, n)
        if name == "dealt":
            paid = draw.permuted(paid, axis=1)
        reward = right + weight * paid
        advantage = mean_only(reward.ravel().astype(np.float64), group).reshape(p, n)
        chosen = np.eye(policy.shape[1])[action]
        logit = logit + float(budget["rate"]) * (advantage[:, :, None] * (chosen - policy[:, None])).mean(axis=1)
    policy = softmax(logit, axis=1)
    parts = policy.reshape(p, 2, -1)
    return {
        "accuracy": float((policy * chance).sum(axis=1).mean()),
        "repeats": float((parts.sum(axis=1) @ np.arange(most + 1)).mean()),
        "careful": float(parts[:, 1].sum(axis=1).mean()),
    }


def _paid(name: str, action: Numbers, steps: int, most: int, draw: np.random.Generator) -> Numbers:
    """What each solution's steps are paid together, (m,)."""
    way, repeats = np.divmod(action, most + 1)
    length = steps + repeats
    place = np.arange(steps + most)
    mask = place < length[:, None]
    # the repetitions stand behind the first step
    again = (place >= 1) & (place <= repeats[:, None])
    mean = np.where(again, AGAIN, np.array(STEP)[way][:, None])
    scores = np.where(mask, np.clip(mean + draw.normal(0, NOISE, mask.shape), 0, 1), 0.0)
    if name == "clipped":
        return np.asarray(clipped_steps(scores, mask, eta=ETA).sum(axis=1))
    if name == "both":
        return np.asarray(delta_steps(clipped_steps(scores, mask, eta=ETA), mask).sum(axis=1))
    if name == "delta":
        return np.asarray(delta_steps(scores, mask).sum(axis=1))
    if name == "mean":
        return np.asarray(scores.sum(axis=1) / length)
    if name == "lowest":
        return np.asarray(np.where(mask, scores, 1.0).min(axis=1))
    return np.asarray(scores.sum(axis=1))
