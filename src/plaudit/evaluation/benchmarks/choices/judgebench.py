"""JudgeBench: two answers, one of them objectively right, in both orders for judges.

A comparison is asked twice; each order counts +1 for the right answer, -1 for the other, 0 for a tie; the pair is
correct where the sum is above 0. So an answer that follows the position (right once, wrong once) is not correct. A
scalar reward has no order: correct where the right answer's reward is greater, strictly.

Source: Tan et al. 2024, "JudgeBench"; `compute_final_metrics` in its code; overall pools pairs.

Differs from its code: a reward's tie is not correct (there it silently means B); an order without a judgement takes the
pair out (there the other order decides alone, and a pair without any stays as not correct). `published/accuracy` counts
as there. Its result files hold judgements (`judgments`), which are read as stored ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.credits import pair_credit, tie_share
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged, fixed
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of, sections
from plaudit.records.fields import RowError
from plaudit.records.fields import items as list_of
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome

CATEGORIES = {
    "mmlu-pro": "knowledge", "livebench-reasoning": "reasoning", "livebench-math": "math", "livecodebench": "coding",
}  # fmt: skip
"""Start of a source to its category."""
_FLIPPED = {"A>B": "B>A", "B>A": "A>B"}


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "question")
    answers = (*answers_of(row, "response_A"), *answers_of(row, "response_B"))
    label = column(row, "label")[1]
    if label not in ("A>B", "B>A") or len(answers) != 2:
        raise RowError("label", label, "give A>B or B>A, with one answer each")
    source = str(row.cells.get("source") or "")
    category = next((c for start, c in CATEGORIES.items() if source.startswith(start)), source or "(no source)")
    samples = tuple(Sample(prompt, a, group=f"{row.file}:{row.number}") for a in answers)
    meta = {"judgements": _judgements(row, label)}
    return Item(identity(row), category, samples, (label == "A>B", label == "B>A"), meta=meta)


def _judgements(row: SourceRow, label: str) -> tuple[float, ...]:
    """The judgements in the file, A shown first and then B: 1 for the right answer, 0 for the other, NaN for null.

    Whatever else was decided is neither, one half (its code).
    """
    given = row.cells.get("judgments")
    if given is None:
        return ()
    found = list_of("judgments", given, _decision)
    if not 1 <= len(found) <= 2:
        raise RowError("judgments", given, "give one judgement, or one in either order")
    said = [found[0], *(_FLIPPED.get(d, d) for d in found[1:])]
    worth = {label: 1.0, _FLIPPED[label]: 0.0, "": math.nan}
    return tuple(worth.get(d, 0.5) for d in said)


def _decision(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise RowError(name, value, "give an object with a decision, or null")
    return str(value.get("decision") or "")


def _stored(items: Sequence[Item]) -> Judged | None:
    said = [item.meta["judgements"] for item in items]
    orders = {len(s) for s in said} - {0}
    if not orders:
        return None
    if len(orders) > 1:
        raise InputError("judgebench: some pairs have a judgement in one order and others in both; read them apart")
    if orders == {1}:  # a judge without an order, as a reward is
        right = [s[0] if s else math.nan for s in said]
        given = [[r if good else 1 - r for good in item.good] for r, item in zip(right, items, strict=True)]
        return replace(fixed(given, name="stored judgements", bounds=(0.0, 1.0)), stored=True)
    both = [np.array(s or (math.nan, math.nan), np.float64) for s in said]
    # the judgement with A first shows the right answer first where A is right
    sides = tuple((b if item.good[0] else b[::-1])[:, None] for b, item in zip(both, items, strict=True))
    outcomes = tuple(np.where(np.isnan(b), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8) for b in both)
    return Judged(None, sides, outcomes=outcomes, name="stored judgements", stored=True)


def decisions(judged: Judged) -> list[Floats] | None:
    """For each item the decision in both orders: 1 right, 0 tie, -1 wrong, NaN none; None for a reward."""
    if judged.orders is None:
        return None
    return [np.sign(o[:, 0] - 0.5) for o in judged.orders]


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    both = decisions(judged)
    categories = [item.subset for item in items]
    if both is None:
        margins = np.array([m[0] for m in judged.margins(items)])
        right = pair_credit(judged.margins(items), tie=0.0)
        # its code reads a reward's tie as B, and a stored tie as neither
        as_b = np.array([item.good[1] and not judged.stored for item in items])
        published = (margins > 0) | ((margins == 0) & as_b)
        more = [mean_of("ties", tie_share(judged.margins(items)))]
    else:
        total = np.array([d.sum() for d in both])
        right = np.where(np.isnan(total), math.nan, total > 0)
        published = np.array([np.nansum(d) for d in both]) > 0
        same = [math.nan if np.isnan(d).any() else float(d[0] == d[1]) for d in both]
        each = [np.array([d[k] for d in both]) for k in (0, 1)]
        more = [
            mean_of("consistent", same),
            *(
                mean_of(f"accuracy/right {place}", np.where(np.isnan(e), math.nan, e > 0))
                for place, e in zip(("first", "second"), each, strict=True)
            ),
        ]
    parts = sections(right, categories, {}, overall="unused").statistics
    shown = [s for s in parts if s.name.startswith("subset/")]
    missing = [c for c in CATEGORIES.values() if c not in categories]
    notes = (f"missing categories: {', '.join(missing)}; accuracy is over the others",) if missing else ()
    name = "present_accuracy" if missing else "accuracy"
    as_there = mean_of(f"published/{name}", published.astype(np.float64))
    return Found((mean_of(name, right, headline=True), as_there, *shown, *more), notes)


JUDGEBENCH = Benchmark(
    name="judgebench",
    line="two answers, one objectively right; judges are asked in both orders",
    columns="pair_id, source, question, response_A, response_B, label (A>B or B>A); judgments",
    source="Tan et al. 2024; hub ScalerLab/JudgeBench#gpt or #claude",
    parse=_parse,
    statistics=_statistics,
    listed=True,
    stored=_stored,
    quirks=(
        "an inconsistent order (right once, wrong once) is not correct; right once and tied once is (its code)",
        "a reward's tie reads B>A in its code (published/accuracy); in accuracy it is not correct (ours)",
        "a missing judgement counts 0 and its pair stays, so that without any it is not correct (its code, "
        "published/accuracy); in accuracy its pair leaves (ours)",
    ),
)
"""JudgeBench."""
