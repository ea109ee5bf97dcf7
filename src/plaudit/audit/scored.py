"""A reward that pays for no sample twice, and keeps together what must be scored together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import ShapeError, UnsupportedError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Reward, RewardBatch, Scope
from plaudit.rewards.files import batch_from_cells, reward_cells
from plaudit.rewards.scoring import KEPT
from plaudit.runs.log import DurableLog

Floats = NDArray[np.float64]
CHUNK = 256
"""Samples that are scored before they are logged."""


@final
class Scored:
    """A reward again: of another one, whose answers are kept by the samples' content.

    Samples are scored once each; of a reward with scope `group` whole groups are, so that a completion in another
    company is another question. A reward of the whole batch is asked anew each time.

    Args:
        of: the reward.
        log: a durable log under the reward's fingerprint, from which answers are taken and to which new ones go; a
            time-out or a fault of the instrument is not logged and is asked again by the next run.
    """

    def __init__(self, of: Reward, *, log: DurableLog | None = None) -> None:
        self.of, self.log = of, log
        self.calls = 0
        """Samples that the reward was asked for, equal ones once."""
        self._known: dict[str, dict[str, Any]] = {}
        self._asked: list[Sample] | None = None

    @classmethod
    def wrap(cls, reward: Reward) -> Self:
        """The reward itself where it is one of these already, so that checks share what was scored."""
        return reward if isinstance(reward, cls) else cls(reward)

    @property
    def name(self) -> str:
        """The reward's."""
        return self.of.name

    @property
    def scope(self) -> Scope:
        """The reward's."""
        return self.of.scope

    @property
    def bounds(self) -> tuple[float, float]:
        """The reward's."""
        return self.of.bounds

    @property
    def fingerprint(self) -> str:
        """The reward's."""
        return self.of.fingerprint

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards in the order of the samples; what is not known yet is asked for in one call.

        Raises:
            ShapeError: if the reward gives another number of rewards than there are samples.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        if self.scope == "batch":
            return self._scores(samples)
        keys = self._keys(samples)
        todo = self._unknown(samples, keys)
        if self._asked is not None:
            self._asked += [samples[i] for i in todo]
            return batch_from_cells([self._known.get(k, {"reward": _made_up(k), "outcome": "scored"}) for k in keys])
        # with a log a long call goes in pieces, so that a kill costs one of them; groups stay whole
        size = CHUNK if self.log is not None and self.scope == "sample" else max(len(todo), 1)
        for start in range(0, len(todo), size):
            part = todo[start : start + size]
            batch = self._scores([samples[i] for i in part])
            kept: dict[str, dict[str, Any]] = {}
            for k, i in enumerate(part):
                self._known[keys[i]] = cells = reward_cells(batch, k)
                if self.log is not None and batch.outcome[k] in KEPT and keys[i] not in self.log:
                    kept[keys[i]] = cells
            if self.log is not None:
                self.log.put_together(kept)
                self.log.flush()
        return batch_from_cells([self._known[key] for key in keys])

    def instead(
        self, samples: Sequence[Sample], which: Sequence[int], changed: Sequence[Sample], against: Sequence[int]
    ) -> tuple[Floats, Floats]:
        """Rewards of completions that take the place of others, and of the sample that each is compared with.

        Args:
            samples: all completions at hand; those of one prompt (or group) compete.
            which: (m,) whose place each changed sample takes.
            changed: (m,) the samples that take it.
            against: (m,) another sample of the same prompt each.

        Returns:
            Rewards of the changed samples and of those that they are compared with, (m,) each. For a reward of
            groups both come from the group in which the change was made.

        Raises:
            UnsupportedError: for a reward of the whole batch.
        """
        if self.scope == "batch":
            raise UnsupportedError(f"{self.name}: scores the whole batch together, so no single change can be judged")
        if self.scope == "sample":
            own, other = self(changed).reward, self([samples[j] for j in against]).reward
            return own, other
        members: dict[str, list[int]] = {}
        for i, sample in enumerate(samples):
            members.setdefault(_unit(sample), []).append(i)
        flat: list[Sample] = []
        own_at, other_at = [], []
        for k, (i, new, j) in enumerate(zip(which, changed, against, strict=True)):
            group = members[_unit(samples[i])]
            own_at.append(len(flat) + group.index(i))
            other_at.append(len(flat) + group.index(j))
            label = f"{_unit(samples[i])}#{k}"
            flat += [replace(new if g == i else samples[g], group=label) for g in group]
        rewards = self(flat).reward
        return rewards[own_at], rewards[other_at]

    @contextmanager
    def rehearsal(self) -> Iterator[list[Sample]]:
        """Collects the samples that would be asked for, each once; the rewards in the meantime are made up.

        What is worked out of them means nothing. Afterwards the list can be scored in one call.
        """
        seen: list[Sample] = []
        self._asked = []
        unique: dict[str, Sample] = {}
        try:
            yield seen
        finally:
            for sample in self._asked:
                unique.setdefault(self._keys([sample])[0], sample)
            seen += unique.values()
            self._asked = None

    def _scores(self, samples: Sequence[Sample]) -> RewardBatch:
        batch = self.of(samples)
        if len(batch) != len(samples):
            raise ShapeError(
                f"{self.name}: gave {len(batch)} rewards for {len(samples)} samples; it must give one each"
            )
        self.calls += len(samples)
        return batch

    def _keys(self, samples: Sequence[Sample]) -> list[str]:
        own = [content_hash([s.key, dict(s.meta)]) if s.meta else s.key for s in samples]
        if self.scope == "sample":
            return own
        members: dict[str, list[str]] = {}
        for sample, key in zip(samples, own, strict=True):
            members.setdefault(_unit(sample), []).append(key)
        # in order: a group reward may depend on it, which is a check of its own
        group = {unit: content_hash(keys) for unit, keys in members.items()}
        return [f"{group[_unit(s)]}:{key}" for s, key in zip(samples, own, strict=True)]

    def _unknown(self, samples: Sequence[Sample], keys: Sequence[str]) -> list[int]:
        """Indices to ask for: equal samples once; of a group reward every group that lacks a member, whole."""
        for key in keys:
            if key not in self._known and self.log is not None and key in self.log:
                self._known[key] = self.log[key]
        if self.scope == "sample":
            first: dict[str, int] = {}
            for i, key in enumerate(keys):
                if key not in self._known:
                    first.setdefault(key, i)
            return list(first.values())
        lacking = {_unit(s) for s, key in zip(samples, keys, strict=True) if key not in self._known}
        return [i for i, s in enumerate(samples) if _unit(s) in lacking]


def _made_up(key: str) -> float:
    """A number that comes back with its key: a constant would look degenerate to a check that is rehearsed."""
    return int(content_hash(key)[:8], 16) / 2**32


def _unit(sample: Sample) -> str:
    return sample.group or content_hash([m.to_dict() for m in sample.prompt])
