"""The user's own file as a benchmark: pairs, rankings or best-of-k, by the column `subset`.

Pairs: `prompt, chosen, rejected`, where either side may be a list. Rankings: `prompt, completions` with `scores`
(higher is better) or `ranks` (1 is best); those of the highest score are the right ones. Pair accuracy takes all
pairs of different scores, each item alike, ties half and ties as losses; `accuracy_all` is the share of items of which
every pair is won (ACC+ of MM-RLHF [77]), where items have several; `best` is the credit of the best-of-k choice. A
`reference` is handed to the reward with each candidate: a verifier needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plaudit.evaluation.benchmarks.credits import all_won, best_credit, pair_credit, tie_share
from plaudit.evaluation.benchmarks.items import (
    Benchmark,
    Item,
    SourceRow,
    answers_of,
    choice,
    column,
    identity,
    prompt_of,
)
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Found, mean_of, weighted_means
from plaudit.records.fields import RowError, items, number
from plaudit.records.sample import Sample


def _parse(row: SourceRow) -> Item:
    subset = str(row.cells["subset"]) if row.cells.get("subset") is not None else "(not given)"
    prompt, reference = prompt_of(row, "prompt"), row.cells.get("reference")
    if row.cells.get("chosen") is not None or row.cells.get("completions") is None:
        item = choice(row, prompt, answers_of(row, "chosen"), answers_of(row, "rejected"), subset=subset)
        return replace(item, samples=tuple(replace(s, reference=reference) for s in item.samples))
    answers = answers_of(row, "completions")
    name, value = column(row, "scores", "ranks")
    given = items(name, value, number)
    scores = np.array(given, np.float64) * (-1 if name == "ranks" else 1)
    if len(scores) != len(answers):
        raise RowError(name, value, f"{len(scores)} of them for {len(answers)} completions; give one each")
    if len(answers) < 2 or np.ptp(scores) == 0:
        raise RowError(name, value, "at least two completions of different scores are needed, or nothing can be chosen")
    k = range(len(scores))
    pairs = tuple((i, j) for i in k for j in k if scores[i] > scores[j])
    samples = tuple(Sample(prompt, a, reference, group=f"{row.file}:{row.number}") for a in answers)
    return Item(identity(row), subset, samples, tuple(bool(s == scores.max()) for s in scores), pairs=pairs)


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    margins = judged.margins(items)
    half, best = pair_credit(margins, tie=0.5), best_credit(items, judged)
    subsets = [item.subset for item in items]
    names = sorted(set(subsets))
    rows = [
        mean_of("accuracy", half, headline=True),
        mean_of("accuracy_strict", pair_credit(margins, tie=0.0)),
        mean_of("ties", tie_share(margins)),
        mean_of("best", best, headline=any(len(item.samples) > 2 for item in items)),
    ]
    if any(m.size > 1 for m in margins):
        rows.append(mean_of("accuracy_all", all_won(margins)))
    if len(names) > 1:
        rows.append(weighted_means("mean_over_subsets", half, subsets, dict.fromkeys(names, 1.0)))
        rows += [weighted_means(f"subset/{n}", half, subsets, {n: 1.0}) for n in names]
    return Found(tuple(rows))


OWN = Benchmark(
    name="own",
    line="your own file: pairs, rankings or best-of-k, by the column subset",
    columns="prompt with chosen and rejected (text or lists), or completions and scores or ranks; subset, reference",
    source="your own",
    parse=_parse,
    statistics=_statistics,
    quirks=("a tie is worth one half in accuracy and nothing in accuracy_strict", "items weigh alike, not pairs"),
)
"""The user's own file."""
