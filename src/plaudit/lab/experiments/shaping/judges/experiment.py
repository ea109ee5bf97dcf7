"""A proxy that is inflated on what judges forbid, and judges who err and abstain.

Each prompt has twenty arms. Some break one of two constraints; they are worth less, and the proxy rewards them beyond
their worth. A verdict is asked for every completion anew: it is wrong or missing with small chances. All arms of the
experiment see the same reward, calibrated against a reference answer, and follow the advantages of the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.constraints import calibrated_reward, constrained_reward, satisfied
from plaudit.shaping.groups import mean_only

K, JUDGES = 20, 2
ARMS = ("constrained", "plain", "near", "penalty", "shuffled", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Arms of all prompts.

    Attributes:
        truth: (p, K).
        proxy: (p, K).
        breaks: (p, K, JUDGES) True where an arm breaks the judge's constraint.
        reference: (p,) the proxy of the reference answer.
    """

    truth: Numbers
    proxy: Numbers
    breaks: NDArray[np.bool_]
    reference: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, the mean true worth under the trained policy; `violation`, the chance of what breaks a constraint;
        `proxy`, the mean proxy.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"judges: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, 0.0 if knob else float(budget["inflation"]), budget)
    p, n = len(world.truth), int(budget["samples"])
    logits = np.zeros((p, K))
    row, group = np.arange(p)[:, None], np.repeat(np.arange(p), n)
    draw, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    for _ in range(int(budget["updates"])):
        policy = _softmax(logits)
        a = (draw.random((p, n, 1)) > policy.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
        verdicts = _verdicts(world.breaks[row, a], draw, budget)
        verdicts = deal.permuted(verdicts, axis=1) if name == "shuffled" else verdicts
        far = np.log(policy[row, a] * K)
        reward = _reward(name, world, row, a, verdicts.reshape(p * n, JUDGES), far.reshape(-1), budget)
        advantage = mean_only(reward, group).reshape(p, n)
        push = -advantage.sum(axis=1, keepdims=True) * policy
        np.add.at(push, (np.broadcast_to(row, a.shape), a), advantage)
        logits = logits + float(budget["rate"]) * push / n
    policy = _softmax(logits)
    broken = world.breaks.any(axis=2)
    found = {"worth": world.truth, "violation": broken, "proxy": world.proxy}
    return {key: float((policy * value).sum(axis=1).mean()) for key, value in found.items()}


def _reward(
    name: str, world: World, row: NDArray[np.int64], a: NDArray[np.int64], verdicts: Numbers, far: Numbers,
    budget: Mapping[str, Any],
) -> Numbers:  # fmt: skip
    """Of the sampled arms, (p * n,)."""
    base = np.repeat(world.reference, a.shape[1])
    source = world.truth if name == "oracle" else world.proxy
    r = calibrated_reward(source[row, a].reshape(-1), base)
    allowed = satisfied(verdicts)
    if name in ("plain", "oracle"):
        return np.asarray(r)
    if name == "penalty":
        return np.asarray(r - (allowed == 0))  # an abstention costs nothing
    if name == "near":
        allowed = np.ones_like(r)
    return np.asarray(constrained_reward(r, allowed, far, kl_max=float(budget["kl_max"])))


def _verdicts(breaks: NDArray[np.bool_], draw: np.random.Generator, budget: Mapping[str, Any]) -> Numbers:
    """1 yes, 0 no, NaN no answer."""
    wrong = draw.random(breaks.shape) < float(budget["errors"])
    silent = draw.random(breaks.shape) < float(budget["abstentions"])
    return np.where(silent, np.nan, (breaks == wrong).astype(float))


def _world(seed: int, inflation: float, budget: Mapping[str, Any]) -> World:
    rng = np.random.default_rng([seed, 1])
    p = int(budget["prompts"])
    breaks = rng.random((p, K, JUDGES)) < 0.15
    broken = breaks.any(axis=2)
    truth = rng.normal(size=(p, K)) - broken
    proxy = truth + 0.5 * rng.normal(size=(p, K)) + inflation * broken
    return World(truth, proxy, breaks, np.median(proxy, axis=1))


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
