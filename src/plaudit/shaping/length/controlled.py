"""A reward less what its length is worth, as a transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats
from plaudit.rewards.rules.segments import segments
from plaudit.shaping.transforms.base import Bounds, ValueTransform


@final
@dataclass(frozen=True)
class LengthControlled(ValueTransform):
    """`r - slope * min(words, longest)`: within a prompt, what `length_residual` leaves, without its group means.

    The slope is fitted beforehand by `length_slope`, on samples of the starting policy: a batch does not judge itself,
    and each sample stands alone.
    """

    slope: float = 0.0
    """Reward units a word, not 0; below 0 where the reward prefers shorter answers."""
    longest: int = 2000
    """Words beyond which a completion is no longer charged (or paid)."""

    kind: ClassVar[str] = "length-controlled"

    def __post_init__(self) -> None:
        if not math.isfinite(self.slope) or not self.slope or self.longest < 1:
            raise InputError(
                f"length-controlled: slope is {self.slope} and longest {self.longest}; give a slope that is not 0 "
                "(length_slope fits it), and words"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """As it says; words are Unicode segments that hold a letter or a digit."""
        words = np.array([min(len(segments(s.text)), self.longest) for s in samples], dtype=np.float64)
        return np.asarray(reward - self.slope * words)

    def limits(self, bounds: Bounds) -> Bounds:
        """The bounds, moved by the most that length may cost and the most that it may pay."""
        most = self.slope * self.longest
        return bounds[0] - max(most, 0.0), bounds[1] - min(most, 0.0)
