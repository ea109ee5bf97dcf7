"""Counterfactual effect sizes: the same completion with one surface feature added, scored by the same reward.

`effect = mean(r(x') - r(x)) / s_r - mean(U(x') - U(x)) / s_U` with s the pooled standard deviation within
prompts. The interval resamples prompts and recomputes s_r in every resample, so the unit's own uncertainty is
in it.

**Longer is not flattering.** Every added phrase is also so many characters, and a reward that counts characters would
be called a lover of hedges, manners and flattery as well. `net` takes off what as many characters of neutral words are
worth, by the mean effect a character of the `length` rewrite (of the true reward likewise).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.biases.results import BiasAudit, BiasEffect, GroupGap
from plaudit.audit.biases.rewrites import BIASES, rewrite
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Reward
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.correlation import (
    centred,
    partial_within_group,
    within_group_correlation,
    within_group_std,
)

Floats = NDArray[np.float64]
NEUTRAL = "length"
"""The feature whose effect a character is taken off the others."""
Counterfactual = Callable[[Sample, str], tuple[Sample, float] | None]
"""From a sample and a feature to the rewritten sample and the true difference; None: does not apply."""


def audit_biases(
    samples: Sequence[Sample],
    reward: Reward,
    *,
    counterfactual: Counterfactual | None = None,
    features: Sequence[str] = BIASES,
    truth: ArrayLike | None = None,
    true_std: float = 1.0,
    gaps: Sequence[GroupGap] = (),
    seed: int = 0,
    resamples: int = 2000,
) -> BiasAudit:
    """Effect sizes of surface features, and the correlation of reward and length.

    Args:
        samples: n samples; at least one prompt with two or more of them, for the unit.
        reward: the reward to audit; it scores the originals once and each feature's rewrites once.
        counterfactual: a world's rewrites with their true difference in true-reward units; without one, the
            rewrites of `plaudit.audit.biases.rewrites`, whose true effect is unknown.
        features: which features to add.
        truth: (n,) true rewards, for the partial correlation; None where unknown.
        true_std: within-prompt standard deviation of the true reward, its unit.
        gaps: between groups, measured on pairs (`group_gaps`); they are only carried along.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if no prompt has two scored samples.
    """
    prompts = cluster_codes([_prompt(s) for s in samples], len(samples))
    base = reward(samples).reward
    deviation = centred(base, prompts)
    if not np.isfinite(deviation).any():
        raise InputError(
            "audit_biases: no prompt has two scored completions, so there is no unit; give several a prompt"
        )
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    length = np.array([len(s.text) for s in samples], dtype=np.float64)
    changes = {
        name: _changes(*_rewritten(name, samples, counterfactual), samples, reward, base, true_std) for name in features
    }
    return BiasAudit(
        effects=tuple(
            _effect(name, changes[name], changes.get(NEUTRAL), deviation, prompts, counterfactual is not None, options)
            for name in features
        ),
        unit=within_group_std(base, prompts, **options),
        length_correlation=within_group_correlation(base, length, prompts, **options),
        length_partial=None if truth is None else partial_within_group(base, length, truth, prompts, **options),
        truth_known=counterfactual is not None,
        gaps=tuple(gaps),
    )


def _rewards(reward: Reward, samples: Sequence[Sample], at: NDArray[np.int64], there: Sequence[Sample]) -> Floats:
    """Of rewritten samples. Where a reward compares a group, each takes its original's place alone.

    Among others with the same feature it would gain nothing by it, and the effect would be 0 whatever the reward likes.
    A reward of the whole batch cannot be asked about one sample: NaN.
    """
    if reward.scope == "batch":
        return np.full(len(there), np.nan)
    if reward.scope == "group":
        return Scored.wrap(reward).instead(samples, at.tolist(), there, at.tolist())[0]
    return reward(there).reward


@dataclass(frozen=True)
class _Change:
    """One feature on n samples: what it moved, NaN where it did not apply or was not scored."""

    reward: Floats
    truth: Floats
    added: Floats
    n_inapplicable: int
    n_unscored: int


def _changes(
    changed: list[Sample | None],
    truth: Floats,
    samples: Sequence[Sample],
    reward: Reward,
    base: Floats,
    true_std: float,
) -> _Change:
    at = np.array([i for i, s in enumerate(changed) if s is not None], dtype=np.int64)
    difference, added = np.full(len(samples), np.nan), np.full(len(samples), np.nan)
    if at.size:
        there = [s for s in changed if s is not None]
        difference[at] = _rewards(reward, samples, at, there) - base[at]
        added[at] = [len(s.text) - len(samples[i].text) for i, s in zip(at, there, strict=True)]
    known = np.isfinite(difference)
    true = np.where(known, truth / true_std, np.nan)
    return _Change(difference, true, added, len(samples) - int(at.size), int(at.size - known.sum()))


def _effect(
    name: str,
    change: _Change,
    neutral: _Change | None,
    deviation: Floats,
    prompts: NDArray[np.int64],
    truth_known: bool,
    options: dict[str, Any],
) -> BiasEffect:
    known = np.isfinite(change.reward)
    net = None
    if neutral is not None and name != NEUTRAL:
        net = _standardised(change, neutral, deviation, prompts, options, true=truth_known)
    return BiasEffect(
        name=name,
        effect=_standardised(change, None, deviation, prompts, options, true=truth_known),
        raw=_standardised(change, None, deviation, prompts, options, true=False),
        true_effect=float(np.mean(change.truth[known])) if known.any() and truth_known else float("nan"),
        n_samples=int(known.sum()),
        n_inapplicable=change.n_inapplicable,
        n_unscored=change.n_unscored,
        net=net,
    )


def _standardised(
    change: _Change,
    neutral: _Change | None,
    deviation: Floats,
    prompts: NDArray[np.int64],
    options: dict[str, Any],
    *,
    true: bool,
) -> Any:
    """Mean difference over the within-prompt deviation, minus the mean true one, from sums over prompts.

    Both net of what as many characters of neutral words are worth, where `neutral` is given.
    """
    known, spread = np.isfinite(change.reward), np.isfinite(deviation)
    size = np.bincount(prompts, weights=spread)[prompts]
    columns = [
        np.where(known, change.reward, 0.0),
        np.where(known, change.truth if true else 0.0, 0.0),
        known.astype(np.float64),
        np.where(spread, deviation, 0.0) ** 2,
        np.where(spread, 1.0 - 1.0 / np.maximum(size, 1), 0.0),
    ]
    if neutral is not None:
        there = np.isfinite(neutral.reward)
        columns += [
            np.where(known, change.added, 0.0),
            np.where(there, neutral.reward, 0.0),
            np.where(there, neutral.truth if true else 0.0, 0.0),
            np.where(there, neutral.added, 0.0),
        ]

    def effect(t: Floats) -> Floats:
        moved, due = t[:, 0], t[:, 1]
        if neutral is not None:
            # a neutral rewrite that adds nothing has no price a character, and takes nothing off
            share = np.where(t[:, 8] > 0, t[:, 5] / np.where(t[:, 8] > 0, t[:, 8], 1.0), 0.0)
            moved, due = moved - t[:, 6] * share, due - t[:, 7] * share
        return np.asarray(moved / t[:, 2] / np.sqrt(t[:, 3] / t[:, 4]) - due / t[:, 2])

    found = bootstrap_totals(effect, columns, prompts, **options)
    return replace(found, n=int(np.unique(prompts[known]).size))


def _rewritten(
    name: str, samples: Sequence[Sample], counterfactual: Counterfactual | None
) -> tuple[list[Sample | None], Floats]:
    truth = np.full(len(samples), np.nan)
    if counterfactual is None:
        return [rewrite(s, name) for s in samples], truth
    changed: list[Sample | None] = []
    for i, sample in enumerate(samples):
        found = counterfactual(sample, name)
        changed.append(None if found is None else found[0])
        if found is not None:
            truth[i] = found[1]
    return changed, truth


def _prompt(sample: Sample) -> str:
    return sample.group if sample.group is not None else content_hash([m.to_dict() for m in sample.prompt])
