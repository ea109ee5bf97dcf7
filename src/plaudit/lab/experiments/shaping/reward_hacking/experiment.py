"""Shaped and unshaped rewards at the same measured KL, where the proxy is wrong for reasons that nobody planted.

A prompt has many completions, drawn from the starting policy; each has features, and a true worth that is concave in
them and has interactions. The proxy is a linear reward fitted by Bradley-Terry to few pairs with wrong labels: it
misses the curvature (capacity), sees little of the tails (coverage) and is misled (noise). The policy is
`pi ~ pi_0 exp(r' / beta)`, the exact optimum of the KL-regularised problem, with beta set so that the mean KL over
prompts is the one that is asked for: all shapings are compared at equal measured KL, where they can reach it. A reward
that is flat on top cannot tell what is up there apart: if a share s of a prompt's completions ties for the best, no
beta leads further than log(1 / s) from the start. Such a reward has no numbers at levels beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.ensembles import uncertainty_weighted
from plaudit.shaping.transforms import (
    Statistics,
    clipped,
    clipped_by,
    log_sigmoid_centred,
    preference_as_reward,
)

FEATURES, MEMBERS, REFERENCES = 8, 4, 10
SHARPNESS = 2.0
"""Log-odds per deviation of the true worth with which annotators choose."""
LEVELS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Mean KL of the policy from the start, in nats, at which the true worth is looked at."""
ARMS = ("unshaped", "clipped", "par", "log_sigmoid", "saturated", "ensemble", "shuffled", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Prompts with completions.

    Attributes:
        features: (p, k, f).
        truth: (p, k), mean 0 and deviation 1 within prompts.
        members: (p, k, MEMBERS) rewards of proxies that were fitted to different draws of the same labelled pairs; the
            first is the one that single proxies use.
    """

    features: Numbers
    truth: Numbers
    members: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `true_high`, the true worth at the largest level, or at the largest KL that the arm can reach where ties keep it
        below; `kl_high`, the KL there; `level_high`, the largest level that it reaches (0: none); `true_LEVEL` at each
        level that it reaches; `true_high_odd` and `true_1_odd`, the same on the odd prompts, of which no arm was told
        anything; `peak_kl`, the reached KL that is best on the even prompts, and `drop` from it to `kl_high` on the
        odd ones.
    """
    del fit  # a linear reward
    name, _, noise = arm.partition("@")
    if name not in ARMS or noise not in ("", "0"):
        raise InputError(f"reward_hacking: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, 0.0 if noise else float(budget["flips"]), *sorted(budget.items()))
    proxy = _shaped(name, world, seed)
    reached = [level for level in LEVELS if level < _most(proxy)]
    ends = reached if LEVELS[-1] in reached else [*reached, LEVELS[-1]]  # the last one: as far as ties let it
    policies = [_at(proxy, level) for level in ends]
    worth = np.array([(policy * world.truth).sum(axis=1) for policy in policies])  # (ends, prompts)
    kl = [_kl(policy) for policy in policies]
    even, odd = worth[:, ::2], worth[:, 1::2]
    chosen = int(even.mean(axis=1).argmax())
    named = {f"true_{level:g}": row for level, row in zip(reached, worth, strict=False)}
    return {
        "true_high": float(worth[-1].mean()),
        "kl_high": kl[-1],
        "level_high": max(reached, default=0.0),
        **{key: float(row.mean()) for key, row in named.items()},
        **{f"{key}_odd": float(row[1::2].mean()) for key, row in named.items() if key == "true_1"},
        "true_high_odd": float(odd[-1].mean()),
        "peak_kl": kl[chosen],
        "drop": float((odd[chosen] - odd[-1]).mean()),
    }


def _shaped(name: str, world: World, seed: int) -> Numbers:
    """What the optimiser sees, (p, k)."""
    r = world.members[:, :, 0]
    prompts, each = r.shape
    rng = np.random.default_rng([seed, 7])
    references = np.repeat(rng.permuted(r, axis=1)[:, :REFERENCES], each, axis=0)
    flat = r.reshape(-1)
    made: Mapping[str, Callable[[], Numbers]] = {
        "unshaped": lambda: flat,
        "clipped": lambda: clipped_by(flat, Statistics().updated(flat)),
        "par": lambda: preference_as_reward(flat, references),
        "log_sigmoid": lambda: log_sigmoid_centred(flat, references),
        "saturated": lambda: clipped(flat, high=_proxy_point(world)),
        "ensemble": lambda: uncertainty_weighted(
            world.members.reshape(-1, MEMBERS), groups=np.repeat(np.arange(prompts), each).tolist()
        ),
        "shuffled": lambda: rng.permuted(r, axis=1).reshape(-1),
        "oracle": lambda: world.truth.reshape(-1),
    }
    return np.asarray(made[name]()).reshape(prompts, each)


def _proxy_point(world: World) -> float:
    """The proxy's mean at the level that is truly best on the even prompts: what true evaluations would tell."""
    r, truth = world.members[::2, :, 0], world.truth[::2]
    best = max((_at(r, level) for level in LEVELS), key=lambda policy: float((policy * truth).sum(axis=1).mean()))
    return float((best * r).sum(axis=1).mean())


def _at(proxy: Numbers, level: float) -> Numbers:
    """The policy whose mean KL over prompts is `level`, (p, k); as far as ties let it where they keep it below."""
    if level < _most(proxy):
        return _tilted(proxy, _pressure(proxy, level))
    top = _top(proxy)
    return np.asarray(top / top.sum(axis=1, keepdims=True))


def _most(proxy: Numbers) -> float:
    """The mean KL as the pressure grows without end: all that ties for the best is then alike, log(k / ties)."""
    return float(np.log(proxy.shape[1] / _top(proxy).sum(axis=1)).mean())


def _top(proxy: Numbers) -> NDArray[np.bool_]:
    return np.asarray(proxy == proxy.max(axis=1, keepdims=True))


def _pressure(proxy: Numbers, level: float) -> float:
    """1 / beta at which the mean KL is `level`, which must be below `_most`."""
    low, high = 0.0, 1.0
    while _kl(_tilted(proxy, high)) < level:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _kl(_tilted(proxy, middle)) < level else (low, middle)
    return high


def _tilted(proxy: Numbers, pressure: float) -> Numbers:
    logits = pressure * (proxy - proxy.max(axis=1, keepdims=True))
    p = np.exp(logits)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _kl(policy: Numbers) -> float:
    """Mean over prompts of KL(pi || uniform), in nats; the completions are the starting policy's draws."""
    return float((policy * np.log(np.maximum(policy, 1e-300) * policy.shape[1])).sum(axis=1).mean())


@lru_cache(maxsize=2)
def _world(seed: int, flips: float, *budget: tuple[str, Any]) -> World:
    b = dict(budget)
    rng = np.random.default_rng([seed, 1])
    weight, bend = rng.normal(size=(2, FEATURES))
    pairs = np.triu_indices(FEATURES, k=1)
    cross = 0.3 * rng.normal(size=len(pairs[0]))

    def worth(x: Numbers) -> Numbers:
        # more is better up to a point, and features depend on each other
        return np.asarray(x @ weight - (x**2) @ np.abs(bend) + (x[..., pairs[0]] * x[..., pairs[1]]) @ cross)

    draws = np.random.default_rng([seed, 2])
    x = draws.normal(size=(int(b["prompts"]), int(b["completions"]), FEATURES))
    truth = worth(x)
    scale = truth.std(axis=1).mean()
    fitted = _members(seed, flips, int(b["pairs"]), lambda x: worth(x) / scale)
    truth = (truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)
    return World(x, truth, x @ fitted.T)


def _members(seed: int, flips: float, n: int, worth: Callable[[Numbers], Numbers]) -> Numbers:
    """Weights of linear proxies, (MEMBERS, f), all but the first fitted to a bootstrap of the pairs."""
    draws, labels = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4])
    both = draws.normal(size=(2, n, FEATURES))
    first = labels.random(n) < 1 / (1 + np.exp(-SHARPNESS * (worth(both[0]) - worth(both[1]))))
    first ^= labels.random(n) < flips
    apart = np.where(first[:, None], both[0] - both[1], both[1] - both[0])
    found = []
    for i in range(MEMBERS):
        at = np.arange(n) if i == 0 else np.random.default_rng([seed, 5, i]).integers(0, n, n)
        found.append(_bradley_terry(apart[at]))
    return np.stack(found)


def _bradley_terry(apart: Numbers, *, ridge: float = 1.0) -> Numbers:
    """Newton's steps to the maximum of the likelihood with a small ridge."""
    w = np.zeros(apart.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-apart @ w))
        gradient = apart.T @ (1 - p) - ridge * w
        hessian = (apart * (p * (1 - p))[:, None]).T @ apart + ridge * np.eye(w.size)
        w = w + np.linalg.solve(hessian, gradient)
    return w
