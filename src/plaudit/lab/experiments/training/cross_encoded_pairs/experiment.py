"""A cross-encoder beside a score of each completion, on lists of the kind that `training/objectives` has.

An arm is `objective@share` as there; the cross-encoder learns from every pair of a list, in both orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import (
    Bench,
    Judge,
    by_comparison,
    by_scores,
    control,
    judged,
    with_shuffled_levels,
)
from plaudit.lab.experiments.training.other_objectives.rows import ordered
from plaudit.lab.fitting import scorer_of, trained_in_world
from plaudit.rewards.base import Reward

SETTINGS = {"bradley-terry": "bradley-terry", "cross-encoder": "cross-encoder", "placebo": "cross-encoder"}
"""Name in the arms to the objective."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As `training/objectives`.
    """
    del fit  # it fits by Bradley-Terry only
    return judged(seed, arm, budget, _judge)


def _judge(name: str, share: float, bench: Bench, budget: Mapping[str, Any], seed: int) -> Judge:
    if found := control(name, bench):
        return found
    if name not in SETTINGS:
        raise InputError(f"cross_encoded_pairs: arm {name!r} is not known; the claim lists the arms")
    lists = bench.world.lists(budget["lists"], each=budget["each"], seed=1, without=(bench.held_out,), flips=share)
    rows = with_shuffled_levels(lists, seed) if name == "placebo" else lists
    # as many steps for all arms: the cross-encoder's batches count pairs
    pairs = sum(len(ordered(row)) for row in rows)
    batch = 32 if SETTINGS[name] == "bradley-terry" else max(1, round(32 * pairs / len(rows)))
    reward = trained_in_world(
        rows, seed=seed, size=budget["size"], epochs=budget["epochs"], objective=SETTINGS[name], batch_size=batch
    ).reward
    if isinstance(reward, Reward):
        return by_scores(scorer_of(reward))
    return by_comparison(reward, bench, opponents=budget["opponents"])
