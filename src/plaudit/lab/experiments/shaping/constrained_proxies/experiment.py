"""The sum of several correlated proxies, maximised by log-linear policies that are trained by gradient.

A prompt has many completions, drawn from the starting policy; each has features and several aspects, each of which is
concave in the features. The truth is their sum. A proxy is a linear reward, fitted to few noisy ratings of one
aspect: it misses the curvature and has seen little of the tails, so that all of them are proxies up to a point, which
depends on what else is optimised, as aspects are correlated. The policy is a softmax of features over a prompt's
completions, with one set of weights for all prompts, so that a policy is a direction and a distance from the start.
All arms see the same prompts and draw as many completions for as many updates. What some arms are told of the truth
are a few evaluations of trained policies on one half of the prompts; all arms are then trained anew, and measured, on
the other half.

Differs from the paper: advantages are of samples against their group's mean, without a value head; the points are
searched over whole runs, not within one; and the task's advantage is in nats. Standardised, as the rewards' are, it
pulls back as hard near the start as far away: nothing damps the multipliers, and in trials the policy went to twice
its points and then back to the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.constraints import Multipliers, mixed_advantages, search_thresholds
from plaudit.shaping.groups import batch_standardised, mean_only

FEATURES = 8
ARMS = ("constrained", "fixed", "single", "stopped", "weighted", "random", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Completions of prompts.

    Attributes:
        features: (p, k, f), what the policy sees.
        truth: (p, k), mean 0 and deviation 1 within prompts.
        proxies: (m, p, k), mean 0 within prompts, and in their own deviations within prompts.
    """

    features: Numbers
    truth: Numbers
    proxies: Numbers

    def side(self, first: int) -> World:
        """Every second prompt, from the first or the second on."""
        return World(self.features[first::2], self.truth[first::2], self.proxies[:, first::2])


@dataclass(frozen=True)
class Course:
    """What a policy was worth after so many updates, exactly.

    Attributes:
        updates: (c,) from the first evaluation to the end of training.
        worth: (c,) the truth.
        kl: (c,) KL from the start in nats, mean over prompts.
        proxies: (c, m) mean of each proxy.
    """

    updates: NDArray[np.int64]

    worth: Numbers
    kl: Numbers
    proxies: Numbers


@dataclass(frozen=True)
class Told:
    """What true evaluations on the even prompts told an arm; nothing, as it is.

    Attributes:
        thresholds: of the proxies, for multipliers.
        weights: of the proxies' advantages, with the task's as it is, in nats; None is 1 each, and no task.
        stop: updates, None for all of them.
        found: the truth that was promised on the even prompts, NaN where nothing was evaluated.
        asked: evaluations that were spent.
    """

    thresholds: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    stop: int | None = None
    found: float = float("nan")
    asked: int = 0


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        All on the odd prompts: `worth`, the truth at the end of training; `kl`, the KL there; `best`, the highest truth
        on the way, which nobody can choose without it; `fall`, from there to the end; `proxy`, the mean of all proxies
        at the end. And `asked`, true evaluations that were spent on the even prompts; `found`, the worth that they
        promised; `threshold`, the mean of the thresholds. NaN where there is none.
    """
    del fit  # linear rewards
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"constrained_proxies: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, 0.0 if knob else 1.0, budget)
    told = _told(name, world.side(0), seed, budget)
    odd = world.side(1)
    rewards = odd.truth[None] if name == "oracle" else None
    updates = int(budget["updates"]) if told.stop is None else told.stop
    course = _course(odd, [seed, 12], dict(budget) | {"updates": updates}, told, rewards, marks=np.arange(updates + 1))
    return {
        "worth": float(course.worth[-1]),
        "kl": float(course.kl[-1]),
        "best": float(course.worth.max()),
        "fall": float(course.worth.max() - course.worth[-1]),
        "proxy": float(course.proxies[-1].mean()),
        "asked": float(told.asked),
        "found": told.found,
        "threshold": float(np.mean(told.thresholds)) if told.thresholds else float("nan"),
    }


def _told(name: str, even: World, seed: int, budget: Mapping[str, Any]) -> Told:
    """What an arm knows when it is trained on the odd prompts."""
    count, most = len(even.proxies), int(budget["evaluations"])
    start, draws = float(budget["start"]), [seed, 11]
    if name in ("fixed", "oracle"):
        return Told()
    if name == "random":
        drawn = np.random.default_rng([seed, 13]).uniform(0, 2 * start, size=count)
        return Told(tuple(drawn.tolist()))
    if name == "stopped":
        course = _course(even, draws, budget, Told(), marks=_marks(int(budget["updates"]), most))
        best = int(course.worth.argmax())
        return Told(stop=int(course.updates[best]), found=float(course.worth[best]), asked=len(course.worth))
    if name == "single":
        return _single(even, draws, budget)
    return _searched(name == "weighted", even, draws, budget)


def _searched(weights: bool, even: World, draws: list[int], budget: Mapping[str, Any]) -> Told:
    """Weights, or thresholds, that are worth most: Nelder and Mead's simplex, each evaluation a run of its own."""
    count, most = len(even.proxies), int(budget["evaluations"])
    first = float(np.log(budget["weight"])) if weights else float(budget["start"])
    step = float(budget["weight_step" if weights else "step"])

    def told(x: Numbers) -> Told:
        return Told(weights=tuple(np.exp(x).tolist())) if weights else Told(tuple(x.tolist()))

    found = search_thresholds(
        lambda x: float(_course(even, draws, budget, told(x)).worth[-1]), [first] * count, step=step, evaluations=most
    )
    return replace(told(np.array(found.thresholds)), found=found.value, asked=len(found.history))


