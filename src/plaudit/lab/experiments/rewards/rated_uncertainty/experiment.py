"""Deviations of rewards that learn from levels: do they know which comparisons are wrong, and what is unfamiliar?

The world, the pairs, the kinds of request that are left out, and the numbers are those of `uncertainty_ranks_errors`;
what is learned from is a level, 1 to 5, for either completion of each pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.experiment import numbers_of
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.sources import (
    Told,
    clean_pairs,
    deviation,
    said_of,
    seen_rows,
)
from plaudit.lab.members import Numbers, prepared, seeds_of, train_member
from plaudit.records.rows import Pair, Rated

LEVELS = 5
OBJECTIVES = {
    "beliefs": "beliefs", "two_ratings": "two-ratings", "evidential": "evidential",
    "gaussian_heads": "gaussian-heads?heads=5&likelihood=true", "regression": "regression",
}  # fmt: skip
"""Arm to objective."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As `uncertainty_ranks_errors`.
    """
    del fit  # sources have heads and objectives of their own
    pool = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"]).pool(
        budget["prompts"], budget["completions"]
    )
    return numbers_of(_told(arm, seed, budget), pool, largest=budget["largest"], seed=seed)


def _told(arm: str, seed: int, budget: Mapping[str, Any]) -> Told:
    base, frozen = arm.removesuffix("_dealt"), tuple(sorted(budget.items()))
    if arm == "oracle":
        said = _asked("regression", seed, frozen)
        inside, outside = (replace(pair, std=1.0 - pair.right) for pair in said.pairs)
        world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
        truth = np.asarray(world.pool(budget["prompts"], budget["completions"]).truth).ravel()
        return replace(said, pairs=(inside, outside), pool_reward=truth, pool_std=np.zeros(truth.size))
    if base not in OBJECTIVES:
        raise InputError(f"rated_uncertainty: arm {arm!r} is not known; the claim lists the arms")
    told = _asked(base, seed, frozen)
    return dealt(told, prompts=budget["prompts"], seed=seed) if arm.endswith("_dealt") else told


def dealt(told: Told, *, prompts: int, seed: int) -> Told:
    """The placebo: deviations of other pairs, on and off the distribution alike, and of the prompt in the pool."""
    rng = np.random.default_rng([seed, 62])
    inside, outside = told.pairs
    anew = rng.permutation(np.concatenate([inside.std, outside.std]))
    pool_std = rng.permuted(told.pool_std.reshape(prompts, -1), axis=1).ravel()
    pairs = replace(inside, std=anew[: inside.std.size]), replace(outside, std=anew[inside.std.size :])
    return replace(told, pairs=pairs, pool_std=pool_std)


@lru_cache(maxsize=4)
def _asked(arm: str, seed: int, frozen: tuple[tuple[str, Any], ...]) -> Told:
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = rated_rows(seen_rows(world, budget, seed, all_kinds=False), noise=budget["rating_noise"], seed=seed)
    backbone, member = seeds_of(seed, "pretrain", 1)[0]
    source = train_member(rows, backbone=backbone, member=member, size=budget["size"], objective=OBJECTIVES[arm])
    inside, outside = (said_of(source, pairs) for pairs in clean_pairs(world, budget, seed))
    batch = source(world.pool(budget["prompts"], budget["completions"]).samples())
    return Told((inside, outside), batch.reward, deviation(batch), batch.members, arm != "regression")


def rated_rows(rows: Sequence[Pair], *, noise: float, seed: int) -> list[Rated]:
    """Both completions of each pair, each with the levels that two raters give it independently.

    A rater sees the true reward with normal noise, and gives the fifth of all such numbers that it falls into.

    Args:
        rows: pairs of the world.
        noise: deviation of a rater's noise, in the true reward's unit.
        seed: of the noise.
    """
    truth = np.array([[r.meta["u_chosen"], r.meta["u_rejected"]] for r in rows]).ravel()
    seen = truth + np.random.default_rng([seed, 66]).normal(scale=noise, size=(2, truth.size))
    first, second = levels_of(seen)
    sides = [side for row in rows for side in row.samples()]
    return [
        Rated(side.prompt, side.text, float(a), meta={"second": int(b)})
        for side, a, b in zip(sides, first, second, strict=True)
    ]


def levels_of(seen: Numbers) -> np.ndarray:
    """1 to `LEVELS`: equally many of each over all raters."""
    cuts = np.quantile(seen, np.arange(1, LEVELS) / LEVELS)
    return np.searchsorted(cuts, seen, side="right") + 1
