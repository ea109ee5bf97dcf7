"""Linear rewards fitted to mixtures of six scenarios, a benchmark whose scenarios differ in size, and new scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.choices.retrieval import SCENARIOS
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of
from plaudit.training.frozen import fit_linear

NAMES = {"scenarios": "mean_of_scenarios", "pooled": "accuracy"}
"""Arm to the benchmark's number."""
ARMS = (*NAMES, "largest", "coin", "oracle")
OWN = 0.8
"""Deviation of a scenario's own weights, where that of the shared ones is 1."""
DOUBT = (0.0, 2.0)
"""Deviation of what a scenario's labels add to the true margin, in deviations of the margin: its difficulty."""
L2 = 1e-2

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """An instance.

    Attributes:
        weights: of the rewards, (rewards, d).
        rows: scenario to differences of chosen minus rejected.
        target: accuracy of each reward in new scenarios, (rewards,).
        other: the same on other pairs of theirs.
    """

    weights: Numbers
    rows: Mapping[str, Numbers]
    target: Numbers
    other: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `moved`, 1 minus the rank correlation of the pooled mean with the mean over
        scenarios; `largest`, the share of pairs in the largest scenario.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in NAMES):
        raise InputError(f"scenario_mean: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("features", "rewards", "pairs", "new"))
    spread = 0.0 if knob else float(budget["spread"])
    setting, table = _setting(seed, spread, sizes), _table(seed, spread, sizes)
    if name == "coin":
        score = np.random.default_rng([seed, 9]).random(len(setting.target))
    else:
        score = setting.other if name == "oracle" else table[name]
    count = [len(r) for r in setting.rows.values()]
    return {
        "foretells": float(spearmanr(score, setting.target).statistic),
        "moved": 1 - float(spearmanr(table["pooled"], table["scenarios"]).statistic),
        "largest": max(count) / sum(count),
    }


@lru_cache(maxsize=2)
def _table(seed: int, spread: float, sizes: tuple[int, ...]) -> dict[str, Numbers]:
    """Arm to each reward's number."""
    setting = _setting(seed, spread, sizes)
    owner = [name for name, rows in setting.rows.items() for _ in rows]
    items = [made_item(i, (True, False), subset=s) for i, s in enumerate(owner)]
    every = np.concatenate(list(setting.rows.values()))
    largest = max(setting.rows, key=lambda s: len(setting.rows[s]))
    found: dict[str, list[float]] = {k: [] for k in (*NAMES, "largest")}
    for w in setting.weights:
        said = benchmark("rag-rewardbench").statistics(items, fixed([np.array([m, 0.0]) for m in every @ w]))
        for arm, number in {**NAMES, "largest": f"subset/{largest}"}.items():
            found[arm].append(number_of(said, number))
    return {k: np.array(v) for k, v in found.items()}


@lru_cache(maxsize=2)
def _setting(seed: int, spread: float, sizes: tuple[int, ...]) -> Setting:
    d, count, pairs, new = sizes
    rng = np.random.default_rng([seed, 1])
    names = [s for part in SCENARIOS.values() for s in part]
    worth = rng.normal(size=d) + OWN * rng.normal(size=(len(names) + new, d))
    doubt = rng.uniform(*DOUBT, size=len(names) + new)
    share = np.exp(spread * rng.normal(size=len(names)))
    number = np.maximum(np.round(pairs * share / share.sum()).astype(int), 10)
    draw = np.random.default_rng([seed, 2])
    rows = {s: _pairs(draw, worth[i], doubt[i], int(number[i])) for i, s in enumerate(names)}
    weights = np.stack([_reward(seed, m, worth[: len(names)], doubt) for m in range(count)])
    found = []
    for part in (3, 4):
        fresh = np.random.default_rng([seed, part])
        right = [(_pairs(fresh, w, 0.0, 2000) @ weights.T > 0).mean(axis=0) for w in worth[len(names) :]]
        found.append(np.mean(right, axis=0))
    return Setting(weights, rows, *found)


def _pairs(rng: np.random.Generator, worth: Numbers, doubt: float, count: int) -> Numbers:
    """Differences of chosen minus rejected, (count, d)."""
    x = rng.normal(size=(count, len(worth)))
    margin = x @ worth / np.linalg.norm(worth) + doubt * rng.normal(size=count)
    return np.asarray(x * np.where(margin > 0, 1.0, -1.0)[:, None])


def _reward(seed: int, place: int, worth: Numbers, doubt: Numbers) -> Numbers:
    """Weights of one reward: fitted to its own mixture of the benchmark's scenarios, by what it can see."""
    rng, d = np.random.default_rng([seed, 5, place]), worth.shape[1]
    sees = np.asarray(rng.random(d) < rng.uniform(0.3, 1.0), dtype=bool)
    count = round(np.exp(rng.uniform(np.log(50), np.log(2000))))
    mixture = rng.multinomial(count, rng.dirichlet(np.full(len(worth), 0.5)))
    rows = np.concatenate([_pairs(rng, w, float(s), int(n)) for w, s, n in zip(worth, doubt, mixture, strict=False)])
    weight = np.zeros(d)
    if sees.any():
        weight[sees] = fit_linear(rows[:, sees], l2=L2)
    return weight
