"""Implicit rewards by four outcome losses, and scalar reward models, from one start and on the same pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.experiments.training.data_scaling.experiment import clean_accuracy
from plaudit.lab.fitting import scorer_of
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, Prepared, prepare
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample

LEARNING_RATE = {"implicit": 1e-3, "bradley_terry": 3e-3, "bradley_terry_scratch": 4e-3}
"""Chosen on one instance; the trials are in the claim's amendments."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on test pairs that differ in true reward, ties of the scorer counted half.
    """
    del fit  # every arm names its own objective and start
    config = PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"])
    world = prepare(seed, config)
    test = world.pairs(budget["test"], seed=2, side="test")
    return {"accuracy": clean_accuracy(_scorer(arm, world, budget, seed), test)}


def _scorer(arm: str, world: Prepared, budget: Mapping[str, Any], seed: int) -> Scorer:
    if arm == "oracle":
        return lambda samples: world.reward(samples).reward
    if arm == "longer":
        return _length
    if arm == "start_logp":
        from plaudit.rewards.likelihood.autoregressive import autoregressive

        return scorer_of(autoregressive(str(world.policy_folder), max_length=256))
    rows = world.pairs(budget["pairs"], Knobs(flips=budget["flips"]), seed=1)
    if arm == "shuffled_ce":
        return _trained(_shuffled(rows, seed), "implicit-ce", world, budget, seed)
    objectives = {
        "implicit_ce": "implicit-ce", "implicit_dpo": "implicit-dpo", "implicit_nca": "implicit-nca",
        "implicit_kto": "implicit-kto", "bradley_terry": "bradley-terry", "bradley_terry_scratch": "bradley-terry",
    }  # fmt: skip
    if arm not in objectives:
        raise InputError(f"implicit_reward: arm {arm!r} is not known; the claim lists the arms")
    return _trained(rows, objectives[arm], world, budget, seed, scratch=arm.endswith("scratch"))


def _trained(
    rows: Sequence[Pair],
    objective: str,
    world: Prepared,
    budget: Mapping[str, Any],
    seed: int,
    *,
    scratch: bool = False,
) -> Scorer:
    """A reward fitted to rows, from the starting policy or from random weights."""
    from plaudit.lab.fitting import reward_in_world
    from plaudit.training import Backbone, FitConfig
    from plaudit.training.entry import train_reward

    if scratch:
        return scorer_of(reward_in_world(rows, seed=seed, size=budget["size"], epochs=budget["epochs"]))
    implicit = objective.startswith("implicit")
    rate = LEARNING_RATE["implicit" if implicit else "bradley_terry"]
    config = FitConfig(
        objective=f"{objective}?beta={budget['beta']}" if implicit else objective, epochs=budget["epochs"],
        learning_rate=rate, batch_size=32, max_length=256, seed=seed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="plaudit-lab-") as name:
        start = Backbone(name=str(world.policy_folder))
        trained = train_reward(rows, backbone=start, config=config, out=Path(name) / "fit")
        return scorer_of(trained.reward)  # type: ignore[arg-type]


def _shuffled(rows: list[Pair], seed: int) -> list[Pair]:
    swap = np.random.default_rng([seed, 5]).random(len(rows)) < 0.5
    return [replace(r, chosen=r.rejected, rejected=r.chosen) if s else r for r, s in zip(rows, swap, strict=True)]


def _length(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([float(len(s.text.split())) for s in samples])
