"""One reward out of one a category: each sample is scored by the model of its own [122]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Reward, RewardBatch, Scope


@final
class ByCategory:
    """Rewards by a column of the samples.

    Args:
        of: category to its reward; with one alone, and no column, that is the reward of all.
        column: of the samples' `meta`; empty for one reward of all.

    Raises:
        InputError: if there is none, there are several and no column, or one compares a whole group or batch.
    """

    scope: Scope = "sample"

    def __init__(self, of: Mapping[str, Reward], *, column: str = "") -> None:
        if not of or (not column and len(of) > 1):
            raise InputError(f"by-category: {len(of)} rewards and column {column!r}; give one each, and the column")
        if whole := [reward.name for reward in of.values() if reward.scope != "sample"]:
            raise InputError(f"by-category: {whole[0]} scores several samples together; give rewards of one sample")
        self.of, self.column = dict(of), column

    @property
    def name(self) -> str:
        """Of the column."""
        return f"learnt({self.column})" if self.column else "learnt"

    @property
    def bounds(self) -> tuple[float, float]:
        """Of all of them: the lowest floor."""
        return min(r.bounds[0] for r in self.of.values()), max(r.bounds[1] for r in self.of.values())

    @property
    def fingerprint(self) -> str:
        """Of all of them."""
        return content_hash([self.column, {name: reward.fingerprint for name, reward in self.of.items()}])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples, each category by its own reward.

        Raises:
            InputError: if a sample's category has none.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        names = [str(s.meta.get(self.column)) if self.column else next(iter(self.of)) for s in samples]
        order, parts = [], []
        for name in dict.fromkeys(names):
            if name not in self.of:
                raise InputError(f"by-category: {self.column} {name!r} has no reward; {nearest(name, self.of)}")
            at = [i for i, other in enumerate(names) if other == name]
            order += at
            parts.append(self.of[name]([samples[i] for i in at]))
        return RewardBatch.concat(parts).take(np.argsort(order, kind="stable"))


@final
class Unjudged:
    """The reward where none is known: every sample is worth 0."""

    name, bounds, fingerprint = "unjudged", (0.0, 0.0), "unjudged"
    scope: Scope = "sample"

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """As many zeros."""
        return RewardBatch(np.zeros(len(samples)))


__all__ = ["ByCategory", "Unjudged"]
