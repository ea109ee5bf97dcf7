"""What a run shows of itself: rewards and outcomes, what was learnt, how far the policy has gone, what it says.

Each process takes note of its own share (`Part`); the numbers are those of the parts of all of them, as one process
with the whole batch would have them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from plaudit.policy.advantages.base import Advantages
from plaudit.policy.losses.surrogates import Watched
from plaudit.policy.online.experience import Experience
from plaudit.policy.online.packing import TokenOutputs
from plaudit.rewards.base import Outcome, RewardBatch

Floats = NDArray[np.float64]
COUNTS = ("refilled", "short")
"""Metrics of a batch that are added up over processes; of all others the mean is taken."""
FILLER = "filler"
"""Marks a row that only keeps a process in step with the others: nothing is learnt from it, and it is not watched."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A process's share of a batch of completions.

    Attributes:
        columns: name to a number a completion, (n,), NaN where there is none; `kl` is the sum of a completion's
            log-ratios to the reference, nats.
        groups: (n,) the place of each completion's question, 0 to g - 1.
        distinct: (g,) share of a question's completions whose texts differ.
        metrics: of the advantages, each with how much it counts beside those of other processes: over how many
            completions, groups or tokens it is the mean.
    """

    columns: Mapping[str, Floats]
    groups: NDArray[np.int64]
    distinct: Floats
    metrics: Mapping[str, tuple[float, float]]


@final
@dataclass(frozen=True, slots=True)
class Part:
    """What one process saw since it last told.

    Attributes:
        batch: its share of a batch of completions; None where the update's was told of before.
        sums: of ratios and of what was clipped, over the update's tokens.
        entropy: sum over the same tokens, nats.
    """

    batch: Batch | None = None
    sums: Watched = field(default_factory=lambda: Watched(0.0, 0.0))
    entropy: float = 0.0


@final
class Watch:
    """Collects what one process sees of one update; `told` gives and forgets it, and `numbers_of` makes the metrics.

    Of a batch of completions:

    | name | what |
    | --- | --- |
    | `reward`, `shaped` | mean of the reward, and of what the optimiser saw, over what counts |
    | `reward_std` | mean standard deviation within groups |
    | `watched/NAME` | mean of a reward that nothing is learnt from |
    | `outcome/NAME` | share of completions with that outcome, `scored` left out |
    | `aspect/NAME`, `dominance/NAME` | mean of an aspect; its Spearman correlation with the reward |
    | `length`, `finished` | mean tokens; share that ended by themselves |
    | `sampled_tokens`, `judged` | what the batch cost: tokens sampled, completions shown to the reward |
    | `distinct` | distinct texts within a group, a share |
    | `kl` | of a completion to the reference, nats, by k1: the mean of summed log-ratios of fresh samples |
    | `included`, `silent_groups` | share that takes part; share of groups whose advantages are all 0 |

    Of the update: `entropy` (mean over tokens, nats), `ratio`, `clipped_low`, `clipped_high`.
    """

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._sums, self._entropy = Watched(0.0, 0.0), 0.0

    def collected(
        self, experience: Experience, shaped: RewardBatch, advantages: Advantages, old: Floats, ref: Floats | None, *,
        over: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Takes note of a batch of completions.

        Args:
            experience: the completions and the reward before shaping.
            shaped: after it.
            advantages: what came of it.
            old: log-probabilities of all tokens under the policy that sampled them.
            ref: under the reference; None without one.
            over: metrics of the advantages that are means over something else than completions with a reward, groups
                or tokens, to over how many.
        """
        rollouts, batch = experience.flat, experience.reward
        lengths = np.array([len(r.completion_ids) for r in rollouts], dtype=np.int64)
        columns = {
            "reward": batch.reward, "shaped": shaped.reward, "outcome": batch.outcome.astype(np.float64),
            "length": lengths.astype(np.float64), "finished": np.array([float(r.finish == "eos") for r in rollouts]),
            # estimators that wrap others tell what the inner one saw
            "included": _takes_part(advantages).astype(np.float64),
            **{f"aspect/{name}": values for name, values in batch.aspects.items()},
            **{f"watched/{name}": other.reward for name, other in experience.watched.items()},
        }  # fmt: skip
        if ref is not None:
            columns["kl"] = np.add.reduceat(old - ref, np.cumsum(lengths) - lengths)
        there = ~np.isnan(shaped.reward)
        counts = {
            "completions": float(there.sum()), "tokens": float(lengths.sum()),
            "counted tokens": float(lengths[there].sum()), "groups": float(len(experience.rollouts)),
            "groups with a reward": float(len(set(experience.groups[there].tolist()))),
        }  # fmt: skip
        metrics = {
            name: (value, (over or {}).get(name, counts[_OVER.get(name, "completions")]))
            for name, value in advantages.metrics.items()
            if name not in ("reward", "included")
        }
        distinct = np.array([len({r.sample.text for r in row}) / len(row) for row in experience.rollouts])
        self._batch = Batch(columns, experience.groups, distinct, metrics)

    def learnt(self, watched: Watched, tokens: TokenOutputs, row: Mapping[str, Any]) -> None:
        """Takes note of one row of an update, unless it is a filler."""
        if row.get(FILLER):
            return
        self._sums = self._sums + watched
        self._entropy += float(tokens.entropy.detach().sum())

    def told(self) -> Part:
        """What was seen since the last call."""
        sums = Watched(*(float(x) for x in (self._sums.tokens, self._sums.ratio, self._sums.low, self._sums.high)))
        found = Part(self._batch, sums, self._entropy)
        self._batch, self._sums, self._entropy = None, Watched(0.0, 0.0), 0.0
        return found


