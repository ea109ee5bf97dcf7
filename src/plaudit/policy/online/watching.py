"""What a run shows of itself: rewards and outcomes, what was learnt, how far the policy has gone, what it says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from plaudit.policy.advantages.base import Advantages
from plaudit.policy.losses.surrogates import Watched
from plaudit.policy.online.experience import Experience
from plaudit.policy.online.packing import TokenOutputs
from plaudit.rewards.base import Outcome, RewardBatch

COUNTS = ("sampled_tokens", "judged", "refilled", "short")
"""Numbers that are added up over processes; of all others the mean is taken."""


@final
class Watch:
    """Collects numbers of one update; `told` gives and forgets them.

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
        self._batch: dict[str, float] = {}
        self._sums: Watched | None = None
        self._entropy, self._tokens = 0.0, 0

    def collected(
        self, experience: Experience, shaped: RewardBatch, advantages: Advantages, old: NDArray[np.float64],
        ref: NDArray[np.float64] | None,
    ) -> None:  # fmt: skip
        """Takes note of a batch of completions.

        Args:
            experience: the completions and the reward before shaping.
            shaped: after it.
            advantages: what came of it.
            old: log-probabilities of all tokens under the policy that sampled them.
            ref: under the reference; None without one.
        """
        rollouts, batch = experience.flat, experience.reward
        found = {
            "reward": _mean(batch.reward),
            "shaped": _mean(shaped.reward),
            "reward_std": _within(batch.reward, experience.groups),
            "length": float(np.mean([len(r.completion_ids) for r in rollouts])),
            "sampled_tokens": float(sum(len(r.completion_ids) for r in rollouts)),
            "judged": float(len(rollouts)),
            "finished": float(np.mean([r.finish == "eos" for r in rollouts])),
            "distinct": float(np.mean([len({r.sample.text for r in row}) / len(row) for row in experience.rollouts])),
            **{k: v for k, v in advantages.metrics.items() if k != "reward"},
            "included": float(
                _takes_part(advantages).mean()
            ),  # estimators that wrap others tell what the inner one saw
        }
        for outcome in Outcome:
            if outcome is not Outcome.SCORED:
                found[f"outcome/{outcome.name.lower()}"] = float((batch.outcome == outcome).mean())
        for name, values in batch.aspects.items():
            found[f"aspect/{name}"] = _mean(values)
            found[f"dominance/{name}"] = _together(values, batch.reward)
        for name, other in experience.watched.items():
            found[f"watched/{name}"] = _mean(other.reward)
        if ref is not None:
            found["kl"] = float((old - ref).sum() / len(rollouts))
        self._batch = {name: value for name, value in found.items() if not math.isnan(value)}

    def learnt(self, watched: Watched, tokens: TokenOutputs, row: Mapping[str, Any]) -> None:
        """Takes note of one row of an update."""
        del row
        self._sums = watched if self._sums is None else self._sums + watched
        self._entropy += float(tokens.entropy.detach().sum())
        self._tokens += int(tokens.entropy.numel())

    def told(self) -> dict[str, float]:
        """The numbers since the last call."""
        found = dict(self._batch)
        if self._sums is not None and self._tokens:
            found |= {**self._sums.shares(), "entropy": self._entropy / self._tokens}
        self._batch, self._sums, self._entropy, self._tokens = {}, None, 0.0, 0
        return found


def _takes_part(advantages: Advantages) -> NDArray[np.bool_]:
    there = advantages.included
    return np.asarray(there if advantages.weight is None else there & (advantages.weight > 0))


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan


def _within(values: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Mean over groups with two rewards or more of their standard deviation (dividing by the count)."""
    there = ~np.isnan(values)
    sizes = Counter(groups[there].tolist())
    found = [float(values[there & (groups == g)].std()) for g, n in sizes.items() if n > 1]
    return float(np.mean(found)) if found else math.nan


def _together(values: NDArray[np.float64], reward: NDArray[np.float64]) -> float:
    both = ~np.isnan(values) & ~np.isnan(reward)
    if both.sum() < 3 or np.ptp(values[both]) == 0 or np.ptp(reward[both]) == 0:
        return math.nan
    return float(spearmanr(values[both], reward[both]).statistic)


__all__ = ["COUNTS", "Watch"]
