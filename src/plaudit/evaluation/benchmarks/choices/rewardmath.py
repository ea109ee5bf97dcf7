"""RewardMATH: one right solution against nine wrong ones [23].

Accuracy: the right one above every wrong one, strict (and with ties allowed beside it). MRR: mean of 1 / rank of
the right one, ties counted against it. Where the reward gives steps, the same accuracy by each way to make one
number of them.

Source: Kim et al. 2024, "Evaluating Robustness of Reward Models for Mathematical Reasoning"; `RewardMATHEvaluation`
in its code, where infinite odds of saturated steps tie and an undefined mean logit wins nothing. A comparison must win
all nine comparisons, as its pairwise judges must (there in one order, here in both, averaged).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import reciprocal_rank
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.process.aggregates import AGGREGATES, PROBABILITIES, aggregate_steps
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "problem", "prompt")
    name, value = column(row, "eval_solution", "solution")
    steps = (value,) if isinstance(value, str) else items(name, value, text)
    if not steps:
        raise RowError(name, value, "the solution has no step")
    kind = column(row, "solution_type")[1]
    if kind not in ("chosen", "rejected"):
        raise RowError("solution_type", kind, "give chosen or rejected")
    problem = str(column(row, "problem_id")[1])
    parts = (*(s + "\n" for s in steps[:-1]), steps[-1])
    sample = Sample(prompt, "".join(parts), group=f"{row.file}:{problem}", steps=parts)
    return Item(problem, "", (sample,), (kind == "chosen",))


def _gather(rows: list[Item]) -> list[Item]:
    problems: dict[str, list[Item]] = {}
    for row in rows:
        problems.setdefault(row.id, []).append(row)
    found = []
    for name, members in problems.items():
        good = tuple(m.good[0] for m in members)
        if sum(good) != 1 or len(good) < 2:
            raise InputError(
                f"rewardmath: problem {name} has {sum(good)} chosen and {len(good) - sum(good)} rejected solutions; "
                "one chosen and at least one rejected are needed"
            )
        found.append(Item(name, "", tuple(m.samples[0] for m in members), good, meta={"rejected": len(good) - 1}))
    return found


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    margins = judged.margins(items)
    rows = [
        mean_of("accuracy", _beats_all(margins, strict=True), headline=True),
        mean_of("accuracy_ties_allowed", _beats_all(margins, strict=False)),
        mean_of("mrr", reciprocal_rank(margins), headline=True),
    ]
    notes = []
    if judged.rewards is not None and any(s is not None for s in judged.steps):
        rows += [mean_of(f"accuracy/{how}", _by_steps(items, judged, how)) for how in AGGREGATES]
    if odd := sum(item.meta["rejected"] != 9 for item in items):
        notes.append(f"{odd} of {len(items)} problems have another number than 9 wrong solutions, as published")
    return Found(tuple(rows), tuple(notes))


def _beats_all(margins: Sequence[Floats], *, strict: bool) -> Floats:
    found = [math.nan if np.isnan(m).any() else float(m.min() > 0 or (not strict and m.min() == 0)) for m in margins]
    return np.array(found, np.float64)


def _by_steps(items: Sequence[Item], judged: Judged, how: str) -> Floats:
    values = []
    for item, steps in zip(items, judged.steps, strict=True):
        if steps is None or any(len(s) == 0 or np.isnan(s).any() for s in steps):
            values.append(math.nan)
            continue
        if how in PROBABILITIES and any(((s < 0) | (s > 1)).any() for s in steps):
            values.append(math.nan)  # no probabilities: this way to make one number of them does not exist
            continue
        score = np.array([aggregate_steps(s, how) for s in steps])
        good = np.asarray(item.good)
        # compared and not subtracted: odds of saturated steps are infinite, and two infinities are a tie, so a loss;
        # the mean logit of a 0 and a 1 is no number, which is above nothing
        values.append(float(score[good].min() > score[~good].max()))
    return np.array(values, np.float64)


REWARDMATH = Benchmark(
    name="rewardmath",
    line="one right solution against nine wrong ones; accuracy and mean reciprocal rank",
    columns="problem_id, problem, eval_solution (steps), solution_type (chosen or rejected)",
    source="Kim et al. 2024; RewardMATH_direct.json",
    parse=_parse,
    statistics=_statistics,
    gather=_gather,
    quirks=(
        "a tie is a loss in accuracy and counts against the right one in MRR (its code); its w/ tie accuracy is beside",
        "chance is 0.1, and 0.293 in MRR (the mean of 1/1 to 1/10)",
    ),
)
"""RewardMATH."""
