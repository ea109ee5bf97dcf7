"""Rewards of reference completions by prompt, and the transforms that read a reward against them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Conversation, Sample, content_hash
from plaudit.rewards.base import Floats, Reward
from plaudit.shaping.transforms import referenced
from plaudit.shaping.transforms.base import Bounds, ValueTransform


@final
@dataclass(frozen=True)
class References:
    """Rewards of reference completions, a list a prompt. Two with equal rewards are equal.

    Attributes:
        rewards: `key_of` a prompt to the rewards of its references that count.
    """

    rewards: Mapping[str, tuple[float, ...]]

    @classmethod
    def scored(cls, samples: Sequence[Sample], reward: Reward) -> Self:
        """References from completions of a starting policy.

        Args:
            samples: the completions.
            reward: scores them; the same that scores what is compared with them. Outcomes that do not count give none.

        Raises:
            InputError: if no reference has a reward.
        """
        batch, found = reward(samples), dict[str, list[float]]()
        for sample, value, ok in zip(samples, batch.reward, batch.valid, strict=True):
            if ok:
                found.setdefault(key_of(sample.prompt), []).append(float(value))
        if not found:
            raise InputError(
                f"references: none of {len(samples)} completions has a reward by {reward.name}; give others"
            )
        return cls({key: tuple(values) for key, values in found.items()})

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all rewards."""
        return content_hash(sorted((key, list(values)) for key, values in self.rewards.items()))

    @cached_property
    def ends(self) -> Bounds:
        """The least and the greatest of them all."""
        every = [value for values in self.rewards.values() for value in values]
        if not every:
            raise InputError("references: there are none; give completions of the prompts that are scored")
        return min(every), max(every)

    def table(self, samples: Sequence[Sample]) -> Floats:
        """A row of reference rewards a sample, (n, m); NaN fills rows with fewer, and is all of one without any."""
        keys = {id(s.prompt): s.prompt for s in samples}  # one prompt stands in many samples, and a key is costly
        known = {i: self.rewards.get(key_of(prompt), ()) for i, prompt in keys.items()}
        found = [known[id(s.prompt)] for s in samples]
        table = np.full((len(samples), max((len(row) for row in found), default=1) or 1), np.nan)
        for i, row in enumerate(found):
            table[i, : len(row)] = row
        return table


def key_of(prompt: Conversation) -> str:
    """Hash of a prompt, the same as of a row that asks it."""
    return content_hash([message.to_dict() for message in prompt])


def references_of(source: str | Path, reward: Reward) -> References:
    """References from a file of samples, scored when the reward is opened.

    Raises:
        InputError: if rows of the file are no samples, or none has a reward.
    """
    from plaudit.records.reading import read

    samples: list[Sample] = []
    for i, row in enumerate(read(str(source)).rows):
        if not isinstance(row, Sample):
            raise InputError(
                f"references: row {i + 1} of {source} is a {type(row).__name__.lower()} row; give samples, with prompt "
                "and completion"
            )
        samples.append(row)
    return References.scored(samples, reward)


@dataclass(frozen=True)
class _Referenced(ValueTransform):
    references: References
    """Rewards of reference completions."""

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """The formula on each sample's own references.

        Raises:
            InputError: if the prompt of a sample with a reward has no reference.
        """
        table = self.references.table(samples)
        bare = np.flatnonzero(~np.isnan(reward) & np.isnan(table).all(axis=1))
        if bare.size:
            asked = samples[int(bare[0])].prompt
            raise InputError(
                f"{self.kind}: {bare.size} of {len(samples)} samples have a prompt without a reference, the first "
                f"{asked[-1].text[:60] if asked else ''!r}; add completions of it to the references"
            )
        return self.formula(reward, table)

    @abstractmethod
    def formula(self, reward: Floats, table: Floats) -> Floats:
        """On rewards (n,) and references (n, m)."""

    def limits(self, bounds: Bounds) -> Bounds:
        """The formula where the reward is worst against the best reference, and the other way round."""
        low, high = self.references.ends
        at = [self.formula(np.array([b]), np.array([[ref]])) for b, ref in zip(bounds, (high, low), strict=True)]
        return float(at[0][0]), float(at[1][0])


@final
@dataclass(frozen=True)
class Par(_Referenced):
    """PAR: how often the completion would be preferred to a reference, in (0, 1); see `preference_as_reward`."""

    k: float = 1.0
    """Slope, positive: log-odds a unit of reward."""
    shift: float = 0.0
    """Reward units that a completion must be ahead to win every second time; 3 is the paper's slow-growth ablation."""

    kind: ClassVar[str] = "par"

    def __post_init__(self) -> None:
        if not 0 < self.k < math.inf or not math.isfinite(self.shift):
            raise InputError(f"par: k is {self.k} and shift {self.shift}; give a positive slope and a finite shift")

    def formula(self, reward: Floats, table: Floats) -> Floats:
        """See `referenced.preference_as_reward`."""
        return referenced.preference_as_reward(reward, table, k=self.k, shift=self.shift)

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """From 0 to 1."""
        return 0.0, 1.0


@final
@dataclass(frozen=True)
class Centred(_Referenced):
    """The reward less the mean of its references; see `referenced.centred`."""

    kind: ClassVar[str] = "centred"

    def formula(self, reward: Floats, table: Floats) -> Floats:
        """See `referenced.centred`."""
        return referenced.centred(reward, table)


@final
@dataclass(frozen=True)
class LogSigmoid(_Referenced):
    """LSC: the log-probability of beating a good reference; see `referenced.log_sigmoid_centred`."""

    quantile: float = 0.85
    """Which of the references is a good one, as a share."""

    kind: ClassVar[str] = "log-sigmoid"

    def __post_init__(self) -> None:
        if not 0 <= self.quantile <= 1:
            raise InputError(f"log-sigmoid: quantile is {self.quantile}; give a share between 0 and 1")

    def formula(self, reward: Floats, table: Floats) -> Floats:
        """See `referenced.log_sigmoid_centred`."""
        return referenced.log_sigmoid_centred(reward, table, quantile=self.quantile)