def _single(even: World, draws: list[int], budget: Mapping[str, Any]) -> Told:
    """Each proxy's value where the truth is highest when it is optimised alone; the evaluations are shared out."""
    marks = _marks(int(budget["updates"]), int(budget["evaluations"]) // len(even.proxies))
    points = []
    for i, proxy in enumerate(even.proxies):
        course = _course(even, draws, budget, Told(), proxy[None], marks=marks)
        points.append(float(course.proxies[course.worth.argmax(), i]))
    return Told(tuple(points), asked=len(marks) * len(points))


def _marks(updates: int, count: int) -> NDArray[np.int64]:
    """Updates after which a run is evaluated, count of them, or all where there are no more.

    They grow by a factor, as the truth turns early, and by one where that would be less.
    """
    if count >= updates:
        return np.arange(1, updates + 1)
    marks = np.maximum(np.geomspace(1, updates, count).round(), np.arange(1, count + 1))
    return np.asarray(marks.astype(np.int64))


def _course(
    world: World, draws: list[int], budget: Mapping[str, Any], told: Told, rewards: Numbers | None = None, *,
    marks: NDArray[np.int64] | None = None,
) -> Course:  # fmt: skip
    """Trains a policy on all prompts of a world.

    Args:
        world: prompts.
        draws: seed of what is sampled.
        budget: the claim's.
        told: thresholds, if any, with multipliers; else every reward has the weight 1, and the task none.
        rewards: (m, p, k), the proxies by default.
        marks: updates after which the policy is measured, the last one among them; by default the last one alone.
    """
    rewards = world.proxies if rewards is None else rewards
    rng = np.random.default_rng(draws)
    _, p, k = rewards.shape
    n, updates = int(budget["samples"]), int(budget["updates"])
    row, group = np.arange(p)[:, None], np.repeat(np.arange(p), n)
    held = Multipliers(told.thresholds, rate=float(budget["dual"])) if told.thresholds else None
    marks = np.array([updates]) if marks is None else marks
    weight, seen = np.zeros(world.features.shape[2]), []
    for update in range(updates + 1):
        policy = _softmax(world.features @ weight)
        if update in marks:
            seen.append(_measured(world, policy))
        a = _drawn(policy, rng.random((p, n)))
        reward = rewards[:, row, a].reshape(len(rewards), -1)
        near = -np.log(policy[row, a] * k).reshape(-1)  # the task: to stay where the policy started
        each = [batch_standardised(r, group) for r in reward]
        if held is None:
            advantage = np.asarray(told.weights or np.ones(len(each))) @ each
            advantage = advantage + (mean_only(near, group) if told.weights else 0.0)
        else:
            advantage = mixed_advantages(mean_only(near, group), each, held.weights)
        held = held and held.updated(reward.mean(axis=1))
        # advantages sum to 0 within a prompt, so the mean feature that its score subtracts falls out
        push = advantage @ world.features[row, a].reshape(p * n, -1) / (p * n)
        weight = weight + float(budget["rate"]) * push / len(rewards)
    worth, kl, *proxies = np.array(seen).T
    return Course(marks, worth, kl, np.stack(proxies, axis=1))


def _drawn(policy: Numbers, chance: Numbers) -> NDArray[np.int64]:
    """Completions by their place in the prompt's cumulated chances, (p, n): one search, prompts laid end to end."""
    p, k = policy.shape
    row = np.arange(p)[:, None]
    ends = (policy.cumsum(axis=1) + row).reshape(-1)
    return np.asarray(np.clip(np.searchsorted(ends, chance + row, side="right") - row * k, 0, k - 1))


def _measured(world: World, policy: Numbers) -> list[float]:
    """Truth, KL from the start and every proxy, means over prompts."""
    kl = (policy * np.log(np.maximum(policy, 1e-300) * policy.shape[1])).sum()
    each = [(policy * value).sum() for value in world.proxies]
    return [float(x) / len(policy) for x in ((policy * world.truth).sum(), kl, *each)]


def _world(seed: int, wrong: float, budget: Mapping[str, Any]) -> World:
    """Prompts, and proxies that are as wrong as `wrong` says; 0 is no curvature to miss and no noise in the ratings."""
    rng, m = np.random.default_rng([seed, 1]), int(budget["proxies"])
    shared, own = rng.normal(size=FEATURES), rng.normal(size=(m, FEATURES))
    alike = float(budget["alike"])
    weight = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own
    bend = wrong * float(budget["bend"]) * np.abs(rng.normal(size=(m, FEATURES)))

    def aspects(x: Numbers) -> Numbers:  # (..., f) to (..., m): more is better up to a point
        return np.asarray(x @ weight.T - (x**2) @ bend.T)

    draws = np.random.default_rng([seed, 2])
    x = draws.normal(size=(int(budget["prompts"]), int(budget["completions"]), FEATURES))
    proxies = np.moveaxis(x @ _rated(seed, wrong, budget, aspects).T, -1, 0)
    truth = aspects(x).sum(axis=-1)
    truth = (truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)
    proxies = proxies - proxies.mean(axis=2, keepdims=True)
    return World(x, truth, proxies / proxies.std(axis=2).mean(axis=1)[:, None, None])


def _rated(seed: int, wrong: float, budget: Mapping[str, Any], aspects: Any) -> Numbers:
    """Weights of the linear proxies, (m, f): ridge regressions on ratings of one aspect each."""
    rng, n = np.random.default_rng([seed, 3]), int(budget["ratings"])
    x = rng.normal(size=(n, FEATURES))
    rated = aspects(x)
    rated = (rated - rated.mean(axis=0)) / rated.std(axis=0)
    rated = rated + wrong * float(budget["noise"]) * rng.normal(size=rated.shape)
    return np.linalg.solve(x.T @ x + np.eye(FEATURES), x.T @ rated).T


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))
