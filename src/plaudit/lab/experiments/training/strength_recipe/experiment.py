"""Two fits one after the other on the same rated lists, and a step beyond the second."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.experiments.training.objectives.experiment import (
    SETTINGS,
    Bench,
    bench_of,
    by_scores,
    length_of,
    measured,
    with_shuffled_levels,
)
from plaudit.lab.experiments.training.other_objectives.rows import ordered, pair_of
from plaudit.lab.fitting import Scratch, reward_in_world, scorer_of
from plaudit.records.rows import Ranked
from plaudit.rewards.base import Reward
from plaudit.training.merging import merge_rewards

FITS = {
    "recipe": ("regression", "scaled"),
    "scaled": ("scaled", "scaled"),
    "regression": ("regression", "regression"),
    "bradley-terry": ("bradley-terry", "bradley-terry"),
    "sequence": ("regression", "scaled"),
    "reversed": ("scaled", "regression"),
    "scaled-further": ("scaled", "scaled"),
    "regression-further": ("regression", "regression"),
    "placebo": ("regression", "scaled"),
}
"""Arm to the objectives of its two fits, by their names in training/objectives."""

FURTHER = ("recipe", "scaled-further", "regression-further", "placebo")
"""Arms that go on in the direction of the second fit."""

FACTORS = (1.1, 1.25, 1.5, 1.75, 2.0)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        As training/objectives, and `factor`, by which the second fit's change is multiplied: 1 where nothing is.
    """
    del fit  # two fits, of which the second needs the first one's folder
    name, _, share = arm.partition("@")
    if name not in (*FITS, "longer", "oracle") or share not in ("", "20"):
        raise InputError(f"strength_recipe: arm {arm!r} is not known; the claim lists the arms")
    bench = bench_of(seed, *sorted(budget.items()))
    if name in ("longer", "oracle"):
        scorer, factor = length_of if name == "longer" else scorer_of(bench.world.reward), 1.0
    else:
        scorer, factor = _scorer(name, int(share or 0) / 100, bench, budget, seed)
    return measured(by_scores(scorer), bench, budget, seed) | {"factor": factor}


def _scorer(name: str, share: float, bench: Bench, budget: Mapping[str, Any], seed: int) -> tuple[Scorer, float]:
    rows = _rows(share, bench, budget, seed, dealt=name == "placebo")
    kept = len(rows) - (budget["validation"] if name in FURTHER else 0)
    first, second = FITS[name]
    start = _first(seed, first, share, kept, name == "placebo", tuple(sorted(budget.items())))
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as work:
        before, run = start.path / "run" / "model", Path(work) / "run"
        reward = _fit(rows[:kept], second, budget["second"], budget, seed=seed, backbone=before, keep=run)
        if name not in FURTHER:
            return scorer_of(reward), 1.0
        found = []
        for factor in FACTORS:
            further = scorer_of(merge_rewards(before, run / "model", factor=factor, out=Path(work) / str(factor)))
            found.append((agreement(further, rows[kept:]), -factor, further))
        _, negative, best = max(found, key=lambda row: row[:2])
        return best, -negative


def _rows(share: float, bench: Bench, budget: Mapping[str, Any], seed: int, *, dealt: bool) -> list[Ranked]:
    """The rated lists of an arm; their levels dealt out anew for the placebo."""
    rows = bench.world.lists(budget["lists"], each=budget["each"], seed=1, without=(bench.held_out,), flips=share)
    return with_shuffled_levels(rows, seed) if dealt else rows


@lru_cache(maxsize=4)
def _first(
    seed: int, objective: str, share: float, kept: int, dealt: bool, items: tuple[tuple[str, Any], ...]
) -> Scratch:
    """A folder with the run of a first fit; those of the last ones are kept."""
    budget = dict(items)
    rows = _rows(share, bench_of(seed, *items), budget, seed, dealt=dealt)
    folder = Scratch()
    _fit(rows[:kept], objective, budget["first"], budget, seed=seed, keep=folder.path / "run")
    return folder


def _fit(
    rows: Sequence[Ranked], objective: str, epochs: float, budget: Mapping[str, Any], *, seed: int, **options: Any
) -> Reward:
    return reward_in_world(rows, seed=seed, size=budget["size"], epochs=epochs, **SETTINGS[objective], **options)


def agreement(scorer: Scorer, rows: Sequence[Ranked]) -> float:
    """Share of the pairs of differently rated completions of a list that the scores order as the ratings do, ties half.

    Args:
        scorer: of samples.
        rows: rated lists.

    Raises:
        InputError: if no list has two ratings.
    """
    pairs = [pair_of(row, i, j) for row in rows for i, j in ordered(row)]
    if not pairs:
        raise InputError("strength_recipe: no validation list has two ratings; give more of them")
    return float(((np.sign(by_scores(scorer).margins(pairs)) + 1) / 2).mean())
