"""Libra-Bench: is a long mathematical answer right? A verdict on one answer at a time [125].

`accuracy` is the share of right verdicts, as its card says; `balanced_accuracy` the mean of the two classes'
accuracies, in which a constant verdict reaches one half whatever the classes' sizes.

Source: Zhou et al. 2025, "Libra"; the card of hub meituan/Libra-Bench for the columns. Its code was not to be had.

Differs from the paper: a reward's verdict is whether it reaches a threshold (`--threshold`, else the middle of its
bounds). Several samples of a judge are one verdict through `majority_vote`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judged.verdicts import threshold_of, verdict
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Found, absent, mean_of, weighted_means
from plaudit.records.fields import flag, text
from plaudit.records.sample import Sample


def _parse(row: SourceRow) -> Item:
    sample = Sample(prompt_of(row, "question"), text("response", column(row, "response")[1]))
    right = flag("label", column(row, "label")[1])
    subset = str(row.cells.get("subset") or row.cells.get("source") or row.cells.get("model") or "")
    return Item(identity(row), subset, (sample,), (right,))


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    assert judged.rewards is not None
    threshold, notes = threshold_of(judged, "libra")
    said = verdict([float(r[0]) for r in judged.rewards], threshold)
    label = np.array([float(item.good[0]) for item in items])
    right = np.where(np.isnan(said), math.nan, said == label)
    classes = ["correct" if x else "incorrect" for x in label]
    there = [c for c in ("correct", "incorrect") if c in classes]
    rows = [mean_of("accuracy", right, headline=True)]
    if len(there) == 2:
        rows.append(weighted_means("balanced_accuracy", right, classes, dict.fromkeys(there, 1.0), headline=True))
    else:
        rows.append(absent("balanced_accuracy", f"all answers are {there[0]}: the other class is missing"))
    rows += [weighted_means(f"accuracy/{c} answers", right, classes, {c: 1.0}) for c in there]
    subsets = [item.subset for item in items]
    names = sorted(set(subsets) - {""})
    rows += [weighted_means(f"subset/{n}", right, subsets, {n: 1.0}) for n in names if len(names) > 1]
    return Found(tuple(rows), tuple(notes))


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    length = np.array([len(item.samples[0].text) for item in items], np.float64)
    short = (length <= np.median(length)).astype(np.float64)
    made = {"always right": np.ones(len(items)), "always wrong": np.zeros(len(items)), "shorter half": short}
    return {name: fixed([[v] for v in values], bounds=(0.0, 1.0)) for name, values in made.items()}


LIBRA = Benchmark(
    name="libra",
    line="is a long mathematical answer right: verdicts on single answers",
    columns="question, response, label (1 or 0)",
    source="Zhou et al. 2025; hub meituan/Libra-Bench",
    parse=_parse,
    statistics=_statistics,
    takes=("reward",),
    check=lambda judged: threshold_of(judged, "libra"),
    verdicts=True,
    rules=_rules,
    quirks=("the published number is plain accuracy; a constant verdict then scores the larger class's share",),
)
"""Libra-Bench."""
