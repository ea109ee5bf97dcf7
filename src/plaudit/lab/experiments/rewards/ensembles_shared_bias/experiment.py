"""How much longer than usual the best of n is, by models and ensembles whose annotators all like length, or do not."""

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
from plaudit.search.best_of_n import best_of_n_values
from plaudit.shaping.ensembles import mean, uncertainty_weighted, worst_case

AGGREGATES = {"mean": mean, "wco": worst_case, "uwo": uncertainty_weighted}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `excess` (words of the selected completion above its prompt's mean, in within-prompt standard deviations),
        `true_largest`, `true_1`, and `drop` from the peak of the true reward.
    """
    del fit  # members start from backbones whose seed is theirs
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    pool = world.pool(budget["prompts"], budget["completions"])
    if arm == "single_biased" or arm == "single_unbiased":
        each = [_measured(column, pool, budget, seed) for column in _members(seed, arm, budget).T]
        return {name: float(np.mean([row[name] for row in each])) for name in each[0]}
    return _measured(_proxy(seed, arm, pool, budget), pool, budget, seed)


def _proxy(seed: int, arm: str, pool: Pool, budget: Mapping[str, Any]) -> Numbers:
    if arm == "oracle":
        return np.asarray(pool.truth).ravel()
    if arm == "longest":
        return _words(pool)
    by, _, labels = arm.partition("_")
    if by not in AGGREGATES or labels not in ("biased", "unbiased"):
        raise InputError(f"ensembles_shared_bias: arm {arm!r} is not known; the claim lists the arms")
    return AGGREGATES[by](_members(seed, arm, budget), groups=pool_groups(pool))


def _measured(proxy: Numbers, pool: Pool, budget: Mapping[str, Any], seed: int) -> dict[str, float]:
    words = _words(pool).reshape(pool.truth.shape)
    centred = words - words.mean(axis=1, keepdims=True)
    unit = float(np.sqrt(np.square(centred).mean())) or 1.0
    excess = best_of_n_values(proxy.reshape(pool.truth.shape), centred / unit, [budget["largest"]]).mean()
    return {"excess": float(excess), **selected(proxy, pool, largest=budget["largest"], seed=seed)}


def _words(pool: Pool) -> Numbers:
    return np.array([float(len(s.text.split())) for s in pool.samples()])


def _members(seed: int, arm: str, budget: Mapping[str, Any]) -> Numbers:
    """Rewards of the pool by each member, (n, k); the members of both kinds of labels start alike."""
    bias = 0.0 if arm.endswith("_unbiased") else budget["length_bias"]
    frozen = tuple(sorted(budget.items()))
    columns = [_scores(seed, *s, bias, frozen) for s in seeds_of(seed, "pretrain", budget["members"])]
    return np.stack(columns, axis=1)


@lru_cache(maxsize=32)
def _scores(seed: int, backbone: int, member: int, bias: float, frozen: tuple[tuple[str, Any], ...]) -> Numbers:
    """Rewards of the pool by one member."""
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = noisy_pairs(world, budget["pairs"], flips=budget["flips"], length_bias=bias)
    reward = train_member(rows, backbone=backbone, member=member, size=budget["size"])
    return np.asarray(reward(world.pool(budget["prompts"], budget["completions"]).samples()).reward)
