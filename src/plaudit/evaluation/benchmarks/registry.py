"""The benchmarks by name; nothing is imported until one is used."""

from __future__ import annotations

from plaudit._lazy import attribute
from plaudit.errors import InputError, nearest
from plaudit.evaluation.benchmarks.items import Benchmark

WHERE: dict[str, str] = {
    "rewardbench": "choices.rewardbench:REWARDBENCH",
    "rewardbench2": "choices.rewardbench2:REWARDBENCH2",
    "rm-bench": "choices.rmbench:RM_BENCH",
    "rewardmath": "choices.rewardmath:REWARDMATH",
    "judgebench": "choices.judgebench:JUDGEBENCH",
    "llmbar": "choices.llmbar:LLMBAR",
    "m-rewardbench": "choices.multilingual:M_REWARDBENCH",
    "rag-rewardbench": "choices.retrieval:RAG_REWARDBENCH",
    "own": "choices.own:OWN",
    "vl-rewardbench": "judged.vision:VL_REWARDBENCH",
    "uve": "judged.video:UVE",
    "libra": "judged.libra:LIBRA",
    "wildbench": "judged.wildbench:WILDBENCH",
    "wildbench-score": "judged.wildbench:WILDBENCH_SCORE",
    "hybrid": "judged.hybrid:HYBRID",
    "processbench": "process.processbench:PROCESSBENCH",
    "path-credit": "process.paths:PATH_CREDIT",
    "mrmbench": "mrmbench:MRMBENCH",
}
"""Name to the module (below this package) and the attribute."""


def benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in WHERE:
        raise InputError(f"benchmark: {name!r} is not known; {nearest(name, WHERE)}")
    found: Benchmark = attribute(f"{__package__}.{WHERE[name]}")
    return found


def listing() -> list[str]:
    """A line for each benchmark: name, what it measures, the columns that a row needs."""
    rows = [benchmark(name) for name in WHERE]
    width = max(len(b.name) for b in rows)
    return [f"{b.name:<{width}}  {b.line}; columns: {b.columns}" for b in rows]
