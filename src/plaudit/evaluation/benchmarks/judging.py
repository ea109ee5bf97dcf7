"""What a judge says of items: rewards of candidates, or preferences of pairs in both orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.baselines import markdown_marks
from plaudit.evaluation.benchmarks.items import Benchmark, Item
from plaudit.rewards.base import Comparison, Outcome, Reward, RewardBatch
from plaudit.rewards.scoring import score_samples

Floats = NDArray[np.float64]
CHUNK = 256
"""Pairs a call of a comparison."""
DRAWS = 400
"""Most random judgements that the rule `random` averages."""


@dataclass(frozen=True)
class Judged:
    """What a judge said of n items.

    Attributes:
        rewards: for each item the rewards of its k candidates, NaN where the outcome does not count; None for a
            comparison.
        orders: for each item (2, p): probability that a pair's first is better, with the first shown first, then
            second; NaN where the outcome does not count; None for a reward.
        ties: for each item (p,) probability of a tie, mean of both orders, where the comparison says it.
        outcomes: for each item the outcomes of its candidates (k,), or of its pairs in both orders (2 p,).
        steps: for each item and candidate the rewards of its steps, or None.
        said: for each item and candidate what the judge gave as detail.
        bounds: lowest and highest reward.
        log_odds_per_unit: where differences of rewards are log-odds.
        threshold: reward from which on a verdict is "right"; None for the middle of the bounds.
        name: of the judge.
        stored: whether these are the judgements that the files hold.
        states: (m, d) hidden states of all candidates, item by item, where the benchmark reads them; None elsewhere.
    """

    rewards: tuple[Floats, ...] | None
    orders: tuple[Floats, ...] | None = None
    ties: tuple[Floats, ...] | None = None
    outcomes: tuple[NDArray[np.int8], ...] = ()
    steps: tuple[tuple[Floats, ...] | None, ...] = ()
    said: tuple[tuple[Mapping[str, object], ...], ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)
    log_odds_per_unit: float | None = None
    threshold: float | None = None
    name: str = "judge"
    stored: bool = False
    states: Floats | None = None

    def margins(self, items: Sequence[Item]) -> list[Floats]:
        """For each item (p,): first minus second of its pairs; NaN where either is unknown.

        For a reward in its units. For a comparison the mean of both orders minus one half: an order-dependent judge
        that says "the first one" both times has margin 0, a tie.
        """
        if self.rewards is not None:
            return [
                np.array([r[i] - r[j] for i, j in item.pairs], np.float64)
                for r, item in zip(self.rewards, items, strict=True)
            ]
        assert self.orders is not None
        return [np.asarray(o.mean(axis=0) - 0.5) for o in self.orders]


def judge_items(
    judge: Reward | Comparison, items: Sequence[Item], *, benchmark: Benchmark | None = None,
    log: str | Path | None = None, threshold: float | None = None,
) -> Judged:  # fmt: skip
    """Scores every candidate, or compares every pair of every item in both orders.

    Args:
        judge: a reward or a comparison.
        items: of a benchmark.
        benchmark: which one, to refuse what it cannot take.
        log: durable log of rewards.
        threshold: reward from which on a verdict is "right", for benchmarks of verdicts.

    Raises:
        InputError: if the benchmark takes no such judge (before anything is scored), a threshold is given that nothing
            reads, an answer has no prompt, or a log is asked for with what is no reward of a sample.
    """
    kind = "reward" if isinstance(judge, Reward) else "comparison"
    if benchmark is not None and kind not in benchmark.takes:
        needs = " or ".join(benchmark.takes)
        raise InputError(f"{benchmark.name}: needs a {needs}, and {judge.name} is a {kind}")
    if benchmark is not None and threshold is not None and not (benchmark.verdicts and kind == "reward"):
        raise InputError(f"{benchmark.name}: reads no verdicts of a {kind}, so a threshold has no effect; leave it out")
    if benchmark is not None and benchmark.check is not None:
        known = judge.bounds if isinstance(judge, Reward) else (0.0, 1.0)
        scale = getattr(judge, "log_odds_per_unit", None)
        rewards = () if isinstance(judge, Reward) else None
        benchmark.check(Judged(rewards, bounds=known, log_odds_per_unit=scale, threshold=threshold, name=judge.name))
    bare = sum(not sample.prompt for item in items for sample in item.samples)
    if bare:
        raise InputError(
            f"{benchmark.name if benchmark else judge.name}: {bare} answers have no prompt, so no judge can be asked; "
            "give the data set's rows, which have them, as another --data, or leave --reward out for stored judgements"
        )
    if benchmark is not None and benchmark.ask is not None:
        if log is not None:
            raise InputError(f"{benchmark.name}: reads more than rewards, and the log keeps no more; leave it out")
        return benchmark.ask(judge, items)
    if isinstance(judge, Reward):
        return _scored(judge, items, log, threshold)
    if log is not None:
        raise InputError(f"{judge.name}: compares pairs, and the log keeps rewards of samples; leave it out")
    return _compared(judge, items)


def _scored(reward: Reward, items: Sequence[Item], log: str | Path | None, threshold: float | None) -> Judged:
    flat = [sample for item in items for sample in item.samples]
    batch = score_samples(reward, flat, log=None if reward.scope == "batch" else log)
    parts = _split(batch, [len(item.samples) for item in items])
    return Judged(
        rewards=tuple(p.reward for p in parts), outcomes=tuple(p.outcome for p in parts),
        steps=tuple(p.steps for p in parts), said=tuple(p.detail for p in parts), bounds=reward.bounds,
        log_odds_per_unit=getattr(reward, "log_odds_per_unit", None), threshold=threshold, name=reward.name,
    )  # fmt: skip


def _split(batch: RewardBatch, sizes: Sequence[int]) -> list[RewardBatch]:
    ends = np.cumsum(sizes)
    return [batch.take(range(int(e) - k, int(e))) for k, e in zip(sizes, ends, strict=True)]


def _compared(comparison: Comparison, items: Sequence[Item]) -> Judged:
    firsts = [item.samples[i] for item in items for i, _ in item.pairs]
    seconds = [item.samples[j] for item in items for _, j in item.pairs]
    n = len(firsts)
    sides = ([*firsts, *seconds], [*seconds, *firsts])  # every pair in both orders
    probability, outcome, tie = [], [], []
    for start in range(0, 2 * n, CHUNK):
        part = slice(start, start + CHUNK)
        said = comparison(sides[0][part], sides[1][part])
        expected = len(sides[0][part])
        if len(said.probability) != expected:
            raise ShapeError(
                f"{comparison.name}: gave {len(said.probability)} preferences for {expected} pairs; give one each"
            )
        counted = np.asarray(said.outcome) <= Outcome.POLICY_FAULT
        p = np.asarray(said.probability, np.float64)
        if (counted & ~((p >= 0) & (p <= 1))).any():
            bad = p[counted & ~((p >= 0) & (p <= 1))][0]
            raise InputError(f"{comparison.name}: gave the probability {bad}; it must lie in [0, 1] where it counts")
        probability.append(np.where(counted, p, math.nan))
        outcome.append(np.asarray(said.outcome, np.int8))
        tie.append(np.full(expected, math.nan) if said.tie is None else np.asarray(said.tie, np.float64))
    p, o, t = (np.concatenate(x) if x else np.zeros(0) for x in (probability, outcome, tie))
    ends = np.cumsum([len(item.pairs) for item in items]).tolist()
    spans = [(e - len(item.pairs), e) for item, e in zip(items, ends, strict=True)]
    orders = tuple(np.stack([p[a:b], 1 - p[n + a : n + b]]) for a, b in spans)
    return Judged(
        rewards=None, orders=orders, ties=tuple((t[a:b] + t[n + a : n + b]) / 2 for a, b in spans),
        outcomes=tuple(np.concatenate([o[a:b], o[n + a : n + b]]).astype(np.int8) for a, b in spans),
        steps=tuple(None for _ in items), said=tuple(() for _ in items), bounds=(0.0, 1.0), name=comparison.name,
    )  # fmt: skip


def fixed(
    rewards: Sequence[Sequence[float] | Floats],
    *,
    name: str = "given",
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Judged:
    """Rewards that are already there, as what a judge said; NaN is an abstention.

    Args:
        rewards: for each item its candidates' rewards.
        name: of whoever gave them.
        bounds: lowest and highest reward.
    """
    arrays = tuple(np.asarray(r, np.float64) for r in rewards)
    outcomes = tuple(np.where(np.isnan(r), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8) for r in arrays)
    none = tuple(None for _ in arrays)
    said: tuple[tuple[Mapping[str, object], ...], ...] = tuple(tuple({} for _ in r) for r in arrays)
    return Judged(arrays, outcomes=outcomes, steps=none, said=said, name=name, bounds=bounds)


def as_comparison(judged: Judged, items: Sequence[Item]) -> Judged:
    """Rewards as a comparison that is certain: probability 1, one half (a tie) or 0 in both orders.

    Args:
        judged: rewards of every candidate.
        items: the items that they are of.
    """
    margins = judged.margins(items)
    sides = [np.where(np.isnan(m), math.nan, (np.sign(m) + 1) / 2) for m in margins]
    outcomes = tuple(np.where(np.isnan(p), Outcome.ABSTAINED, Outcome.SCORED).astype(np.int8).repeat(2) for p in sides)
    ties = tuple(np.asarray(p == 0.5, np.float64) for p in sides)
    orders = tuple(np.stack([p, p]) for p in sides)
    return replace(judged, rewards=None, orders=orders, ties=ties, outcomes=outcomes, bounds=(0.0, 1.0))


def text_rules(items: Sequence[Item], *, listed: bool = False) -> dict[str, Judged]:
    """Rewards that never read the text: longer, shorter, more and less markdown, and the first listed.

    Args:
        items: of a benchmark.
        listed: whether the order of candidates in the file is open.
    """
    length = [np.array([len(s.text) for s in item.samples], np.float64) for item in items]
    marks = [np.array([markdown_marks(s.text) for s in item.samples], np.float64) for item in items]
    rules = {
        "longer": fixed(length, name="longer"),
        "shorter": fixed([-x for x in length], name="shorter"),
        "more markdown": fixed(marks, name="more markdown"),
        "less markdown": fixed([-x for x in marks], name="less markdown"),
    }
    if listed:
        rules["first listed"] = fixed([-np.arange(float(len(item.samples))) for item in items], name="first listed")
    return rules


def random_rewards(items: Sequence[Item], *, seed: int = 0) -> list[Judged]:
    """Draws of uniform rewards in (0, 1) of every candidate: the more, the fewer candidates there are (5 to 400).

    Args:
        items: of a benchmark.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    sizes = [len(item.samples) for item in items]
    draws = min(max(100_000 // max(sum(sizes), 1), 5), DRAWS)
    return [fixed([rng.random(k) for k in sizes], name="random", bounds=(0.0, 1.0)) for _ in range(draws)]


def ordered_rewards(items: Sequence[Item]) -> tuple[list[Judged], NDArray[np.bool_]] | None:
    """Rewards that give every candidate of an item every rank equally often, and every pair both orders.

    The k cyclic shifts of 0..k-1, each also upside down: 2k draws for an item of k candidates. The mean over an item's
    draws of whatever depends on one candidate's rank, or on the order of one pair, is its expectation under random
    rewards, exactly: 1/2 for a pair, g/k for the best of k of which g are right.

    Args:
        items: of a benchmark.

    Returns:
        The draws, and which of them count for each item, (draws, n); None where an item has so many candidates that
        there would be too many draws.
    """
    sizes = [len(item.samples) for item in items]
    draws = 2 * max(sizes, default=0)
    if draws > DRAWS:
        return None
    judged = []
    for d in range(draws):
        up = [np.asarray((np.arange(k) + d // 2) % k, dtype=np.float64) for k in sizes]
        ranks = [np.asarray(k - 1.0 - r if d % 2 else r) for k, r in zip(sizes, up, strict=True)]
        judged.append(fixed(ranks, name="random", bounds=(0.0, float(max(sizes)))))
    return judged, np.arange(draws)[:, None] < 2 * np.array(sizes)
