"""Where two rewards of language disagree, and what following one costs in the other.

Everything is within prompts: a shift a prompt is no difference. Completions that one of the two cannot judge are left
out for both, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.evaluation.distances.prompts import prompt_distance
from plaudit.evaluation.strata import flat, without_interval
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, RewardBatch
from plaudit.search.best_of_n import best_of_n_values
from plaudit.search.selection import group_of
from plaudit.stats.bootstrap import bootstrap_mean, bootstrap_totals
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.correlation import within_group_correlation, within_group_std
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import wilson

Floats = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Disagreement:
    """A pair of completions of one prompt that the two rewards order oppositely.

    Attributes:
        by_a: row of the one that A prefers.
        by_b: row of the one that B prefers.
        margin_a: A's difference, in A's standard deviations within prompts.
        margin_b: B's difference, in B's.
    """

    by_a: int
    by_b: int
    margin_a: float
    margin_b: float


@dataclass(frozen=True)
class RewardComparison:
    """Two rewards A and B on the same completions.

    Numbers of best-of-n are estimated without bias from pools of completions up to n = pool, but beyond a quarter of
    the pool they rest on the few best completions of each prompt, and their intervals, which resample prompts, are
    rough.

    Attributes:
        n_samples: completions given.
        n_used: completions that both judge, in prompts with at least two of them.
        n_prompts: those prompts.
        pool: completions that both judge of such a prompt, the median.
        outcomes: completions without a reward by side and outcome, as `a: abstained`.
        correlation: within prompts.
        rank_correlation: of ranks within prompts.
        distance: STARC's, 0 to 2, see `prompt_distance`.
        reversed_pairs: share of pairs of one prompt that the two order oppositely.
        tied_pairs: share of pairs that exactly one of the two ties.
        costs: n to what best-of-n by A loses in B of what best-of-n by B reaches, in B's standard deviations; and the
            same the other way round.
        kept: n to the share of B's gain over a random completion that best-of-n by A keeps: 1 all, 0 none, below 0
            worse than random; and the other way round.
        groups: column and value to correlation and share of reversed pairs among the completions that have it.
        top: the pairs that both tell apart most and order oppositely, the most first.
    """

    n_samples: int
    n_used: int
    n_prompts: int
    pool: int
    outcomes: dict[str, int]
    correlation: Estimate
    rank_correlation: Estimate
    distance: Estimate
    reversed_pairs: Estimate
    tied_pairs: Estimate
    costs: dict[int, tuple[Estimate, Estimate]]
    kept: dict[int, tuple[Estimate, Estimate]]
    groups: dict[tuple[str, str], tuple[Estimate, Estimate]]
    top: tuple[Disagreement, ...]


def compare_rewards(
    samples: Sequence[Sample],
    a: RewardBatch,
    b: RewardBatch,
    *,
    by: Sequence[str] = (),
    top: int = 5,
    min_group: int = 20,
    seed: int = 0,
    resamples: int = 2000,
) -> RewardComparison:
    """Compares two rewards on completions, several a prompt.

    Args:
        samples: n completions; the same `group` (or prompt) belongs together.
        a: rewards of one, in the same order.
        b: rewards of the other.
        by: meta columns to compare by; completions of one value are compared with each other only.
        top: how many disagreements to keep, one a prompt.
        min_group: values of a column with fewer completions are pooled.
        seed: of the bootstraps over prompts.
        resamples: of the bootstraps.

    Raises:
        ShapeError: if there are not as many rewards as samples.
        InputError: if no prompt has two completions that both judge, no sample has a column, or `top` is negative.
    """
    if not len(samples) == len(a) == len(b):
        raise ShapeError(f"compare: {len(samples)} samples, {len(a)} and {len(b)} rewards; score every sample twice")
    if top < 0:
        raise InputError(f"compare: top is {top}; give the number of disagreements to show, 0 for none")
    codes = cluster_codes([group_of(s) for s in samples], len(samples))
    both = a.valid & b.valid
    used = both & (np.bincount(codes[both], minlength=codes.max() + 1)[codes] > 1) if len(samples) else both
    if not used.any():
        raise InputError("compare: no prompt has two completions that both rewards judge; give several a prompt")
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    at = np.flatnonzero(used)
    x, y, g = a.reward[at], b.reward[at], np.unique(codes[at], return_inverse=True)[1]
    std = within_group_std(x, g, resamples=1).value, within_group_std(y, g, resamples=1).value
    pairs = _pairs(x, y, g)
    costs, kept = _best_of_n(x, y, g, std, options)
    return RewardComparison(
        n_samples=len(samples), n_used=at.size, n_prompts=int(g.max()) + 1, pool=int(np.median(np.bincount(g))),
        outcomes=_outcomes(a, b),
        correlation=without_interval(within_group_correlation(x, y, g, **options)),
        rank_correlation=without_interval(within_group_correlation(x, y, g, rank=True, **options)),
        distance=without_interval(prompt_distance(x, y, g, **options)),
        reversed_pairs=_share(pairs[:, 0], pairs[:, 2], options), tied_pairs=_share(pairs[:, 1], pairs[:, 2], options),
        costs=costs, kept=kept,
        groups=_by_columns([samples[int(i)] for i in at], x, y, g, by, min_group, options),
        top=_top(x, y, g, at, std, top),
    )  # fmt: skip


def comparison_metrics(found: RewardComparison) -> dict[str, Estimate]:
    """The numbers of a comparison by name, for tables and `--json`.

    Args:
        found: a comparison.

    Returns:
        `correlation`, `rank_correlation`, `distance`, `reversed_pairs`, `tied_pairs`, then `cost_in_b/best_of_N`,
        `kept_in_b/best_of_N`, the same in a, and `correlation/COLUMN=VALUE`, `reversed_pairs/COLUMN=VALUE`.
    """
    names = ("correlation", "rank_correlation", "distance", "reversed_pairs", "tied_pairs")
    table: dict[str, Estimate] = {name: getattr(found, name) for name in names}
    for side, place in (("b", 0), ("a", 1)):
        for n in found.costs:
            table[f"cost_in_{side}/best_of_{n}"] = found.costs[n][place]
            table[f"kept_in_{side}/best_of_{n}"] = found.kept[n][place]
    for (column, value), (correlation, reverse) in found.groups.items():
        table[f"correlation/{column}={value}"] = correlation
        table[f"reversed_pairs/{column}={value}"] = reverse
    return table


def _pairs(x: Floats, y: Floats, g: Int[np.ndarray, " n"]) -> Float[np.ndarray, "k 3"]:
    """Of each prompt: pairs in opposite orders, pairs that one reward ties, pairs."""
    counts = np.zeros((int(g.max()) + 1, 3))
    for k, rows in enumerate(_rows(g)):
        one, two = (np.sign(np.subtract.outer(v[rows], v[rows])) for v in (x, y))
        counts[k] = (one * two < 0).sum() / 2, ((one == 0) ^ (two == 0)).sum() / 2, rows.size * (rows.size - 1) / 2
    return counts


def _share(part: Floats, whole: Floats, options: dict[str, Any]) -> Estimate:
    """A ratio of sums over prompts; Wilson's interval where all prompts agree."""
    k = int((whole > 0).sum())
    found = bootstrap_totals(lambda t: np.asarray(t[:, 0] / t[:, 1]), [part, whole], **options)
    return wilson(k * found.value, k) if found.value in (0.0, 1.0) or flat(found) else found


