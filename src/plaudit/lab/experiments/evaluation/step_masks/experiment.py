"""Linear step rewards, their accuracy on siblings with parts of a solution masked, and greedy search by them.

A step is right where it holds no slip of its own, which its expression shows, and none against the steps before, which
only shows beside their expressions. Its thought sounds better where it is right, in some writers more than in others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.process.diagnostics import mask_table, minimum_at_end
from plaudit.lab.experiment import Fit
from plaudit.training.frozen import fit_linear

SHOWS = {"full": "FC", "math": "MO", "single": "SSMO", "thought": "NT"}
"""Arm to its mask."""
PARTS = {"FC": (1, 1, 1), "MO": (0, 1, 1), "SSMO": (0, 1, 0), "NT": (1, 0, 0)}
"""Mask to whether thought, expression and what the history says of the expression are seen; NT lacks the expression."""
ARMS = (*SHOWS, "minimum", "coin", "oracle")
KNOBBED = ("full", "math")
SLIP = 0.25
"""Chance of each of the two slips."""
CLEAR = (1.5, 1.5)
"""How far a slip moves what shows it, in deviations: the expression, and the expression beside its history."""
TELLS = (0.0, 2.0)
"""How far right steps move thoughts: the range over the writers that rewards were trained on."""
BENCH, SEARCH = 1.5, 0.2
"""The same of the benchmark's writer and of the one that is searched; at `@0` the latter's is the benchmark's, too."""
STEPS, CHOICES = 5, 5
SIZE = 3
"""Features of each part."""
L2 = 1e-2

Numbers = NDArray[np.float64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `solved`, the mean over rewards of the share of problems that the search solves.
    """
    del fit  # linear rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name not in KNOBBED):
        raise InputError(f"step_masks: arm {arm!r} is not known; the claim lists the arms")
    table = _table(seed, tuple(int(budget[k]) for k in ("rewards", "pairs", "problems")))
    target = table["solved@0" if knob else "solved"]
    score = np.random.default_rng([seed, 9]).random(len(target)) if name == "coin" else table[name]
    return {"foretells": float(spearmanr(score, target).statistic), "solved": float(target.mean())}


@lru_cache(maxsize=2)
def _table(seed: int, sizes: tuple[int, ...]) -> dict[str, Numbers]:
    """Each reward's diagnostics and what search by it reaches."""
    count, pairs, problems = sizes
    axes = np.random.default_rng([seed, 1]).normal(size=(3, SIZE))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    better, worse = _siblings(np.random.default_rng([seed, 2]), axes, BENCH, 8 * pairs)
    gap = (better - worse)[:pairs]
    whole, _ = _steps(np.random.default_rng([seed, 3]), axes, BENCH, (pairs, STEPS))
    searches = {
        key: _steps(np.random.default_rng([seed, part]), axes, tells, (problems, STEPS, CHOICES))
        for part, (key, tells) in enumerate({"solved": SEARCH, "solved@0": BENCH, "oracle": SEARCH}.items(), start=4)
    }
    rows = []
    for m in range(count):
        weight = _reward(np.random.default_rng([seed, 7, m]), axes)
        margins = {kind: gap @ (weight * np.repeat(seen, SIZE)) for kind, seen in PARTS.items()}
        found = mask_table(margins).accuracy
        row = {arm: found[kind].value for arm, kind in SHOWS.items()}
        row["minimum"] = -minimum_at_end(list(whole @ weight)).value
        row |= {key: _searched(*drawn, weight) for key, drawn in searches.items()}
        rows.append(row)
    return {k: np.array([row[k] for row in rows]) for k in rows[0]}


def _steps(
    rng: np.random.Generator, axes: Numbers, tells: float, shape: tuple[int, ...]
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Features of steps, (*shape, 3 SIZE): thought, expression, that beside its history; and whether they are right."""
    own, cross = rng.random(shape) < SLIP, rng.random(shape) < SLIP
    right = ~own & ~cross
    moved = [tells * right, -CLEAR[0] * own, -CLEAR[1] * cross]
    noise = rng.normal(size=(*shape, 3, SIZE))
    seen = noise + np.stack(moved, axis=-1)[..., None] * axes
    return seen.reshape(*shape, 3 * SIZE), np.asarray(right)


def _siblings(rng: np.random.Generator, axes: Numbers, tells: float, count: int) -> tuple[Numbers, Numbers]:
    """Right steps and wrong siblings of theirs, of `count` draws those that differ."""
    seen, right = _steps(rng, axes, tells, (count, 2))
    mixed = right[:, 0] != right[:, 1]
    first = right[mixed, 0][:, None]
    a, b = seen[mixed, 0], seen[mixed, 1]
    return np.where(first, a, b), np.where(first, b, a)


def _reward(rng: np.random.Generator, axes: Numbers) -> Numbers:
    """Weights of one step reward, (3 SIZE,): fitted to siblings by a writer of its own, by what it can see."""
    sees = np.asarray(rng.random(3 * SIZE) < rng.uniform(0.4, 1.0), dtype=bool)
    count = round(np.exp(rng.uniform(np.log(40), np.log(1000))))
    better, worse = _siblings(rng, axes, float(rng.uniform(*TELLS)), 4 * count)
    rows = (better - worse)[:count]
    # annotators err, some more than others
    rows = rows * np.where(rng.random(len(rows)) < rng.uniform(0.0, 0.3), -1.0, 1.0)[:, None]
    weight = np.zeros(3 * SIZE)
    if sees.any() and len(rows):
        weight[sees] = fit_linear(rows[:, sees], l2=L2)
    return weight


def _searched(seen: Numbers, right: NDArray[np.bool_], weight: Numbers) -> float:
    """Share of problems that greedy search solves: the best of each step's choices, all of them right."""
    best = (seen @ weight).argmax(axis=2)
    taken = np.take_along_axis(right, best[:, :, None], axis=2)[:, :, 0]
    return float(taken.all(axis=1).mean())
