"""Reward models fitted to 300 and to 3,000 pairs, at equal trained tokens, measured on clean test labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, Prepared, prepare
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.training.frozen import fit_linear


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on test pairs that differ in true reward, ties of the scorer counted half, and
        `distinct_pairs`, the number of different training pairs.
    """
    config = PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"])
    world = prepare(seed, config)
    scorer, distinct = _scorer(arm, world, budget, fit, seed)
    test = world.pairs(budget["test"], seed=2, side="test")
    return {"accuracy": clean_accuracy(scorer, test), "distinct_pairs": float(distinct)}


def clean_accuracy(scorer: Scorer, rows: Sequence[Pair]) -> float:
    """Share of rows ordered as by the true reward, ties half; rows that are truly equal are left out."""
    told = [(r, float(r.meta["true_margin"])) for r in rows if abs(r.meta["true_margin"]) > 1e-9]
    chosen, rejected = (scorer([r.samples()[i] for r, _ in told]) for i in (0, 1))
    agree = np.sign(chosen - rejected) * np.sign([m for _, m in told])
    return float(((agree + 1) / 2).mean())


def _scorer(arm: str, world: Prepared, budget: Mapping[str, Any], fit: Fit, seed: int) -> tuple[Scorer, int]:
    if arm == "oracle":
        return lambda samples: world.reward(samples).reward, 0
    if arm == "longer":
        return _length, 0
    rows = world.pairs(budget["pairs"], Knobs(flips=budget["flips"]), seed=1)
    if arm == "aspects_3000":
        return _linear_on_aspects(world, rows), len(rows)
    few = rows[: budget["few"]]
    training = {
        "pairs_3000": rows,
        "pairs_300": few * (len(rows) // len(few)),
        "once_300": few,
        "shuffled_3000": _shuffled(rows, seed),
    }
    if arm not in training:
        raise InputError(f"data_scaling: arm {arm!r} is not known; the claim lists the arms")
    distinct = len(few) if arm.endswith("_300") else len(rows)
    return fit(training[arm], seed=seed, size=budget["size"]), distinct


def _shuffled(rows: list[Pair], seed: int) -> list[Pair]:
    swap = np.random.default_rng([seed, 5]).random(len(rows)) < 0.5
    return [replace(r, chosen=r.rejected, rejected=r.chosen) if s else r for r, s in zip(rows, swap, strict=True)]


def _linear_on_aspects(world: Prepared, rows: Sequence[Pair]) -> Scorer:
    """Bradley-Terry on the parsed aspects: what a model that need not learn to read reaches with these labels."""

    def aspects(samples: Sequence[Sample]) -> np.ndarray:
        values: np.ndarray = world.world.parse(samples).values
        return values

    chosen, rejected = (aspects([r.samples()[i] for r in rows]) for i in (0, 1))
    weight = fit_linear(chosen - rejected, l2=1e-3)
    return lambda samples: aspects(samples) @ weight


def _length(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([float(len(s.text.split())) for s in samples])
