"""How hard each prompt's demonstrations are for the policy, and how large the reward's gap is: what `grpo-s` reads.

Differs from the paper: both are made once a round, of the samples that the reward has learnt from, and not for every
batch; with several demonstrations and samples of a prompt they are means over all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from plaudit.policy.online.inverse.demonstrations import Demonstrated
from plaudit.policy.online.selfplay.subjects import trigrams
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward
from plaudit.shaping.groups.difficulty import data_hardness
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
Embedding = Callable[[Sequence[str]], Floats]
"""From n texts to (n, d), near where they mean the same."""
_ENDS = re.compile(r"(?<=[.!?;:])\s+|\n+")


def clauses(text: str) -> list[str]:
    """The clauses of a text: what stands between ends of sentences, semicolons, colons and lines; at least one."""
    found = [part.strip() for part in _ENDS.split(text) if part.strip()]
    return found or [text]


def prompt_difficulty(
    demonstrated: Sequence[Demonstrated], sampled: Sequence[Sequence[Sample]], *, reward: Reward,
    embedding: Embedding = trigrams,
) -> tuple[Floats, Floats]:  # fmt: skip
    """`hardness` and `gap` of each prompt.

    Args:
        demonstrated: p prompts with demonstrations.
        sampled: for each the policy's samples, at least one.
        reward: the round's.
        embedding: of clauses.

    Returns:
        (p,) `data_hardness` of clauses, a mean over pairs of a demonstration and a sample, in [0, 1] where no cosine is
        negative; (p,) the mean reward of demonstrations less that of samples, NaN where either has none.
    """
    shown = [one.samples() for one in demonstrated]
    hardness = [
        float(np.mean([data_hardness(a, b) for a in _embedded(d, embedding) for b in _embedded(s, embedding)]))
        for d, s in zip(shown, sampled, strict=True)
    ]
    flat = [x for d, s in zip(shown, sampled, strict=True) for x in (*d, *s)]
    worth, at, gap = reward(flat).reward, 0, []
    for d, s in zip(shown, sampled, strict=True):
        mine, theirs = worth[at : at + len(d)], worth[at + len(d) : at + len(d) + len(s)]
        at += len(d) + len(s)
        gap.append(_mean(mine) - _mean(theirs))
    return np.array(hardness), np.array(gap)


def mean_gap(worth: Floats, shown: NDArray[np.bool_], prompt: Sequence[str], *, seed: int = 0) -> Estimate:
    """Mean over prompts of the mean reward of demonstrations less that of samples.

    Args:
        worth: (n,) rewards, NaN where there is none: it leaves its mean, and a prompt without either leaves the gap.
        shown: (n,) True for demonstrations.
        prompt: (n,) labels; the interval resamples them.
        seed: of the resampling.
    """
    code, there = cluster_codes(list(prompt), len(prompt)), ~np.isnan(worth)

    def mean(kind: NDArray[np.bool_]) -> Floats:
        count = np.bincount(code, weights=kind & there)
        total = np.bincount(code, weights=np.where(kind & there, worth, 0.0))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    gaps = mean(shown) - mean(~shown)
    return bootstrap_mean(gaps, np.arange(len(gaps)), seed=seed)


def _embedded(samples: Sequence[Sample], embedding: Embedding) -> list[Floats]:
    """The clauses of each sample, embedded."""
    return [np.asarray(embedding(clauses(sample.text)), dtype=np.float64) for sample in samples]


def _mean(values: Floats) -> float:
    """Of what is there; NaN where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


__all__ = ["Embedding", "clauses", "mean_gap", "prompt_difficulty"]
