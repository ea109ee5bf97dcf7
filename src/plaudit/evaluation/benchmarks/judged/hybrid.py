"""Answer and reasoning together: a right answer, and the share of reasoning steps that are right [55].

`Rec` is 1 where the answer is right, `Rea` the share of right steps, `CoT` their mean. On file, a reward judges the
answer against the reference and each step; it counts as right from a threshold on (`--threshold`, else the middle
of the bounds).

Source: Zhang et al. 2025, "MME-Emotion", as catalogued; its agents that extract steps and clues are the user's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import ShapeError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judged.verdicts import threshold_of, verdict
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample


def hybrid_scores(answer: ArrayLike, steps: Sequence[ArrayLike]) -> tuple[Floats, Floats, Floats]:
    """Rec, Rea and CoT of n items, each (n,) in [0, 1].

    Args:
        answer: (n,) 1 where the answer is right; NaN where nothing is known.
        steps: for each item its steps' verdicts; NaN verdicts make Rea NaN. An item without steps has Rea 0: reasoning
            that is not there is not right.

    Raises:
        ShapeError: if there are not as many answers as items with steps.
    """
    rec = np.asarray(answer, np.float64)
    if len(steps) != len(rec):
        raise ShapeError(f"hybrid_scores: {len(rec)} answers for {len(steps)} items of steps; give one each")
    rea = np.array([float(np.asarray(s, np.float64).mean()) if np.size(s) else 0.0 for s in steps], np.float64)
    return rec, rea, (rec + rea) / 2


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "prompt", "question")
    answer = text("answer", column(row, "answer", "prediction")[1])
    reference = column(row, "reference", "ground_truth")[1]
    name, value = column(row, "steps", "reasoning")
    steps = items(name, value, text)
    if not answer.strip() and not steps:
        raise RowError("answer", answer, "there is neither an answer nor a step to judge")
    clues = row.cells.get("clues")
    samples = [Sample(prompt, answer, reference=reference, group=f"{row.file}:{row.number}")]
    samples += [
        Sample(prompt, s, reference=clues, group=f"{row.file}:{row.number}:{n}", meta={"part": "step"})
        for n, s in enumerate(steps, start=1)
    ]
    return Item(identity(row), str(row.cells.get("subset") or ""), tuple(samples), (True,) * len(samples))


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    threshold, notes = threshold_of(judged, "hybrid")
    said = [verdict(r, threshold) for r in judged.rewards]
    rec, rea, cot = hybrid_scores([float(s[0]) for s in said], [s[1:] for s in said])
    rows = [mean_of(n, v, headline=True) for n, v in (("cot", cot), ("answer", rec), ("reasoning", rea))]
    names = sorted({item.subset for item in items} - {""})
    for name in names if len(names) > 1 else ():
        inside = np.array([item.subset == name for item in items])
        rows.append(mean_of(f"cot/{name}", np.where(inside, cot, math.nan)))
    if bare := sum(len(item.samples) == 1 for item in items):
        notes.append(f"{bare} of {len(items)} items have no reasoning steps; their reasoning is worth 0")
    return Found(tuple(rows), tuple(notes))


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    made = {"always right": 1.0, "always wrong": 0.0}
    return {n: fixed([[v] * len(i.samples) for i in items], bounds=(0.0, 1.0)) for n, v in made.items()}


HYBRID = Benchmark(
    name="hybrid",
    line="a right answer and the share of right reasoning steps, and their mean",
    columns="prompt, answer, reference, steps (list), and clues where there are any",
    source="Zhang et al. 2025 (MME-Emotion)",
    parse=_parse,
    statistics=_statistics,
    takes=("reward",),
    check=lambda judged: threshold_of(judged, "hybrid"),
    verdicts=True,
    rules=_rules,
    quirks=("the mean weighs answer and reasoning alike (its paper)",),
)
"""Hybrid answer-and-reasoning scores."""