def _best_of_n(
    x: Floats, y: Floats, g: Int[np.ndarray, " n"], std: tuple[float, float], options: dict[str, Any]
) -> tuple[dict[int, tuple[Estimate, Estimate]], dict[int, tuple[Estimate, Estimate]]]:
    """Costs and kept shares, in B by A and in A by B, for n = 2, 4, ... up to the median pool."""
    rows = _rows(g)
    sizes = np.array([r.size for r in rows])
    largest = int(np.median(sizes))
    ns = [2**i for i in range(1, 11) if 2**i <= largest]
    table = np.full((2, len(rows), sizes.max()), np.nan)
    for k, r in enumerate(rows):
        table[:, k, : r.size] = x[r], y[r]
    costs: dict[int, tuple[Estimate, Estimate]] = {}
    kept: dict[int, tuple[Estimate, Estimate]] = {}
    for n in ns:
        deep = table[:, sizes >= n]
        ways = []
        for by, of, scale in ((0, 1, std[1]), (1, 0, std[0])):
            reached, best, random = (
                best_of_n_values(deep[p], deep[of], [m], strict=False)[:, 0] for p, m in ((by, n), (of, n), (of, 1))
            )
            cost = bootstrap_mean((best - reached) / scale if scale > 0 else np.zeros_like(best), **options)
            kept_share = bootstrap_totals(_ratio, [reached - random, best - random], **options)
            ways.append((without_interval(cost), without_interval(kept_share)))
        costs[n], kept[n] = (ways[0][0], ways[1][0]), (ways[0][1], ways[1][1])
    return costs, kept


