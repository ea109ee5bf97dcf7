"""LLMBar: which of two outputs follows the instruction; a natural set and four adversarial ones.

Accuracy is the mean over both orders for a comparison; agreement is the share of pairs with the same answer in
both. A scalar reward has no order, and a tie is worth one half, as in the paper's rating evaluators (which answer 2
in one order and 1 in the other).

Source: Zeng et al. 2023, "Evaluating Large Language Models at Evaluating Instruction Following"; `evaluate.py` in
its code. `adversarial` is the unweighted mean of the four adversarial sets; `accuracy_of_pairs` and `agreement` pool
the pairs of the five sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from plaudit.evaluation.benchmarks.choices.judgebench import decisions
from plaudit.evaluation.benchmarks.credits import pair_credit
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, column, identity, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Found, Statistic, mean_of, sections
from plaudit.records.fields import RowError
from plaudit.records.sample import Sample

ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")
SETS = ("Natural", *ADVERSARIAL)
"""The published sets."""
PUBLISHED = {"natural": {"Natural": 1.0}, "adversarial": dict.fromkeys(ADVERSARIAL, 1.0)}


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "input")
    answers = (*answers_of(row, "output_1"), *answers_of(row, "output_2"))
    label = column(row, "label")[1]
    if str(label) not in ("1", "2") or len(answers) != 2:
        raise RowError("label", label, "give 1 or 2, with one output each")
    said = str(row.cells.get("subset") or row.folder or row.stem)
    subset = next((n for n in SETS if n.lower() in said.lower().replace("_", "")), said)
    samples = tuple(Sample(prompt, a, group=f"{row.file}:{row.number}") for a in answers)
    first = str(label) == "1"
    return Item(f"{row.file}:{identity(row)}", subset, samples, (first, not first))


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    both = decisions(judged)
    subsets = [item.subset for item in items]
    extra: list[Statistic] = []
    if both is None:
        right = pair_credit(judged.margins(items), tie=0.5)
    else:
        # a tie or no clear answer is right in neither order
        right = np.array([np.where(np.isnan(d), math.nan, d > 0).mean() for d in both])
        same = [
            float(d[0] == d[1]) if s in SETS and not np.isnan(d).any() else math.nan
            for d, s in zip(both, subsets, strict=True)
        ]
        extra = [mean_of("agreement", same)]
    found = sections(right, subsets, PUBLISHED, overall="mean_of_natural_and_adversarial")
    pooled = np.where([s in SETS for s in subsets], right, math.nan)
    return Found((*found.statistics, mean_of("accuracy_of_pairs", pooled), *extra), found.notes)


LLMBAR = Benchmark(
    name="llmbar",
    line="which output follows the instruction; natural and four adversarial sets",
    columns="input, output_1, output_2, label (1 or 2); the folder's name is the set (or a column subset)",
    source="Zeng et al. 2023; folders Natural, Neighbor, GPTInst, GPTOut, Manual of its repository",
    parse=_parse,
    statistics=_statistics,
    listed=True,
    wanted=lambda path: "evaluators" not in path.split("/"),  # results of the paper lie beside the data
    quirks=(
        "accuracy averages the two orders (its code's correct_average), where JudgeBench calls an inconsistency wrong",
        "its folders CaseStudy and Processed are other data: they are shown as subsets and count in no other number",
        "accuracy_of_pairs and agreement pool the pairs of the five sets (ours)",
        "the mean of natural and adversarial is ours; the paper gives the sets",
    ),
)
"""LLMBar."""
