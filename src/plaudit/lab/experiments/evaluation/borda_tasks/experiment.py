"""Tables of systems by tasks, with a true order behind them, and ways to one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.ratings.consensus_of_tasks import borda_one_level, borda_two_level, consensus
from plaudit.lab.experiment import Fit
from plaudit.stats.correlation import kendall_tau

ARMS = ("borda", "mean", "scaled", "median", "coin", "two_level", "one_level")
SCALES = 1.5
"""Deviation of the log of a task's scale."""
CEILING = 0.3
"""Share of tasks in which the upper half of the scores is pressed together."""
BROKEN = 0.02
"""Share of scores that are wrong by ten deviations of their task."""

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `agreement`, see the claim; `best`, the share of tables whose first system is the truly best one.
    """
    del fit  # nothing is trained
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "broken"):
        raise InputError(f"borda_tasks: arm {arm!r} is not known; the claim lists the arms")
    sizes = int(budget["systems"]), int(budget["instances"]), int(budget["tasks"])
    found = []
    for k in range(int(budget["tables"])):
        skill, scores = _table(np.random.default_rng([seed, 1, k]), knob, *sizes)
        ranks = _ranks(name, scores, np.random.default_rng([seed, 2, k]))
        found.append((kendall_tau(-ranks, skill), float(ranks.argmin() == skill.argmax())))
    agreement, best = np.mean(found, axis=0)
    return {"agreement": float(agreement), "best": float(best)}


def _ranks(name: str, scores: Numbers, rng: np.random.Generator) -> Numbers:
    """Ranks of the systems, low for the better; scores (systems, instances, tasks)."""
    table = scores.mean(axis=1)
    if name == "coin":
        return np.asarray(rng.permutation(len(table)).astype(np.float64))
    if name in ("two_level", "one_level"):
        return (borda_two_level if name == "two_level" else borda_one_level)(scores)
    if name in ("scaled", "median"):
        table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-12)
        return -np.asarray(table.mean(axis=1) if name == "scaled" else np.median(table, axis=1))
    both = consensus(table)
    return both.borda if name == "borda" else both.mean


def _table(rng: np.random.Generator, knob: str, systems: int, instances: int, tasks: int) -> tuple[Numbers, Numbers]:
    """Skill of the systems, and their scores on the instances of the tasks."""
    skill = rng.normal(size=systems)
    load = rng.uniform(0.3, 1.0, tasks)
    own = (
        rng.normal(0, 0.7, (systems, tasks)) if knob == "0" else 0.7 / np.sqrt(3) * rng.standard_t(3, (systems, tasks))
    )
    level = skill[:, None] * load + own
    noise = rng.normal(size=(systems, instances, tasks))
    scale, pressed = np.exp(SCALES * rng.normal(size=tasks)), rng.random(tasks) < CEILING
    if knob != "0":
        middle = np.median(level, axis=0)
        level = np.where(pressed & (level > middle), middle + 0.1 * (level - middle), level)
    scores = level[:, None, :] + noise
    if knob == "broken":
        wrong = rng.random((systems, tasks)) < BROKEN
        sign = rng.choice([-1.0, 1.0], (systems, tasks))
        scores = scores + (10 * wrong * sign * level.std(axis=0))[:, None, :]
    return skill, scores if knob == "0" else scores * scale
