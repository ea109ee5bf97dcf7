"""Length as a reward: the yardstick that every learned reward must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope


@dataclass(frozen=True)
class LengthReward:
    """Words of the completion, or how near they come to a target.

    Without a target the reward is `sign * words`; with one it is `-abs(words - target) / target`, not below -1.
    Words are runs without white space.
    """

    target: int = 0
    """Words that a completion should have; 0 for none."""
    sign: int = 1
    """1 where longer is better, -1 where shorter is; used without a target."""

    scope: Scope = "sample"

    def __post_init__(self) -> None:
        if self.target < 0:
            raise InputError(f"rule/length: target is {self.target}; give words, at least 0 (0 for none)")
        if self.sign not in (1, -1):
            raise InputError(f"rule/length: sign is {self.sign}; give 1 (longer is better) or -1 (shorter is better)")

    @property
    def name(self) -> str:
        """`length`, or `length-TARGET`."""
        return f"length-{self.target}" if self.target else ("length" if self.sign > 0 else "shortness")

    @property
    def bounds(self) -> tuple[float, float]:
        """[-1, 0] with a target; else no word counts is the one end and no limit the other (its floor: -1e6 words)."""
        if self.target:
            return -1.0, 0.0
        return (0.0, float("inf")) if self.sign > 0 else (-1e6, 0.0)

    @property
    def fingerprint(self) -> str:
        """Hash of the options."""
        return content_hash(["rule/length", 1, self.target, self.sign])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Counts words; every sample is scored."""
        words = np.array([len(s.text.split()) for s in samples], dtype=np.float64)
        if self.target:
            reward = np.maximum(-np.abs(words - self.target) / self.target, -1.0)
        else:
            reward = np.maximum(self.sign * words, self.bounds[0])
        return RewardBatch(reward, detail=tuple({"words": int(w)} for w in words))
