"""RewardMATH: one right solution against nine wrong ones [23].

Accuracy: the right one above every wrong one, strict (and with ties allowed beside it). MRR: mean of 1 / rank of
the right one, ties counted against it. Where the reward gives steps, the same accuracy by each way to make one
number of them.

Source: Kim et al. 2024, "Evaluating Robustness of Reward Models for Mathematical Reasoning"; `RewardMATHEvaluation`
in its code, where infinite odds of saturated steps tie and an undefined mean logit wins nothing. A comparison must win
all nine comparisons, as its pairwise judges must (there in one order, here in both, averaged). Its result files (a
problem a row, with the scores of its solutions and no text of them) are read as stored judgements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import reciprocal_rank
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.process.aggregates import AGGREGATES, PROBABILITIES, aggregate_steps
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of
from plaudit.records.fields import RowError, items, number, text
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome

RIGHT = "human_to_GPT-4"
"""Whose solution is the right one, in result files."""


def _parse(row: SourceRow) -> Item:
    if row.cells.get("solution_reference") is not None:
        return _result(row)
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


def _result(row: SourceRow) -> Item:
    """A problem of a result file: scores or steps' scores of its solutions, or a judge's letter for each wrong one."""
    sources = items("solution_reference", row.cells["solution_reference"], text)
    said = items("score", column(row, "score")[1], _scored)
    if len(said) != len(sources):
        raise RowError("score", row.cells["score"], f"{len(said)} of them for {len(sources)} solutions; give one each")
    good = tuple(s == RIGHT for s in sources)
    if row.cells.get("chosen_position") is not None:  # of the wrong ones only, each beside the right one
        places = items("chosen_position", row.cells["chosen_position"], text)
        if len(places) != len(said) or any(good):
            raise RowError("chosen_position", row.cells["chosen_position"], "give one for each wrong solution")
        said = (None, *(None if s is None else float(s == p) for s, p in zip(said, places, strict=True)))
        good = (True, *good)
    if sum(good) != 1 or len(good) < 2:
        raise RowError("solution_reference", list(sources), f"one of several must be {RIGHT}, the right solution")
    kinds = {type(s) for s in said} - {type(None)}
    if not kinds <= {float} and kinds != {tuple}:
        raise RowError("score", row.cells["score"], "give numbers, lists of steps' numbers, or letters with positions")
    group = f"{row.file}:{row.number}"
    samples = tuple(Sample((), "", group=group) for _ in good)
    meta = {"rejected": len(good) - 1, "said": said, "compared": row.cells.get("chosen_position") is not None}
    return Item(
        group, row.file, samples, good, cluster=content_hash(text("problem", column(row, "problem")[1])), meta=meta
    )


def _scored(name: str, value: Any) -> float | tuple[float, ...] | str | None:
    if value is None or isinstance(value, str):
        return value
    return items(name, value, number) if isinstance(value, list | tuple) else number(name, value)


def _stored(found: Sequence[Item]) -> Judged | None:
    """What a result file says; a judge that compares was asked in one order, which stands for both."""
    said = [item.meta.get("said", (None,) * len(item.good)) for item in found]
    files = {item.subset for item in found if "said" in item.meta}
    if not files:
        return None
    if len(files) > 1:
        raise InputError(f"rewardmath: {len(files)} result files are of as many judges ({min(files)}, ...); give one")
    name = "stored judgements"
    if any(item.meta.get("compared") for item in found):
        wins = [np.array([[math.nan if s[j] is None else s[j] for _, j in i.pairs]] * 2, np.float64)
                for i, s in zip(found, said, strict=True)]  # fmt: skip
        marks = [np.where(np.isnan(w), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8).ravel() for w in wins]
        return Judged(None, tuple(wins), outcomes=tuple(marks), name=name, stored=True)
    if any(isinstance(x, tuple) for s in said for x in s):
        steps = tuple(
            tuple(np.array(x, np.float64) for x in s) if all(isinstance(x, tuple) for x in s) else None for s in said
        )
        bare = fixed([[math.nan] * len(s) for s in said], name=name)
        return replace(bare, steps=steps, stored=True, outcomes=tuple(np.zeros(len(s), np.int8) for s in said))
    return replace(fixed([[math.nan if x is None else x for x in s] for s in said], name=name), stored=True)


def _gather(rows: list[Item]) -> list[Item]:
    problems: dict[str, list[Item]] = {}
    results = [row for row in rows if "said" in row.meta]
    for row in (row for row in rows if "said" not in row.meta):
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
    return found + results


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
    columns="problem_id, problem, eval_solution (steps), solution_type (chosen or rejected); or problem, "
    "solution_reference, score, chosen_position of a result file",
    source="Kim et al. 2024; RewardMATH_direct.json, and one of results/RewardMATH",
    parse=_parse,
    statistics=_statistics,
    gather=_gather,
    stored=_stored,
    quirks=(
        "a tie is a loss in accuracy and counts against the right one in MRR (its code); its w/ tie accuracy is beside",
        "of steps' scores there is no reward but what is made of them: accuracy/HOW, and no accuracy (its code)",
        "chance is 0.1, and 0.293 in MRR (the mean of 1/1 to 1/10)",
    ),
)
"""RewardMATH."""
