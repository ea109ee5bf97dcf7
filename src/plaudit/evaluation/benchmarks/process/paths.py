"""Credit along a path of evidence, for tasks whose answer is the end of one [52].

A right final answer is worth 1. Otherwise steps that were found count back from the last but one:
`min(1, sum_j gamma^j [step K-1-j found])`, j = 1, ..., gamma 0.4. On file, a reward judges the submitted answer
once against the gold answer and once against each step, as references.

Source: Wu et al. 2025, "ExCyTIn-Bench"; `check_solution` in its code.

Differs from its code: whatever reward is given does the matching (there a language model with a second look), and
more than 15 enumerated values are counted by a rule: then the final answer is wrong, whatever the match.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judged.verdicts import threshold_of, verdict
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Found, mean_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample

GAMMA = 0.4
MOST = 15
"""Enumerated values from which on an answer is a list of guesses."""


def path_reward(found: Sequence[bool], *, answered: bool = False, gamma: float = GAMMA) -> float:
    """The reward of a path, in [0, 1].

    Args:
        found: (K,) whether each step was found, in the path's order; the last is the answer itself and counts by
            `answered` only.
        answered: whether the final answer is right.
        gamma: discount a step further back, in (0, 1].

    Raises:
        InputError: if gamma is out of range.
    """
    if not 0 < gamma <= 1:
        raise InputError(f"path_reward: gamma is {gamma}; give a discount in (0, 1], such as 0.4")
    if answered:
        return 1.0
    earlier = list(found)[:-1][::-1]
    return min(1.0, sum(gamma**j for j, hit in enumerate(earlier, start=1) if hit))


def too_many(answer: str, *, most: int = MOST) -> bool:
    """Whether an answer enumerates more than `most` values (by commas, semicolons or lines)."""
    return len([part for part in re.split(r"[,;\n]", answer) if part.strip()]) > most


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "question", "prompt")
    submitted = text("submitted", column(row, "submitted", "submitted_answer", "completion")[1])
    gold = column(row, "answer", "golden_answer")[1]
    steps = items("solution", column(row, "solution")[1], text)
    if not steps:
        raise RowError("solution", list(steps), "the path has no step")
    # the last step is the answer: what is left are the steps before it
    references = [gold, *steps[:-1]]
    samples = tuple(
        Sample(prompt, submitted, reference=r, group=f"{row.file}:{row.number}:{n}") for n, r in enumerate(references)
    )
    meta = {"many": too_many(submitted)}
    return Item(identity(row), str(row.cells.get("incident") or row.stem), samples, (True,) * len(samples), meta=meta)


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    threshold, notes = threshold_of(judged, "path-credit")
    rewards, answers = [], []
    for item, given in zip(items, judged.rewards, strict=True):
        said = verdict(given, threshold)
        right = 0.0 if item.meta["many"] else float(said[0])
        answers.append(right)
        if right == 1.0:
            rewards.append(1.0)  # whatever the steps are
        elif math.isnan(right) or np.isnan(said[1:]).any():
            rewards.append(math.nan)
        else:
            rewards.append(path_reward([*(s == 1.0 for s in said[1:]), False]))
    lists = sum(bool(item.meta["many"]) for item in items)
    if lists:
        notes.append(f"{lists} of {len(items)} answers enumerate more than {MOST} values; they are not right")
    rows = (mean_of("reward", rewards, headline=True), mean_of("answered", answers, headline=True))
    names = sorted({item.subset for item in items})
    of = [item.subset for item in items]
    parts = [mean_of(f"reward/{n}", np.where([s == n for s in of], rewards, math.nan)) for n in names if len(names) > 1]
    return Found((*rows, *parts), tuple(notes))


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    def say(first: float, rest: float) -> Judged:
        given = [[first, *[rest] * (len(i.samples) - 1)] for i in items]
        return fixed(given, bounds=(0.0, 1.0))

    return {"nothing found": say(0.0, 0.0), "all steps but the answer": say(0.0, 1.0)}


PATH_CREDIT = Benchmark(
    name="path-credit",
    line="right final answers, and discounted credit for steps of the path towards them",
    columns="question, answer, solution (steps, the answer's last), submitted",
    source="Wu et al. 2025 (ExCyTIn-Bench)",
    parse=_parse,
    statistics=_statistics,
    takes=("reward",),
    check=lambda judged: threshold_of(judged, "path-credit"),
    verdicts=True,
    rules=_rules,
    quirks=(
        "the last step gives no partial credit: it is the answer (its code)",
        "with gamma 0.4 all earlier steps together stay below 2/3 (its code caps at 1, which then never binds)",
    ),
)
"""ExCyTIn-style path credit."""
