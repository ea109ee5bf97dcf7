"""A judge on a benchmark: its published numbers with intervals, content-blind rules beside them, outcomes told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.items import Benchmark, Item
from plaudit.evaluation.benchmarks.judging import Judged, as_comparison, random_rewards, text_rules
from plaudit.evaluation.benchmarks.statistics import Statistic, advantage, averaged, estimate, restricted
from plaudit.rewards.base import Outcome
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True)
class BenchmarkResult:
    """What a benchmark found.

    Attributes:
        benchmark: its name.
        judge: name of the reward or comparison.
        n_items: items.
        n_clusters: what was resampled: mostly distinct prompts.
        outcomes: candidates (or ordered pairs) by outcome, lower-case; only those that occur.
        metrics: the published numbers, then `baseline/RULE/NAME` and `advantage/RULE/NAME`.
        notes: what the table cannot say.
    """

    benchmark: str
    judge: str
    n_items: int
    n_clusters: int
    outcomes: Mapping[str, int]
    metrics: Mapping[str, Estimate]
    notes: tuple[str, ...] = ()


def evaluate_benchmark(
    benchmark: Benchmark, items: Sequence[Item], judged: Judged, *, seed: int = 0, resamples: int = 2000,
    baselines: bool = True,
) -> BenchmarkResult:  # fmt: skip
    """The numbers of a benchmark from what a judge said of its items.

    Args:
        benchmark: which one.
        items: as `read_items` gives them.
        judged: as `judge_items` gives it.
        seed: of every bootstrap, and of the random rule.
        resamples: number of bootstrap resamples.
        baselines: whether to put content-blind rules beside the headline numbers.

    Raises:
        InputError: if there is no item, or the judge lacks what the benchmark needs (steps, bounds).
    """
    if not items:
        raise InputError(f"{benchmark.name}: there is no item; give at least one")
    clusters = [item.cluster for item in items]
    codes = cluster_codes(clusters, len(clusters))
    found = benchmark.statistics(items, judged)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    metrics = {s.name: estimate(s, codes, **options) for s in found.statistics}
    if baselines:
        heads = [s for s in found.statistics if s.headline and not s.absent]
        metrics.update(_rules(benchmark, items, judged, heads, metrics, codes, options))
    counts = Counter(int(o) for out in judged.outcomes for o in out)
    outcomes = {o.name.lower(): counts[o] for o in Outcome if counts[o]}
    notes = (*found.notes, *_outcome_notes(outcomes, judged))
    return BenchmarkResult(benchmark.name, judged.name, len(items), len(set(clusters)), outcomes, metrics, notes)


def _rules(
    benchmark: Benchmark, items: Sequence[Item], judged: Judged, heads: Sequence[Statistic],
    shown: Mapping[str, Estimate], clusters: Clusters, options: dict[str, Any],
) -> dict[str, Estimate]:  # fmt: skip
    made = text_rules(items, listed=benchmark.listed) if benchmark.rules is None else benchmark.rules(items)
    rules = {name: [rule] for name, rule in made.items()}
    if benchmark.rules is None:  # else chance is among the benchmark's own rules
        rules["random"] = random_rewards(items, seed=options["seed"])
    table: dict[str, Estimate] = {}
    for name, draws in rules.items():
        if judged.rewards is None:  # a rule is judged as the comparison is
            draws = [as_comparison(d, items) if d.rewards is not None else d for d in draws]
        said = [{s.name: s for s in benchmark.statistics(items, d).statistics} for d in draws]
        for own in heads:
            versions = [s[own.name] for s in said if own.name in s and not s[own.name].absent]
            if len(versions) != len(said):
                continue
            rule = restricted(averaged(versions) if len(versions) > 1 else versions[0], own)
            beside, minus = f"baseline/{name}/{own.name}", f"advantage/{name}/{own.name}"
            if name == "random":
                table[beside], table[minus] = _chance(rule, shown[own.name], clusters, len(draws))
            else:
                table[beside] = estimate(rule, clusters, **options)
                table[minus] = advantage(own, rule, clusters, **options)
    return table


def _chance(rule: Statistic, own: Estimate, clusters: Clusters, draws: int) -> tuple[Estimate, Estimate]:
    """What random rewards reach, a constant and no sample, and the judge's number less it."""
    value = estimate(rule, clusters, resamples=1).value
    said = f"mean of {draws} draws of random rewards"
    less = Estimate(own.value - value, own.low - value, own.high - value, own.n, f"{own.method}, less chance")
    return Estimate(value, n=own.n, method=said), less


def _outcome_notes(outcomes: Mapping[str, int], judged: Judged) -> list[str]:
    total = sum(outcomes.values())
    what = "candidates" if judged.rewards is not None else "ordered pairs"
    notes = []
    lost = {k: n for k, n in outcomes.items() if k not in ("scored", "policy_fault")}
    if lost:
        told = ", ".join(f"{n} {k}" for k, n in lost.items())
        notes.append(
            f"{sum(lost.values())} of {total} {what} have no judgement ({told}): they are no wrong answers, and every "
            "number that needs them leaves their items out"
        )
    if faults := outcomes.get("policy_fault"):
        notes.append(f"{faults} of {total} {what} are the candidate's own faults and worth the floor")
    if judged.rewards is not None and total and (constant := _constant(judged)) is not None:
        notes.append(f"every reward is {constant:g}: all margins are ties, counted as each number says")
    return notes


def _constant(judged: Judged) -> float | None:
    assert judged.rewards is not None
    known = np.concatenate([r[~np.isnan(r)] for r in judged.rewards] or [np.zeros(0)])
    return float(known[0]) if known.size > 1 and np.ptp(known) == 0 else None
