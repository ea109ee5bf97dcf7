"""Responders that reason along a path and guess where they lose it, and tasks where nobody can guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import spearmanr

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.judging import fixed
from plaudit.evaluation.benchmarks.registry import benchmark
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.evaluation.made import made_item, number_of

ARMS = ("cot", "answer", "reasoning", "path", "both", "more", "coin", "oracle")
KNOBBED = {"0": ("cot", "answer", "path"), "fluent": ("cot", "answer", "reasoning", "path")}
"""Knob to the arms that it has."""
SKILL = (0.55, 0.95)
"""Chance of a step, of the worst and the best reasoner."""
LUCK = (0.0, 0.6)
"""Chance of the answer where the path is lost, of the worst and the best guesser; luck and skill are drawn apart."""
NOWHERE = 0.05
"""That chance where nobody can guess."""
MENDED = 0.1
"""Chance of a step after a step that was not found."""
STEPS = (3, 6)
"""Fewest and most steps of a path, the answer's among them."""
MISTAKEN = 0.1
"""Chance that the verdict on a step is the wrong one."""
FLUENT = (0.0, 0.6)
"""Chance that a step that was not found passes for one, of the least and the most fluent, at `@fluent`."""
FRESH = 2000
"""New tasks a responder."""

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Responses:
    """What one responder did: items of paths of different lengths.

    Attributes:
        found: (items, longest) whether each step was found, the answer's last; False beyond the path.
        answered: (items,) whether the answer is right.
        length: (items,) steps, the answer's among them.
    """

    found: Flags
    answered: Flags
    length: NDArray[np.int64]


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `foretells`, see the claim; `lucky`, the mean share of right answers whose path was lost.
    """
    del fit  # nothing is trained
    name, at, knob = arm.partition("@")
    if name not in ARMS or (at and name not in KNOBBED.get(knob, ())):
        raise InputError(f"lucky_answers: arm {arm!r} is not known; the claim lists the arms")
    table = _table(seed, knob, int(budget["responders"]), int(budget["items"]))
    score = np.random.default_rng([seed, 9]).random(len(table["target"])) if name == "coin" else table[name]
    return {
        "foretells": float(spearmanr(score, table["target"]).statistic),
        "lucky": float(table["lucky"].mean()),
    }


@lru_cache(maxsize=2)
def _table(seed: int, knob: str, responders: int, items: int) -> dict[str, Numbers]:
    rng = np.random.default_rng([seed, 1])
    skill, luck = rng.uniform(*SKILL, size=responders), rng.uniform(*LUCK, size=responders)
    passes = np.full(responders, MISTAKEN)
    if knob == "fluent":
        passes = rng.uniform(*FLUENT, size=responders)
    if knob == "0":
        luck = np.full(responders, NOWHERE)
    hard, length = rng.normal(0, 0.7, size=10 * items), rng.integers(STEPS[0], STEPS[1] + 1, size=10 * items)
    rows = []
    for m in range(responders):
        here = np.random.default_rng([seed, 2, m])
        seen = _respond(here, skill[m], luck[m], hard[:items], length[:items])
        # as many verdicts as the steps take: answers to further items
        calls = int(length[:items].sum())
        more = _respond(here, skill[m], luck[m], hard[items:calls], length[items:calls])
        row = _scores(np.random.default_rng([seed, 3, m]), seen, passes[m])
        row["more"] = float(np.concatenate([seen.answered, more.answered]).mean())
        for part, name in ((4, "target"), (5, "oracle")):
            fresh = np.random.default_rng([seed, part, m])
            new = _respond(
                fresh, skill[m], NOWHERE, fresh.normal(0, 0.7, FRESH), fresh.integers(STEPS[0], STEPS[1] + 1, FRESH)
            )
            row[name] = float(new.answered.mean())
        rows.append(row)
    return {k: np.array([row[k] for row in rows]) for k in rows[0]}


def _respond(
    rng: np.random.Generator, skill: float, luck: float, hard: Numbers, length: NDArray[np.int64]
) -> Responses:
    """Walks the paths: each step builds on the one before."""
    chance = expit(logit(skill) - hard)
    found = np.zeros((len(hard), STEPS[1]), dtype=bool)
    held = np.ones(len(hard), dtype=bool)
    for j in range(STEPS[1]):
        held = (rng.random(len(hard)) < np.where(held, chance, MENDED)) & (j < length)
        found[:, j] = held
    arrived = found[np.arange(len(hard)), length - 1]
    return Responses(found, arrived | (rng.random(len(hard)) < luck), length)


def _scores(rng: np.random.Generator, seen: Responses, passes: float) -> dict[str, float]:
    """A responder's numbers on both benchmarks: answers are matched exactly, verdicts on steps may be wrong."""
    said = seen.found ^ (rng.random(seen.found.shape) < np.where(seen.found, MISTAKEN, passes))
    # the answer's verdict, then those of the steps before it
    rows = [
        np.concatenate([[a], s[: k - 1]]).astype(np.float64)
        for a, s, k in zip(seen.answered, said, seen.length, strict=True)
    ]
    items = [made_item(i, (True,) * len(r), meta={"many": False}) for i, r in enumerate(rows)]
    judged = fixed(rows, bounds=(0.0, 1.0))
    hybrid, path = (benchmark(b).statistics(items, judged) for b in ("hybrid", "path-credit"))
    whole = seen.found[np.arange(len(rows)), seen.length - 1]
    return {
        **{k: number_of(hybrid, k) for k in ("cot", "answer", "reasoning")},
        "path": number_of(path, "reward"),
        "both": float(np.mean([r.min() for r in rows])),
        "lucky": float((seen.answered & ~whole).sum() / max(seen.answered.sum(), 1)),
    }
