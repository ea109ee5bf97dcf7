"""A cross-encoder beside a score of each completion, on lists of the kind that `training/objectives` has.

An arm is `objective@share` as there; the cross-encoder learns from every pair of a list, in both orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import Asked, judged
from plaudit.lab.experiments.training.other_objectives.rows import ordered

SETTINGS = {"bradley-terry": "bradley-terry", "cross-encoder": "cross-encoder", "placebo": "cross-encoder"}
"""Name in the arms to the objective."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As `training/objectives`.
    """
    del fit  # it fits by Bradley-Terry only
    return judged(seed, arm, budget, SETTINGS, _lessons)


def _lessons(asked: Asked) -> tuple[Sequence[Any], dict[str, Any]]:
    objective = SETTINGS[asked.name]
    # as many steps for all arms: the cross-encoder's batches count pairs
    pairs = sum(len(ordered(row)) for row in asked.lists)
    batch = 32 if objective == "bradley-terry" else max(1, round(32 * pairs / len(asked.lists)))
    return asked.lists, {"objective": objective, "batch_size": batch}