def _ratio(totals: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " r"]:
    return np.asarray(totals[:, 0] / np.where(totals[:, 1] > 0, totals[:, 1], np.nan))


def _by_columns(
    samples: Sequence[Sample], x: Floats, y: Floats, g: Int[np.ndarray, " n"], by: Sequence[str], min_group: int,
    options: dict[str, Any],
) -> dict[tuple[str, str], tuple[Estimate, Estimate]]:  # fmt: skip
    found = {}
    for column in by:
        raw = [s.meta.get(column) for s in samples]
        if all(v is None for v in raw):
            known = sorted({k for s in samples for k in s.meta})
            raise InputError(f"--by: no sample has a column {column!r}; {nearest(column, known)}")
        texts = ["(not given)" if v is None else str(v) for v in raw]
        size = Counter(texts)
        values = np.array([t if size[t] >= min_group else f"(fewer than {min_group} samples)" for t in texts])
        for value in sorted(set(values.tolist())):
            at = values == value
            at &= np.bincount(g[at], minlength=g.max() + 1)[g] > 1
            if not at.any():
                nothing = Estimate(float("nan"), n=0, method="no prompt with two completions")
                found[column, value] = (nothing, nothing)
                continue
            codes = np.unique(g[at], return_inverse=True)[1]
            pairs = _pairs(x[at], y[at], codes)
            correlation = without_interval(within_group_correlation(x[at], y[at], codes, **options))
            found[column, value] = (correlation, _share(pairs[:, 0], pairs[:, 2], options))
    return found


def _top(
    x: Floats, y: Floats, g: Int[np.ndarray, " n"], at: Int[np.ndarray, " n"], std: tuple[float, float], top: int
) -> tuple[Disagreement, ...]:
    """One pair a prompt: the one whose smaller margin is largest."""
    if min(std) <= 0:
        return ()
    found = []
    for rows in _rows(g):
        one, two = (np.subtract.outer(v[rows], v[rows]) / s for v, s in zip((x, y), std, strict=True))
        strength = np.where((one > 0) & (two < 0), np.minimum(one, -two), 0.0)
        i, j = np.unravel_index(int(strength.argmax()), strength.shape)
        if strength[i, j] > 0:
            pair = Disagreement(int(at[rows[i]]), int(at[rows[j]]), float(one[i, j]), float(-two[i, j]))
            found.append((float(strength[i, j]), pair))
    found.sort(key=lambda item: -item[0])
    return tuple(pair for _, pair in found[:top])


def _rows(g: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
    order = np.argsort(g, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(g[order])) + 1))


def _outcomes(a: RewardBatch, b: RewardBatch) -> dict[str, int]:
    """Outcomes without a reward, by side; only those that occur."""
    return {
        f"{name}: {o.name.lower()}": int((batch.outcome == o).sum())
        for name, batch in (("a", a), ("b", b))
        for o in Outcome
        if o > Outcome.POLICY_FAULT and (batch.outcome == o).any()
    }