_OVER = {
    "silent_groups": "groups with a reward", "idle": "groups", "value_error": "counted tokens",
    "token_changes": "tokens",
}  # fmt: skip
"""What metrics of advantages are means over, where it is not the completions with a reward."""


def numbers_of(parts: Sequence[Part]) -> dict[str, float]:
    """The metrics of an update, see `Watch`; what there is no number for is left out.

    Args:
        parts: of all processes.
    """
    batches = [part.batch for part in parts if part.batch is not None]
    found = _of_batches(batches) if batches else {}
    sums, entropy = parts[0].sums, sum(part.entropy for part in parts)
    for part in parts[1:]:
        sums = sums + part.sums
    if sums.tokens:
        found |= {**sums.shares(), "entropy": entropy / float(sums.tokens)}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _of_batches(batches: Sequence[Batch]) -> dict[str, float]:
    """The numbers of a batch of which each process has a share."""
    names = dict.fromkeys(name for batch in batches for name in batch.columns)
    sizes = [len(batch.groups) for batch in batches]
    columns = {
        name: np.concatenate([b.columns.get(name, np.full(n, np.nan)) for b, n in zip(batches, sizes, strict=True)])
        for name in names
    }
    starts = np.cumsum([0, *(len(batch.distinct) for batch in batches)])
    groups = np.concatenate([batch.groups + start for batch, start in zip(batches, starts[:-1], strict=True)])
    reward = columns["reward"]
    found = {name: _mean(values) for name, values in columns.items() if name != "outcome"}
    found |= {
        "reward_std": _within(reward, groups), "sampled_tokens": float(columns["length"].sum()),
        "judged": float(reward.size), "distinct": _mean(np.concatenate([batch.distinct for batch in batches])),
    }  # fmt: skip
    found |= {
        f"outcome/{outcome.name.lower()}": float((columns["outcome"] == outcome).mean())
        for outcome in Outcome
        if outcome is not Outcome.SCORED
    }
    for name in [n for n in names if n.startswith("aspect/")]:
        found[name.replace("aspect/", "dominance/", 1)] = _together(columns[name], reward)
    for name in dict.fromkeys(name for batch in batches for name in batch.metrics):
        told = [batch.metrics[name] for batch in batches if name in batch.metrics]
        found[name] = sum(value for value, _ in told) if name in COUNTS else _weighted(told)
    return found


def _weighted(told: Sequence[tuple[float, float]]) -> float:
    """The mean of numbers with weights; of those that are not numbers nothing is taken."""
    known = [(value, weight) for value, weight in told if not math.isnan(value) and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else math.nan


def _takes_part(advantages: Advantages) -> NDArray[np.bool_]:
    there = advantages.included
    return np.asarray(there if advantages.weight is None else there & (advantages.weight > 0))


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan


def _within(values: Floats, groups: NDArray[np.int64]) -> float:
    """Mean over groups with two rewards or more of their standard deviation (dividing by the count)."""
    there = ~np.isnan(values)
    sizes = Counter(groups[there].tolist())
    found = [float(values[there & (groups == g)].std()) for g, n in sizes.items() if n > 1]
    return float(np.mean(found)) if found else math.nan


def _together(values: Floats, reward: Floats) -> float:
    both = ~np.isnan(values) & ~np.isnan(reward)
    if both.sum() < 3 or np.ptp(values[both]) == 0 or np.ptp(reward[both]) == 0:
        return math.nan
    return float(spearmanr(values[both], reward[both]).statistic)


__all__ = ["FILLER", "Batch", "Part", "Watch", "numbers_of"]
