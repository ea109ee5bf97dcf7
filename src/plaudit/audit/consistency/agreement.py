"""Agreement between rewards: several that are given, or the members of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.ground import shown
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.scored import Scored
from plaudit.records.rows import Pair
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward
from plaudit.stats.intervals import proportion

Floats = NDArray[np.float64]


def agreement(
    pairs: Sequence[Pair], rewards: Mapping[str, Reward] | Reward, *, threshold: float = 0.6, seed: int = 0,
    resamples: int = 2000,
) -> Check:  # fmt: skip
    """Mean share of pairs that two of the rewards order alike, over all couples of rewards; a tie counts half.

    Rewards that have nothing to do with each other are at one half; the threshold is ten points above. Two rewards of
    accuracy a and b whose errors are independent agree on `a b + (1 - a)(1 - b)`: 0.625 for two of 0.75.

    Args:
        pairs: held-out pairs.
        rewards: name to reward, two or more; or one reward whose batches have `members`.
        threshold: share of pairs, harmful below.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    name, says = "consistency/agreement", "mean share of pairs that two of the rewards order alike"
    samples = [s for p in pairs for s in p.samples()]
    if isinstance(rewards, Mapping):
        names = list(rewards)
        columns = [Scored.wrap(r)(samples).reward for r in rewards.values()]
    else:
        members = Scored.wrap(rewards)(samples).members
        columns = [] if members is None else list(members.T)
        names = [f"member {k + 1}" for k in range(len(columns))]
    if len(columns) < 2:
        why = "the reward has no members, and no other reward was given"
        return not_measured(name, says, why, fix="give several rewards of the same task")
    margin = np.stack([c[0::2] - c[1::2] for c in columns])
    couples = list(combinations(range(len(columns)), 2))
    alike = np.stack([(np.sign(margin[a]) * np.sign(margin[b]) + 1) / 2 for a, b in couples])
    # a mean over couples of each pair: a pair that one reward cannot judge leaves only that reward's couples
    counted = np.isfinite(alike)
    share = np.where(counted.any(axis=0), np.nansum(alike, axis=0) / np.maximum(counted.sum(axis=0), 1), np.nan)
    spread = np.where(np.isnan(share), np.inf, share)
    order = [int(i) for i in np.argsort(spread, kind="stable") if share[i] < 1][:5]
    examples = tuple(
        Example(shown(pairs[i].prompt), samples[2 * i].text, samples[2 * i + 1].text, float(np.nanmax(margin[:, i])),
                float(np.nanmin(margin[:, i])), "rewards: largest and smallest margin among " + ", ".join(names[:6]))
        for i in order
    )  # fmt: skip
    evidence = proportion(share, [prompt_key(p) for p in pairs], seed=seed, resamples=resamples)
    return Check(
        name, says, evidence, threshold, "below", examples, int(np.isnan(share).sum()),
        fix="Where they disagree, let people judge; combine them only where they agree.",
    )  # fmt: skip
