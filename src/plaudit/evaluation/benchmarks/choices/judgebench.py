"""JudgeBench: two answers, one of them objectively right, in both orders for judges.

A comparison is asked twice; each order counts +1 for the right answer, -1 for the other, 0 for a tie; the pair is
correct where the sum is above 0. So an answer that follows the position (right once, wrong once) is not correct. A
scalar reward has no order: correct where the right answer's reward is greater, strictly.

Source: Tan et al. 2024, "JudgeBench"; `compute_final_metrics` in its code; overall pools pairs.

Differs from its code: a reward's tie is not correct (there it silently means B); an order without a judgement takes the
pair out (there the other order decides alone).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from plaudit.evaluation.benchmarks.credits import pair_credit, tie_share
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Floats, Found, mean_of, sections
from plaudit.records.fields import RowError
from plaudit.records.sample import Sample

CATEGORIES = {
    "mmlu-pro": "knowledge", "livebench-reasoning": "reasoning", "livebench-math": "math", "livecodebench": "coding",
}  # fmt: skip
"""Start of a source to its category."""


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "question")
    answers = (*answers_of(row, "response_A"), *answers_of(row, "response_B"))
    label = column(row, "label")[1]
    if label not in ("A>B", "B>A") or len(answers) != 2:
        raise RowError("label", label, "give A>B or B>A, with one answer each")
    source = str(row.cells.get("source") or "")
    category = next((c for start, c in CATEGORIES.items() if source.startswith(start)), source or "(no source)")
    samples = tuple(Sample(prompt, a, group=f"{row.file}:{row.number}") for a in answers)
    return Item(identity(row), category, samples, (label == "A>B", label == "B>A"))


def decisions(judged: Judged) -> list[Floats] | None:
    """For each item the decision in both orders: 1 right, 0 tie, -1 wrong, NaN none; None for a reward."""
    if judged.orders is None:
        return None
    return [np.sign(o[:, 0] - 0.5) for o in judged.orders]


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    both = decisions(judged)
    categories = [item.subset for item in items]
    if both is None:
        right = pair_credit(judged.margins(items), tie=0.0)
        more = [mean_of("ties", tie_share(judged.margins(items)))]
    else:
        total = np.array([d.sum() for d in both])
        right = np.where(np.isnan(total), math.nan, total > 0)
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
    return Found((mean_of(name, right, headline=True), *shown, *more), notes)


JUDGEBENCH = Benchmark(
    name="judgebench",
    line="two answers, one objectively right; judges are asked in both orders",
    columns="pair_id, source, question, response_A, response_B, label (A>B or B>A)",
    source="Tan et al. 2024; hub ScalerLab/JudgeBench#gpt or #claude",
    parse=_parse,
    statistics=_statistics,
    listed=True,
    quirks=(
        "an inconsistent order (right once, wrong once) is not correct; right once and tied once is (its code)",
        "a reward's tie reads B>A in its code; here it is not correct",
    ),
)
"""JudgeBench."""
