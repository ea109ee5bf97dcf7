"""Preference embeddings as published, and as the other experiments run them, beside a score of each completion.

An arm is `setting@share` as in `training/objectives`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.training.objectives.experiment import judged

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
    return judged(seed, arm, budget, SETTINGS, lambda asked: (asked.lists, {"objective": SETTINGS[asked.name]}))
