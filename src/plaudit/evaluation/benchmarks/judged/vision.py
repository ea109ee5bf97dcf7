"""VL-RewardBench: which of two answers about an image is better [90].

Accuracy in three groups (general, hallucination, reasoning), overall (pooled) and macro (unweighted mean of the
groups). The image is handed over as a part of the prompt's message.

Source: Li et al. 2024, "VL-RewardBench"; `cal.py` in its code for groups and aggregation.

Differs from its code: a comparison is asked in both orders, not K times in a shuffled one; `majority_vote` makes
one verdict of K. Verdicts that cannot be read leave, as there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plaudit.evaluation.benchmarks.credits import pair_credit, tie_share
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow, answers_of, column, identity
from plaudit.evaluation.benchmarks.judging import Judged
from plaudit.evaluation.benchmarks.statistics import Found, mean_of, sections
from plaudit.records.fields import RowError, items, text
from plaudit.records.message import Message, Part
from plaudit.records.sample import Sample

GROUPS = {
    "vlfeedback": "general", "wildvision-battle": "general", "povid": "hallucination", "rlhf-v": "hallucination",
    "rlaif-v": "hallucination", "reasoning_tasks": "reasoning",
}  # fmt: skip
_STARTS = {
    "rlaif": "rlaif-v", "rlhf": "rlhf-v", "mathverse": "reasoning_tasks", "mmmu": "reasoning_tasks",
    "wildvision": "wildvision-battle", "povid": "povid",
}  # fmt: skip


def _group(row: SourceRow) -> str:
    path = str(row.cells.get("image_path") or "").split("/")
    if len(path) > 1 and path[1] in GROUPS:
        return GROUPS[path[1]]
    start = str(row.cells.get("id") or "").replace("-", "_").partition("_")[0].lower()
    return GROUPS[_STARTS.get(start, "vlfeedback")]  # what has no known start is vlfeedback (its code)


def image_part(row: SourceRow) -> Part:
    """The image of a row as a part: its bytes as a data URL, or the path that the row gives.

    Raises:
        RowError: if the row has neither.
    """
    image: Any = row.cells.get("image")
    if isinstance(image, Mapping) and image.get("bytes"):
        return Part("image_url", {"image_url": {"url": f"data:image;base64,{image['bytes']}"}})
    path = image.get("path") if isinstance(image, Mapping) else image
    path = path or row.cells.get("image_path")
    if not isinstance(path, str):
        raise RowError("image", None, "the row has neither image bytes nor an image_path")
    return Part("image_url", {"image_url": {"url": path}})


def _parse(row: SourceRow) -> Item:
    query = text("query", column(row, "query")[1])
    answers = answers_of(row, "response")
    ranking = list(items("human_ranking", column(row, "human_ranking", "ranking")[1], lambda _, v: v))
    if sorted(ranking) not in ([0, 1], [1, 2]) or len(answers) != 2:
        raise RowError("human_ranking", ranking, "give the ranks 0 and 1 (0 is better) of two responses")
    prompt = (Message("user", (image_part(row), Part("text", {"text": query.replace("<image>", "").strip()}))),)
    samples = tuple(Sample(prompt, a, group=f"{row.file}:{row.number}") for a in answers)
    good = tuple(rank == min(ranking) for rank in ranking)
    return Item(identity(row), _group(row), samples, good)


def _statistics(items: Sequence[Item], judged: Judged) -> Found:
    margins = judged.margins(items)
    right = pair_credit(margins, tie=0.5)
    groups = [item.subset for item in items]
    published = {g: {g: 1.0} for g in ("general", "hallucination", "reasoning")}
    found = sections(right, groups, published, overall="macro")
    shown = tuple(s for s in found.statistics if not s.name.startswith("subset/"))
    name = "present_overall" if found.notes else "overall"
    return Found((mean_of(name, right, headline=True), *shown, mean_of("ties", tie_share(margins))), found.notes)


VL_REWARDBENCH = Benchmark(
    name="vl-rewardbench",
    line="which of two answers about an image is better; general, hallucination, reasoning",
    columns="id, query, response (2), human_ranking (0 is better), image (bytes or path) or image_path",
    source="Li et al. 2024; hub MMInstruction/VL-RewardBench",
    parse=_parse,
    statistics=_statistics,
    listed=True,
    quirks=(
        "a row's group comes from the start of its id, and an unknown start is vlfeedback, so general (its code)",
        "unreadable verdicts leave numerator and denominator (its code)",
        "a tie, of which its judges have none, is worth one half",
    ),
)
"""VL-RewardBench."""
