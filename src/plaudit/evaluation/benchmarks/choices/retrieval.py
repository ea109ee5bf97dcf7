"""RAG-RewardBench: pairs with retrieved passages in the prompt, by scenario [95].

Accuracy is strict. Helpfulness: helpful, reason (several hops), citation (fine-grained). Harmlessness: harmless,
abstain (appropriately), conflict (robustness). The overall number pools pairs; the two means are unweighted over
their scenarios.

Source: Jin et al. 2024, "RAG-RewardBench"; six files on the hub, one a scenario. Its code was not to be had, so the
aggregation is the paper's text as catalogued, and its column names are not verified beyond prompt, chosen and rejected:
passages must stand in the prompt, or in a column `passages` (a list of texts), which is then put before the question.
"""

from __future__ import annotations

from collections.abc import Sequence

from plaudit.evaluation.benchmarks.credits import pair_credit, tie_share
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, choice, prompt_of
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Found, mean_of, sections
from plaudit.records.fields import items as list_of
from plaudit.records.fields import text
from plaudit.records.message import Message
from plaudit.records.sample import Conversation

SCENARIOS = {
    "helpfulness": dict.fromkeys(("helpful", "reason", "citation"), 1.0),
    "harmlessness": dict.fromkeys(("harmless", "abstain", "conflict"), 1.0),
}


def _parse(row: SourceRow) -> Item:
    prompt = prompt_of(row, "prompt", "question", "query")
    if row.cells.get("passages") is not None:
        prompt = _with_passages(prompt, list_of("passages", row.cells["passages"], text))
    known = [s for part in SCENARIOS.values() for s in part]
    said = str(row.cells.get("scenario") or "")
    subset = said or (row.stem if row.stem in known else str(row.cells.get("subset") or row.stem))
    return choice(row, prompt, answers_of(row, "chosen"), answers_of(row, "rejected"), subset=subset)


def _with_passages(prompt: Conversation, passages: Sequence[str]) -> Conversation:
    listed = "\n\n".join(f"[{n}] {p}" for n, p in enumerate(passages, start=1))
    last = prompt[-1]
    return (*prompt[:-1], Message(last.role, f"{listed}\n\n{last.text}"))


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    margins = judged.margins(items)
    right = pair_credit(margins, tie=0.0)
    subsets = [item.subset for item in items]
    found = sections(right, subsets, SCENARIOS, overall="mean_of_scenarios")
    missing = [s for part in SCENARIOS.values() for s in part if s not in subsets]
    overall = mean_of("present_accuracy" if missing else "accuracy", right, headline=True)
    return Found((overall, *found.statistics, mean_of("ties", tie_share(margins))), found.notes)


RAG_REWARDBENCH = Benchmark(
    name="rag-rewardbench",
    line="pairs with retrieved passages: several hops, citations, abstention, conflict",
    columns="prompt (with the passages, or a column passages), chosen, rejected; the file's name is the scenario",
    source="Jin et al. 2024; hub jinzhuoran/RAG-RewardBench/Dataset",
    parse=_parse,
    statistics=_statistics,
    quirks=("a tie is a loss", "accuracy pools pairs; mean_of_scenarios weighs the six files alike"),
)
"""RAG-RewardBench."""
