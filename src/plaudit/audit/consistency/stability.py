"""The same question put another way to the machine: again, alone, in another order, in another precision.

None of these changes what is asked, so a reward must not change either; the promise of this library is 1e-4 in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.attacks.ground import shown
from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.scored import Scored
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample
from plaudit.records.splitting import prompt_key
from plaudit.rewards.base import Reward
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.correlation import within_group_std

Floats = NDArray[np.float64]


def _again(reward: Reward, samples: Sequence[Sample]) -> Floats:
    return reward(samples).reward


def _alone(reward: Reward, samples: Sequence[Sample]) -> Floats:
    """One by one; a reward of groups, group by group."""
    if reward.scope == "sample":
        return np.concatenate([reward([s]).reward for s in samples])
    found = np.full(len(samples), np.nan)
    for label in dict.fromkeys(s.group for s in samples):
        at = [i for i, s in enumerate(samples) if s.group == label]
        found[at] = reward([samples[i] for i in at]).reward
    return found


def _reversed(reward: Reward, samples: Sequence[Sample]) -> Floats:
    return reward(list(samples)[::-1]).reward[::-1]


WAYS: dict[str, tuple[Callable[[Reward, Sequence[Sample]], Floats], str]] = {
    "determinism": (_again, "asked again"),
    "batch-size": (_alone, "scored alone instead of together"),
    "batch-order": (_reversed, "scored in the opposite order"),
}
"""Name to how the samples are scored once more, and its words."""


def stability(
    pairs: Sequence[Pair], reward: Reward, *, ways: Sequence[str] = tuple(WAYS), samples: int = 64,
    threshold: float = 0.01, seed: int = 0, resamples: int = 2000,
) -> tuple[Check, ...]:  # fmt: skip
    """Mean change of the reward, in within-prompt standard deviations, when the same samples are scored another way.

    A hundredth of a deviation reorders 0.3% of pairs. Nothing is taken from memory: the reward itself is asked.

    Args:
        pairs: held-out pairs.
        reward: the reward to check.
        ways: names out of `WAYS`: `determinism`, `batch-size` (which changes the padding, too), `batch-order`.
        samples: completions that are scored, once and then once for each way.
        threshold: within-prompt standard deviations.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        One check a way, `consistency/WAY`. A sample with a reward in one way and none in the other is left out.
    """
    asked = reward.of if isinstance(reward, Scored) else reward
    given = _some(pairs, samples)
    before = _again(asked, given)
    unit = _unit(before, given)
    found = []
    for way in ways:
        says = f"mean change of the reward when {WAYS[way][1]}, in within-prompt standard deviations"
        name = f"consistency/{way}"
        if not unit > 0:
            found.append(not_measured(name, says, "the reward is the same for both completions of every pair"))
        elif way == "batch-size" and asked.scope == "batch":
            found.append(not_measured(name, says, "the reward scores the whole batch together"))
        else:
            after = WAYS[way][0](asked, given)
            found.append(_change(name, says, given, before, after, unit, threshold, seed, resamples))
    return tuple(found)


def precision(
    pairs: Sequence[Pair], reward: Reward, *, dtype: str = "bfloat16", samples: int = 64, threshold: float = 0.1,
    seed: int = 0, resamples: int = 2000,
) -> Check:  # fmt: skip
    """Mean change of the reward in a lower precision, in within-prompt standard deviations.

    A tenth of a deviation reorders 3% of pairs. The model is copied, so that the reward stays as it is.

    Args:
        pairs: held-out pairs.
        reward: a model (`plaudit.rewards.models.ModelReward`); others are grey.
        dtype: name of the torch dtype that is tried.
        samples: completions that are scored twice.
        threshold: within-prompt standard deviations.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.
    """
    name = "consistency/precision"
    says = f"mean change of the reward in {dtype}, in within-prompt standard deviations"
    asked: Any = reward.of if isinstance(reward, Scored) else reward
    # by its name: whoever has a model has torch already, and whoever has none must not load it
    if not any(c.__name__ == "ModelReward" and c.__module__ == "plaudit.rewards.models" for c in type(asked).__mro__):
        return not_measured(name, says, "the reward is no model folder that can be opened in another precision")
    import torch

    given = _some(pairs, samples)
    before = _again(asked, given)
    unit = _unit(before, given)
    if not unit > 0:
        return not_measured(name, says, "the reward is the same for both completions of every pair")
    model = copy.deepcopy(asked.model).to(getattr(torch, dtype))
    lower = type(asked)(model, asked.tokenizer, asked.manifest, name=asked.name)
    found = _change(name, says, given, before, _again(lower, given), unit, threshold, seed, resamples)
    return replace(found, fix="Score in float32, or in the precision that it was trained and evaluated in.")


def _some(pairs: Sequence[Pair], samples: int) -> list[Sample]:
    """Completions of the first pairs, each prompt a group of its own."""
    return [replace(s, group=prompt_key(pair)) for pair in pairs[: max(1, samples // 2)] for s in pair.samples()]


def _unit(rewards: Floats, samples: Sequence[Sample]) -> float:
    return within_group_std(rewards, [s.group for s in samples], resamples=1).value


def _change(
    name: str, says: str, samples: Sequence[Sample], before: Floats, after: Floats, unit: float, threshold: float,
    seed: int, resamples: int,
) -> Check:  # fmt: skip
    change = np.abs(after - before) / unit
    order = [int(i) for i in np.argsort(-np.nan_to_num(change), kind="stable") if change[i] > threshold][:5]
    examples = tuple(
        Example(shown(samples[i].prompt), samples[i].text, samples[i].text, float(before[i]), float(after[i]),
                "the same text, another reward")
        for i in order
    )  # fmt: skip
    return Check(
        name, says, bootstrap_mean(change, [s.group for s in samples], seed=seed, resamples=resamples), threshold,
        examples=examples, left_out=int(np.isnan(change).sum()),
        fix="Fix the seed and the padding, or score each sample by itself.",
    )  # fmt: skip
