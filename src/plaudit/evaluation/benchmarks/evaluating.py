"""A judge on a benchmark: its published numbers with intervals, content-blind rules beside them, outcomes told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.intervals import advantage, averaged, estimate, restricted, value_of
from plaudit.evaluation.benchmarks.items import Benchmark, Item
from plaudit.evaluation.benchmarks.judging import Judged, as_comparison, ordered_rewards, random_rewards, text_rules
from plaudit.evaluation.benchmarks.statistics import Statistic
from plaudit.rewards.base import Outcome
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, t_interval

STORED = "stored/"
"""Before the names of numbers that are made of the judgements in the files."""


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
    benchmark: Benchmark, items: Sequence[Item], judged: Judged | None, *, seed: int = 0, resamples: int = 2000,
    baselines: bool = True,
) -> BenchmarkResult:  # fmt: skip
    """The numbers of a benchmark from what a judge said of its items.

    Where the files hold judgements, the same numbers of these stand beside as `stored/NAME`.

    Args:
        benchmark: which one.
        items: as `read_items` gives them.
        judged: as `judge_items` gives it; None for the stored judgements alone.
        seed: of every bootstrap, and of the random rule.
        resamples: number of bootstrap resamples.
        baselines: whether to put content-blind rules beside the headline numbers.

    Raises:
        InputError: if there is no item, the judge lacks what the benchmark needs (steps, bounds), or there is neither a
            judge nor a stored judgement.
    """
    if not items:
        raise InputError(f"{benchmark.name}: there is no item; give at least one")
    clusters = [item.cluster for item in items]
    codes = cluster_codes(clusters, len(clusters))
    stored = None if benchmark.stored is None else benchmark.stored(items)
    prefix, beside = "", stored
    if judged is None:
        prefix, judged, beside = STORED, stored, None
    if judged is None:
        raise InputError(f"{benchmark.name}: the files hold no judgement; give --reward")
    found = benchmark.statistics(items, judged)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    metrics = {f"{prefix}{s.name}": estimate(s, codes, **options) for s in found.statistics}
    if beside is not None:
        more = benchmark.statistics(items, beside).statistics
        metrics.update({f"{STORED}{s.name}": estimate(s, codes, **options) for s in more})
    if baselines:
        heads = [s for s in found.statistics if s.headline and not s.absent]
        rules = _rules(benchmark, items, judged, heads, {s.name: metrics[f"{prefix}{s.name}"] for s in heads}, codes,
                       options)  # fmt: skip
        metrics.update({_of_rule(name, prefix): e for name, e in rules.items()})
    counts = Counter(int(o) for out in judged.outcomes for o in out)
    outcomes = {o.name.lower(): counts[o] for o in Outcome if counts[o]}
    notes = (*found.notes, *_outcome_notes(outcomes, judged))
    return BenchmarkResult(benchmark.name, judged.name, len(items), len(set(clusters)), outcomes, metrics, notes)


def _of_rule(name: str, prefix: str) -> str:
    """`baseline/RULE/NAME` with a prefix of NAME."""
    kind, rule, number = name.split("/", 2)
    return f"{kind}/{rule}/{prefix}{number}"


def _rules(
    benchmark: Benchmark, items: Sequence[Item], judged: Judged, heads: Sequence[Statistic],
    shown: Mapping[str, Estimate], clusters: Clusters, options: dict[str, Any],
) -> dict[str, Estimate]:  # fmt: skip
    texts = any(sample.text for item in items for sample in item.samples)  # stored judgements may come without any
    made = benchmark.rules(items) if benchmark.rules else text_rules(items, listed=benchmark.listed) if texts else {}
    table: dict[str, Estimate] = {}
    for name, said in made.items():
        found = _said(benchmark, items, judged, [said])[0]
        for own in heads:
            if own.name in found and not found[own.name].absent:
                rule = restricted(found[own.name], own)
                table[f"baseline/{name}/{own.name}"] = estimate(rule, clusters, **options)
                table[f"advantage/{name}/{own.name}"] = advantage(own, rule, clusters, **options)
    if benchmark.rules is None:  # else chance is among the benchmark's own rules
        table.update(_random(benchmark, items, judged, heads, shown, options["seed"]))
    return table


def _said(
    benchmark: Benchmark, items: Sequence[Item], judged: Judged, draws: Sequence[Judged]
) -> list[dict[str, Statistic]]:
    """What each of several rules reaches, by name; beside a comparison a rule is judged as one too."""
    if judged.rewards is None:
        draws = [as_comparison(d, items) if d.rewards is not None else d for d in draws]
    return [{s.name: s for s in benchmark.statistics(items, d).statistics} for d in draws]


def _random(
    benchmark: Benchmark, items: Sequence[Item], judged: Judged, heads: Sequence[Statistic],
    shown: Mapping[str, Estimate], seed: int,
) -> dict[str, Estimate]:  # fmt: skip
    """What random rewards reach, and the judge's number less it: exactly where the order alone decides, else drawn."""
    balanced = ordered_rewards(items)
    exact = [own for own in heads if own.by_order and balanced is not None]
    drawn = [own for own in heads if own not in exact]
    table: dict[str, Estimate] = {}
    if balanced is not None and exact:
        said = _said(benchmark, items, judged, balanced[0])
        for own in _in_all(exact, said):
            rule = restricted(averaged([s[own.name] for s in said], balanced[1]), own)
            value = round(value_of(rule), 12)
            mine = shown[own.name]
            table[f"baseline/random/{own.name}"] = Estimate(value, n=mine.n, method="exact: every order equally often")
            table[f"advantage/random/{own.name}"] = Estimate(
                mine.value - value, mine.low - value, mine.high - value, mine.n, f"{mine.method}, less chance"
            )
    if drawn:
        draws = random_rewards(items, seed=seed)
        said = _said(benchmark, items, judged, draws)
        for own in _in_all(drawn, said):
            chance = t_interval([value_of(restricted(s[own.name], own)) for s in said])
            chance = replace(chance, n=shown[own.name].n, method=f"{len(draws)} draws of random rewards, t, 95%")
            table[f"baseline/random/{own.name}"] = chance
            less = replace(difference(shown[own.name], chance), n=chance.n)
            if math.isnan(shown[own.name].low):  # which is no certainty
                less = Estimate(less.value, n=less.n, method=shown[own.name].method)
            table[f"advantage/random/{own.name}"] = less
    return table


def _in_all(heads: Sequence[Statistic], said: Sequence[Mapping[str, Statistic]]) -> list[Statistic]:
    return [own for own in heads if all(own.name in s and not s[own.name].absent for s in said)]


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
