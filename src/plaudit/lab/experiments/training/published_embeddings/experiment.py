"""Preference embeddings as published, and as the other experiments run them, beside a score of each completion.

An arm is `setting@share` as in `training/objectives`.
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
from plaudit.lab.fitting import scorer_of, trained_in_world
from plaudit.rewards.base import Reward

SETTINGS = {
    "bradley-terry": "bradley-terry",
    "published": "general-preference",
    "unit": "general-preference?temperature=1.0&init=unit",
    "regressed": "general-preference?target=10",
    "placebo": "general-preference",
}
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
        raise InputError(f"published_embeddings: arm {name!r} is not known; the claim lists the arms")
    lists = bench.world.lists(budget["lists"], each=budget["each"], seed=1, without=(bench.held_out,), flips=share)
    rows = with_shuffled_levels(lists, seed) if name == "placebo" else lists
    reward = trained_in_world(
        rows, seed=seed, size=budget["size"], epochs=budget["epochs"], objective=SETTINGS[name]
    ).reward
    return by_scores(scorer_of(reward)) if isinstance(reward, Reward) else by_comparison(reward, bench)
