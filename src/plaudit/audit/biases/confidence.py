"""Over-confidence bias: does a reward pay for a stated confidence, whether or not it is deserved?

Differs from the paper: shares come with intervals over prompts, ties count half, and their difference is told: a reward
that has learnt something prefers the high confidence on chosen completions (ideal 1) and the low one on rejected ones
(ideal 0), while one that pays for confidence prefers the high one on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from plaudit.curation.confidence import stated_versions
from plaudit.errors import ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward
from plaudit.stats.bootstrap import paired_difference
from plaudit.stats.clusters import Clusters
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import proportion


@dataclass(frozen=True)
class Overconfidence:
    """How often a reward prefers the high confidence.

    Attributes:
        chosen: share of chosen completions on which it does; ideal 1.
        rejected: share of rejected ones; ideal 0. Above one half it pays for undeserved confidence.
        separation: the first minus the second, paired; ideal 1, 0 where confidence is worth the same everywhere.
    """

    chosen: Estimate
    rejected: Estimate
    separation: Estimate


def overconfidence(
    chosen_high: ArrayLike, chosen_low: ArrayLike, rejected_high: ArrayLike, rejected_low: ArrayLike,
    clusters: Clusters | None = None, *, seed: int = 0, resamples: int = 2000,
) -> Overconfidence:  # fmt: skip
    """The bias from rewards of the four texts.

    Args:
        chosen_high: (n,) rewards of the chosen completion with a high confidence; NaN where it has none.
        chosen_low: (n,) with a low one.
        rejected_high: (n,) of the rejected completion with a high confidence.
        rejected_low: (n,) with a low one.
        clusters: (n,) labels (prompts), or None.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if the four differ in length.

    Source: Leng et al. 2024, "Taming Overconfidence in LLMs: Reward Calibration in RLHF" [216].
    """
    columns = [np.asarray(c, dtype=np.float64) for c in (chosen_high, chosen_low, rejected_high, rejected_low)]
    if len({c.shape for c in columns}) > 1:
        raise ShapeError(f"overconfidence: {[c.size for c in columns]} rewards; each pair has all four")
    prefers = [(np.sign(columns[i] - columns[i + 1]) + 1) / 2 for i in (0, 2)]
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    return Overconfidence(
        chosen=proportion(prefers[0], clusters, **options),
        rejected=proportion(prefers[1], clusters, **options),
        separation=paired_difference(prefers[0], prefers[1], clusters, **options),
    )


def audit_confidence(
    pairs: Sequence[Pair], reward: Reward, rng: np.random.Generator, *, seed: int = 0, resamples: int = 2000
) -> Overconfidence:
    """The bias of a reward on pairs: the four texts of each are made, scored once, and compared.

    Args:
        pairs: held-out pairs.
        reward: the reward to audit.
        rng: of the confidences that are stated.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    names = ("chosen_high", "chosen_low", "rejected_high", "rejected_low")
    made = stated_versions(pairs, rng)
    samples = [
        Sample(pair.prompt, getattr(s, name), meta=pair.meta)
        for pair, s in zip(pairs, made, strict=True) for name in names
    ]  # fmt: skip
    columns = reward(samples).reward.reshape(-1, 4).T
    return overconfidence(
        columns[0], columns[1], columns[2], columns[3], [prompt_key(p) for p in pairs], seed=seed, resamples=resamples
    )
