"""ProcessBench: where a solution first goes wrong [158].

The prediction is the first step whose reward lies below a threshold, -1 where none does. Per part (gsm8k, math,
olympiadbench, omnimath) the F1 is the harmonic mean of the accuracy on erroneous solutions (the step must be hit
exactly) and on correct ones (-1 must be said); the score is the mean of the four.

Source: Zheng et al. 2024, "ProcessBench"; `run_eval_prm_trl.py` in its code; Zhang et al. 2025 [158].

Differs from its code: an abstention leaves (there an unreadable critique is a wrong answer). A step counts as wrong
below the threshold 0.5 where all step rewards lie in [0, 1], and below 0 otherwise, which is said; `--threshold`
sets another. A judge may name the step itself, as `first_error` in a sample's detail. A solution that is the
policy's own fault without steps is taken as wrong from its first step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, Statistic, absent, weighted_means
from plaudit.records.fields import RowError, items, text
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome

PARTS = ("gsm8k", "math", "olympiadbench", "omnimath")


def first_error(steps: ArrayLike, threshold: float) -> int:
    """The first step with a reward below the threshold, or -1.

    Args:
        steps: (k,) rewards.
        threshold: in reward units.
    """
    below = np.flatnonzero(np.asarray(steps, np.float64) < threshold)
    return int(below[0]) if below.size else -1


def _parse(row: SourceRow) -> Item:
    steps = items("steps", column(row, "steps")[1], text)
    label = column(row, "label")[1]
    if isinstance(label, bool) or not isinstance(label, int) or not -1 <= label < len(steps):
        raise RowError("label", label, f"give the index of the first wrong step of {len(steps)}, or -1")
    if not steps:
        raise RowError("steps", list(steps), "the list is empty")
    name = identity(row)
    part = next((p for p in PARTS if name.startswith(p + "-") or row.stem.startswith(p)), row.stem)
    joined = (*(s + "\n\n" for s in steps[:-1]), steps[-1])
    sample = Sample(prompt_of(row, "problem"), "".join(joined), steps=joined)
    return Item(name, part, (sample,), (label == -1,), meta={"label": label, "steps": len(steps)})


def _predictions(items: Sequence[Item], judged: Judged) -> tuple[Floats, list[str]]:
    assert judged.rewards is not None
    known = [np.asarray(s[0]) for s in judged.steps if s is not None and len(s[0])]
    named = [d[0].get("first_error") if d else None for d in judged.said]
    if not known and all(n is None for n in named):
        raise InputError(
            f"processbench: {judged.name} gives no reward a step (RewardBatch.steps) and names no first_error in its "
            "detail; give a process reward"
        )
    values = np.concatenate(known) if known else np.zeros(0)
    threshold, notes = judged.threshold, []
    if threshold is None:
        inside = bool(((values >= 0) & (values <= 1)).all())
        threshold = 0.5 if inside else 0.0
        if not inside:
            notes.append("step rewards reach outside [0, 1]: a step counts as wrong below 0; --threshold sets another")
    found = [
        _prediction(item, steps, outcome, name, threshold)
        for item, steps, outcome, name in zip(items, judged.steps, judged.outcomes, named, strict=True)
    ]
    return np.array(found, np.float64), notes


def _prediction(
    item: Item, steps: tuple[Floats, ...] | None, outcome: NDArray[np.int8], named: object, threshold: float
) -> float:
    if outcome[0] > Outcome.POLICY_FAULT:
        return math.nan
    if named is not None:
        if isinstance(named, bool) or not isinstance(named, int):
            raise InputError(f"processbench: first_error of {item.id} is {named!r}; give an integer, -1 for none")
        return float(named)
    rewards = np.zeros(0) if steps is None else np.asarray(steps[0], np.float64)
    if not rewards.size:
        return 0.0 if outcome[0] == Outcome.POLICY_FAULT else math.nan
    if rewards.size != item.meta["steps"]:
        raise InputError(
            f"processbench: {item.id} has {item.meta['steps']} steps and got {rewards.size} step rewards; give one each"
        )
    return math.nan if np.isnan(rewards).any() else float(first_error(rewards, threshold))


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    predicted, notes = _predictions(items, judged)
    label = np.array([item.meta["label"] for item in items], np.float64)
    right = np.where(np.isnan(predicted), math.nan, predicted == label)
    groups = [f"{item.subset}/{'correct' if item.good[0] else 'error'}" for item in items]
    there = set(groups)
    rows: list[Statistic] = []
    whole: list[str] = []
    for part in dict.fromkeys([*(p for p in PARTS if f"{p}/error" in there or f"{p}/correct" in there),
                               *sorted({i.subset for i in items} - set(PARTS))]):  # fmt: skip
        sides = (f"{part}/error", f"{part}/correct")
        rows += [weighted_means(f"accuracy/{s}", right, groups, {s: 1.0}) for s in sides if s in there]
        if all(s in there for s in sides):
            whole.append(part)
            rows.append(_harmonic(f"f1/{part}", right, groups, [part]))
        else:
            rows.append(absent(f"f1/{part}", "needs both erroneous and correct solutions"))
    missing = [p for p in PARTS if p not in whole]
    if missing:
        rows.append(absent("f1", f"missing parts: {', '.join(missing)}"))
        notes.append(f"missing parts: {', '.join(missing)}; f1 is not given, and present_f1 is over the others")
    if whole:
        rows.append(
            _harmonic("present_f1" if missing else "f1", right, groups, whole if missing else list(PARTS), True)
        )
    return Found(tuple(rows), tuple(notes))


def _harmonic(
    name: str, right: Floats, groups: Sequence[str], parts: Sequence[str], headline: bool = False
) -> Statistic:
    names = [f"{p}/{side}" for p in parts for side in ("error", "correct")]
    base = weighted_means(name, right, groups, dict.fromkeys(names, 1.0), headline=headline)
    g = len(names)

    def f1(accuracy: Floats) -> Floats:
        a, b = accuracy[..., 0::2], accuracy[..., 1::2]
        total = np.where(a + b > 0, a + b, 1.0)  # both accuracies 0: F1 is 0
        return np.asarray((2 * a * b / total).mean(axis=-1))

    return Statistic(
        name, base.make, lambda t: f1(t[:, :g] / t[:, g:]), headline, parts=base.parts, rising=lambda p: float(f1(p))
    )


def _rules(items: Sequence[Item]) -> Mapping[str, Judged]:
    last = [item.meta["steps"] - 1 for item in items]
    return {"no error": _saying([-1] * len(items)), "first step": _saying([0] * len(items)), "last step": _saying(last)}


def _saying(predictions: Sequence[int]) -> Judged:
    return replace(fixed([[0.0] for _ in predictions]), said=tuple(({"first_error": p},) for p in predictions))


PROCESSBENCH = Benchmark(
    name="processbench",
    line="the first wrong step; harmonic mean of accuracy on erroneous and on correct solutions",
    columns="id, problem, steps (list), label (index of the first wrong step, -1 for none)",
    source="Zheng et al. 2024; hub Qwen/ProcessBench#gsm8k and three more",
    parse=_parse,
    statistics=_statistics,
    takes=("reward",),
    verdicts=True,
    rules=_rules,
    quirks=(
        "the first wrong step must be hit exactly; a later or earlier one is as wrong as none",
        "the score is the mean of four F1, not the F1 of pooled accuracies (its code)",
        "F1 is 0 where both accuracies are 0 (its code divides by zero there)",
    ),
)
"""ProcessBench."""
