"""Pairs of rewards of a random process: distances between them, and regret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.distances.mdp import MDP, deterministic, expected_reward, normalised_regret, optimal_policy
from plaudit.evaluation.distances.tabular import (
    dard_distance,
    epic_distance,
    pearson_distance,
    shaped,
    starc_distance,
    worst_regret,
)
from plaudit.lab.experiment import Fit

Table = np.ndarray
Distance = Callable[[MDP, Table, Table], float]


def _expected(mdp: MDP, a: Table, b: Table) -> float:
    one, two = expected_reward(mdp, a), expected_reward(mdp, b)
    return pearson_distance(one, two, np.full(one.shape, 1.0 / one.size))


DISTANCES: dict[str, Distance] = {
    "val": starc_distance,
    "minimal": lambda mdp, a, b: starc_distance(mdp, a, b, form="minimal-norm"),
    "epic": epic_distance,
    "dard": dard_distance,
    "expected": _expected,
    "plain": lambda _, a, b: pearson_distance(a, b, np.full(a.shape, 1.0 / a.size)),
    "worst": lambda mdp, a, b: worst_regret(mdp, b, a),
}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `agreement`, see the claim; `regret`, its mean; `free`, the share of pairs without any.
    """
    del fit  # processes are solved, nothing is trained
    name, _, knob = arm.partition("@")
    if name not in (*DISTANCES, "coin") or knob not in ("", "0", "more"):
        raise InputError(f"reward_distances: arm {arm!r} is not known; the claim lists the arms")
    sizes = int(budget["states"]), int(budget["actions"]), int(budget["pairs"]), float(budget["discount"])
    mdp, pairs, regret = _pairs(seed, knob, *sizes)
    if name == "coin":
        distance = np.random.default_rng([seed, 9]).random(len(pairs))
    else:
        distance = np.array([DISTANCES[name](mdp, a, b) for a, b in pairs])
    agreement = float(spearmanr(distance, regret).statistic)
    return {"agreement": agreement, "regret": float(regret.mean()), "free": float((regret < 1e-9).mean())}


@lru_cache(maxsize=4)
def _pairs(
    seed: int, knob: str, s: int, a: int, count: int, discount: float
) -> tuple[MDP, list[tuple[Table, Table]], np.ndarray]:
    """The process, its pairs of rewards and their regrets: for all arms."""
    rng = np.random.default_rng([seed, 1])
    mdp = MDP(rng.dirichlet(np.full(s, 0.5), size=(s, a)), discount, rng.dirichlet(np.ones(s)))
    more = np.random.default_rng([seed, 2])
    pairs, regret = [], []
    for _ in range(count):
        first, other, share = rng.normal(size=(s, a, s)), rng.normal(size=(s, a, s)), rng.random()
        second = (1 - share) * first + share * other
        if knob == "0":  # the same means of (s, a), whatever comes after
            first, second = (np.repeat(expected_reward(mdp, r)[:, :, None], s, axis=2) for r in (first, second))
        if knob == "more":
            second = shaped(mdp, second, more.normal(size=s))
            moved = more.normal(size=(s, a, s))
            second = second + moved - (mdp.transition * moved).sum(axis=2, keepdims=True)
        pairs.append((first, second))
        regret.append(normalised_regret(mdp, first, deterministic(mdp, optimal_policy(mdp, second))))
    return mdp, pairs, np.array(regret)
