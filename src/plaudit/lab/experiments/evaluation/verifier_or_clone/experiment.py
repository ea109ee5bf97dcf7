"""Answers of many steps: a policy fitted to good ones, and one that follows a model of what is good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from plaudit.errors import InputError
from plaudit.evaluation.traces import anticoncentration, heterogeneity
from plaudit.lab.experiment import Fit

ARMS = ("verifier", "clone", "sharper", "dealt", "oracle")
RIGHT = 0.4
"""Chance that an action is right in a situation."""
SMOOTH = 1.0
"""Weight of the start in a fitted policy, in steps of a situation."""
RIDGE = 10.0
"""Penalty of the linear model of what the verifier says."""
FAR = 2.0
"""Times the clone's KL, where a policy may go further."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gain`, see the claim; `kl` of an answer from the start, in nats; `heterogeneity` of the start's answers, a
        step's share of it, and their `anticoncentration`.
    """
    del fit  # tabular policies
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "8", "128", "far"):
        raise InputError(f"verifier_or_clone: arm {arm!r} is not known; the claim lists the arms")
    s, a, n = int(budget["situations"]), int(budget["actions"]), int(budget["traces"])
    length = int(knob) if knob in ("8", "128") else int(budget["steps"])
    rng = np.random.default_rng([seed, 1])
    start = softmax(rng.normal(size=(s, a)), axis=1)
    worth = (rng.random((s, a)) < RIGHT).astype(np.float64)
    worth[:, 0], worth[:, 1] = 1.0, 0.0  # one way to be right and one to be wrong in every situation
    if knob == "0":
        worth[1:] = 0.5
    often = np.full(s, 1.0 / s)
    counts = _answers(np.random.default_rng([seed, 2]), start, often, 8 * n, length)
    reward = (counts * worth).sum(axis=(1, 2))
    better = np.flatnonzero(reward > reward.mean())[:n]
    clone = _fitted(counts[better].sum(axis=0), start)
    budgeted = _kl(clone, start, often) * (FAR if name == "sharper" or knob == "far" else 1.0)
    policy = clone
    if name != "clone":
        label = (reward > reward.mean()).astype(np.float64)
        direction = np.log(clone / start) if name == "sharper" else _tilt(name, seed, counts[:n], label[:n], worth)
        policy = _at(direction, start, often, budgeted)
    mean, spread = _return(start, worth, often), float(reward.std())
    rolls = reward[: reward.size // 8 * 8].reshape(-1, 8)
    return {
        "gain": length * (_return(policy, worth, often) - mean) / max(spread, 1e-12),
        "kl": length * _kl(policy, start, often),
        "heterogeneity": heterogeneity(rolls, resamples=1).value / length,
        "anticoncentration": anticoncentration(rolls, resamples=1).value,
    }


def _answers(rng: np.random.Generator, policy: Numbers, often: Numbers, n: int, length: int) -> Numbers:
    """How often each answer does what where, (n, s, a)."""
    joint = (often[:, None] * policy).ravel()
    return rng.multinomial(length, joint, size=n).reshape(n, *policy.shape).astype(np.float64)


def _fitted(counts: Numbers, start: Numbers) -> Numbers:
    total = counts + SMOOTH * start
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def _tilt(name: str, seed: int, counts: Numbers, label: Numbers, worth: Numbers) -> Numbers:
    """The direction in which the logits of the start are moved, (s, a)."""
    if name == "oracle":
        return worth
    if name == "dealt":
        label = np.random.default_rng([seed, 3]).permutation(label)
    x = counts.reshape(len(counts), -1)
    x, y = x - x.mean(axis=0), label - label.mean()
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y).reshape(worth.shape)


def _at(tilt: Numbers, start: Numbers, often: Numbers, kl: float) -> Numbers:
    """The tilted start at a given KL a step; as far as it can go, if it cannot go that far."""

    def tilted(strength: float) -> Numbers:
        return np.asarray(softmax(np.log(start) + strength * tilt, axis=1))

    if _kl(tilted(1e3), start, often) <= kl:
        return tilted(1e3)
    return tilted(float(brentq(lambda c: _kl(tilted(c), start, often) - kl, 0.0, 1e3)))


def _kl(policy: Numbers, start: Numbers, often: Numbers) -> float:
    """Mean KL of a step, in nats."""
    logs = np.log(np.maximum(policy, 1e-300) / start)
    return float(often @ (policy * logs).sum(axis=1))


def _return(policy: Numbers, worth: Numbers, often: Numbers) -> float:
    return float(often @ (policy * worth).sum(axis=1))
