"""The sources of uncertainty: each is trained, and asked about the same pairs and the same pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiments.rewards.uncertainty_ranks_errors.measuring import Said
from plaudit.lab.members import Numbers, prepared, seeds_of, train_member
from plaudit.lab.worlds.assistant.annotators import Knobs
from plaudit.lab.worlds.assistant.prepared import Prepared
from plaudit.records.rows import Pair
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.uncertainty.dropout import DropoutReward
from plaudit.rewards.uncertainty.ensemble import EnsembleReward
from plaudit.rewards.uncertainty.gate import fit_patterns
from plaudit.rewards.uncertainty.laplace import fit_laplace

RATED = {"gaussian_heads": "gaussian-heads?heads=5&likelihood=true", "evidential": "evidential"}
NO_UNIT = ("patterns", "patterns_all", "longer")


@dataclass(frozen=True)
class Told:
    """What a source says.

    Attributes:
        pairs: of test pairs in the distribution, and off it.
        pool_reward: of the pool's samples.
        pool_std: their deviations.
        pool_members: their members, or None.
        has_unit: whether the deviation is in the reward's unit, so that intervals can be made of it.
    """

    pairs: tuple[Said, Said]
    pool_reward: Numbers
    pool_std: Numbers
    pool_members: Numbers | None
    has_unit: bool


def told_by(arm: str, seed: int, budget: Mapping[str, Any]) -> Told:
    """What a source says of the instance's test pairs and pool.

    Args:
        arm: one of the claim's.
        seed: of the instance.
        budget: the claim's table.

    Raises:
        InputError: if the arm is not known.
    """
    frozen = tuple(sorted(budget.items()))
    if arm == "random":  # the ensemble's rewards, with its deviations dealt to other samples
        base, rng = _asked("deep_ensemble", seed, frozen), np.random.default_rng([seed, 62])
        inside, outside = (replace(said, std=rng.permutation(said.std)) for said in base.pairs)
        dealt = rng.permutation(base.pool_std)
        return replace(base, pairs=(inside, outside), pool_std=dealt, pool_members=None, has_unit=False)
    if arm == "oracle":
        base = _asked("longer", seed, frozen)
        world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
        truth = np.asarray(world.pool(budget["prompts"], budget["completions"]).truth).ravel()
        inside, outside = (replace(said, std=1.0 - said.right) for said in base.pairs)
        return replace(base, pairs=(inside, outside), pool_reward=truth, pool_std=np.zeros(truth.size))
    return _asked(arm, seed, frozen)


@lru_cache(maxsize=4)
def _asked(arm: str, seed: int, frozen: tuple[tuple[str, Any], ...]) -> Told:
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    source = _source(arm, seed, budget)
    inside, outside = (said_of(source, rows) for rows in clean_pairs(world, budget, seed))
    batch = source(world.pool(budget["prompts"], budget["completions"]).samples())
    return Told((inside, outside), batch.reward, deviation(batch), batch.members, arm not in NO_UNIT)


def deviation(batch: RewardBatch) -> Numbers:
    """Epistemic deviation of each sample; the share of broken patterns where a gate reports; else 0."""
    if batch.std is not None:
        return batch.std
    return np.asarray(batch.aspects.get("violated", np.zeros(len(batch))))


def clean_pairs(world: Prepared, budget: Mapping[str, Any], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Clean test pairs that differ in true reward: of the kinds that were trained on, and of those left out."""
    rows = [r for r in world.pairs(budget["test"], seed=2, side="test") if abs(r.meta["true_margin"]) > 1e-9]
    unseen = held_out(world, seed)
    return [r for r in rows if r.meta["kind"] not in unseen], [r for r in rows if r.meta["kind"] in unseen]


def held_out(world: Prepared, seed: int) -> tuple[str, ...]:
    """Two of the instance's kinds of request, on which nothing is trained."""
    kinds = sorted({r.meta["kind"] for r in world.pairs(100, seed=2, side="test")})
    return tuple(np.random.default_rng([seed, 63]).choice(kinds, 2, replace=False).tolist())


def said_of(source: Reward, rows: Sequence[Pair]) -> Said:
    """Margins and their deviations; rows are turned at random, so that chosen is not always first."""
    turned = np.random.default_rng([len(rows), 64]).random(len(rows)) < 0.5
    first = source([r.samples()[int(t)] for r, t in zip(rows, turned, strict=True)])
    second = source([r.samples()[1 - int(t)] for r, t in zip(rows, turned, strict=True)])
    truth = np.array([r.meta["true_margin"] for r in rows]) * np.where(turned, -1, 1)
    if first.members is not None and second.members is not None:
        std = (first.members - second.members).std(axis=1)
    else:  # marginals only: as if the two were independent
        std = np.hypot(deviation(first), deviation(second))
    return Said(first.reward - second.reward, std, truth)


def seen_rows(world: Prepared, budget: Mapping[str, Any], seed: int, *, all_kinds: bool) -> list[Pair]:
    """The training pairs of the kinds that are seen."""
    unseen = () if all_kinds else held_out(world, seed)
    rows = world.pairs(2 * budget["pairs"], Knobs(flips=budget["flips"]), seed=1)
    return [r for r in rows if r.meta["kind"] not in unseen][: budget["pairs"]]


def _rated(rows: Sequence[Pair], noise: float, seed: int) -> list[Pair]:
    """The same pairs with a noisy rating of either completion in place of the preference."""
    draws = np.random.default_rng([seed, 65]).normal(scale=noise, size=(len(rows), 2))
    return [
        replace(r, chosen_score=r.meta["u_chosen"] + float(a), rejected_score=r.meta["u_rejected"] + float(b))
        for r, (a, b) in zip(rows, draws, strict=True)
    ]


def _source(arm: str, seed: int, budget: Mapping[str, Any]) -> Reward:
    frozen = tuple(sorted(budget.items()))
    seeds = seeds_of(seed, "pretrain", budget["members"])
    if arm == "deep_ensemble":
        return EnsembleReward([_model(seed, *s, 3.0, "bradley-terry", frozen) for s in seeds])
    if arm == "longer":
        return _model(seed, *seeds[0], 3.0 * budget["members"], "bradley-terry", frozen)
    if arm == "heads":
        return _model(seed, *seeds[0], 3.0, "bradley-terry-heads", frozen)
    if arm in RATED:
        return _model(seed, *seeds[0], 3.0, RATED[arm], frozen)
    all_kinds = arm == "patterns_all"
    single: Any = _model(seed, *seeds[0], 3.0, "bradley-terry", frozen, all_kinds=all_kinds)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = seen_rows(world, budget, seed, all_kinds=all_kinds)
    if arm == "dropout":
        return DropoutReward(single)
    if arm == "laplace":
        return fit_laplace(single, rows, members=2 * single.model.config.hidden_size)
    if arm.startswith("patterns"):
        return fit_patterns(single, rows, action="none")
    raise InputError(f"uncertainty_ranks_errors: arm {arm!r} is not known; the claim lists the arms")


@lru_cache(maxsize=8)
def _model(
    seed: int, backbone: int, member: int, epochs: float, objective: str, frozen: tuple[tuple[str, Any], ...], *,
    all_kinds: bool = False,
) -> Reward:  # fmt: skip
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    rows = seen_rows(world, budget, seed, all_kinds=all_kinds)
    rows = _rated(rows, budget["rating_noise"], seed) if objective in RATED.values() else rows
    return train_member(rows, backbone=backbone, member=member, size=budget["size"], epochs=epochs, objective=objective)
