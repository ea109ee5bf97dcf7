"""The true reward of best-of-n by single models and by ensembles, all fitted to labels of which a quarter is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.members import (
    Numbers,
    noisy_pairs,
    pool_groups,
    prepared,
    seeds_of,
    selected,
    train_member,
)
from plaudit.lab.worlds.assistant.pool import Pool
from plaudit.shaping.ensembles import mean, uncertainty_weighted, worst_case

ARMS = {
    "finetune_mean": ("finetune", mean), "pretrain_mean": ("pretrain", mean), "pretrain_wco": ("pretrain", worst_case),
    "pretrain_uwo": ("pretrain", uncertainty_weighted),
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Members are trained once a process and used by all arms. `single` is the mean over the members of what each selects
    alone: what one model is worth, whichever seed it had.

    Returns:
        `true_largest` (true reward at the largest n), `true_1`, and `drop` from the peak.
    """
    del fit  # members start from backbones whose seed is theirs
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    pool = world.pool(budget["prompts"], budget["completions"])
    n = budget["largest"]
    if arm == "oracle":
        return selected(pool.truth, pool, largest=n, seed=seed)
    if arm == "single":
        each = [selected(column, pool, largest=n, seed=seed) for column in _members(seed, "pretrain", budget).T]
        return {name: float(np.mean([row[name] for row in each])) for name in each[0]}
    return selected(_proxy(seed, arm, pool, budget), pool, largest=n, seed=seed)


def _proxy(seed: int, arm: str, pool: Pool, budget: Mapping[str, Any]) -> Numbers:
    groups = pool_groups(pool)
    if arm in ARMS:
        kind, aggregate = ARMS[arm]
        found: Numbers = aggregate(_members(seed, kind, budget), groups=groups)
        return found
    if arm == "longer":
        (first,) = seeds_of(seed, "pretrain", 1)
        return _scores(seed, *first, 3.0 * budget["members"], _frozen(budget))
    if arm == "placebo":
        members = _members(seed, "pretrain", budget)
        taken = mean(members) - uncertainty_weighted(members, groups=groups)
        order = np.random.default_rng([seed, 53]).permuted(np.arange(taken.size).reshape(pool.truth.shape), axis=1)
        dealt: Numbers = mean(members) - taken[order.ravel()]
        return dealt
    raise InputError(f"ensembles_under_noise: arm {arm!r} is not known; the claim lists the arms")


def _members(seed: int, kind: str, budget: Mapping[str, Any]) -> Numbers:
    """Rewards of the pool by each member, (n, k)."""
    columns = [_scores(seed, *s, 3.0, _frozen(budget)) for s in seeds_of(seed, kind, budget["members"])]
    return np.stack(columns, axis=1)


def _frozen(budget: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(budget.items()))


@lru_cache(maxsize=32)
def _scores(seed: int, backbone: int, member: int, epochs: float, frozen: tuple[tuple[str, Any], ...]) -> Numbers:
    """Rewards of the pool by one member."""
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = noisy_pairs(world, budget["pairs"], flips=budget["flips"])
    reward = train_member(rows, backbone=backbone, member=member, size=budget["size"], epochs=epochs)
    return np.asarray(reward(world.pool(budget["prompts"], budget["completions"]).samples()).reward)
