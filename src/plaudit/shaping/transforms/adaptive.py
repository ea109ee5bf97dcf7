"""Transforms that carry running statistics of the rewards that they have seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats, RewardBatch
from plaudit.shaping.transforms import running
from plaudit.shaping.transforms.base import Bounds, ValueTransform, checked_state
from plaudit.shaping.transforms.running import Statistics


@dataclass(frozen=True)
class _Adaptive(ValueTransform):
    seen: Statistics = field(default_factory=Statistics, kw_only=True)
    """State: what earlier batches were like."""

    remembered: ClassVar[tuple[str, ...]] = ("seen",)

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With the unshaped rewards of a batch seen; those that do not count are not."""
        return replace(self, seen=self.seen.updated(batch.reward))

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With these rewards seen and no others."""
        return replace(self, seen=Statistics(rate=self.seen.rate).updated(batch.reward))

    def state(self) -> dict[str, Any]:
        """The statistics."""
        return self.seen.to_dict()

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With saved statistics.

        Raises:
            InputError: if they are none.
        """
        return replace(self, seen=Statistics.from_dict(checked_state(self.kind, state, self.seen.to_dict())))


@dataclass(frozen=True)
class _Averaged(_Adaptive):
    rate: float = field(default=0.0, kw_only=True)
    """Share of a new batch in the running statistics; 0 weighs the whole past alike."""

    def __post_init__(self) -> None:
        if self.seen.rate != self.rate:
            object.__setattr__(self, "seen", replace(self.seen, rate=self.rate))


@final
@dataclass(frozen=True)
class Standardise(_Averaged):
    """`(r - running mean) / (running std + epsilon)`; the reward itself until something was seen."""

    epsilon: float = 1e-8
    """In units of the reward."""
    limit: float = 10.0
    """Once something was seen, shaped rewards are kept within plus and minus this, so that there is a floor."""

    kind: ClassVar[str] = "standardise"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon < math.inf or not 0 < self.limit < math.inf:
            raise InputError(
                f"standardise: epsilon is {self.epsilon} and limit {self.limit}; give epsilon >= 0, a finite limit > 0"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `running.standardised_by`."""
        shaped = running.standardised_by(reward, self.seen, epsilon=self.epsilon)
        return shaped.clip(-self.limit, self.limit) if self.seen.n else shaped

    def limits(self, bounds: Bounds) -> Bounds:
        """The reward's own until something was seen, then plus and minus the limit."""
        return (-self.limit, self.limit) if self.seen.n else bounds


@final
@dataclass(frozen=True)
class RunningClip(_Averaged):
    """Rewards kept within `width` running deviations of the running mean; themselves until something was seen."""

    width: float = 1.0
    """Deviations to either side."""

    kind: ClassVar[str] = "running-clip"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.width < math.inf:
            raise InputError(
                f"running-clip: width is {self.width}; give a positive number of deviations, and a finite one"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `running.clipped_by`."""
        return running.clipped_by(reward, self.seen, width=self.width)

    def limits(self, bounds: Bounds) -> Bounds:
        """The reward's own, or what they are clipped to."""
        if not self.seen.n:
            return bounds
        low, high = running.clipped_by([*bounds], self.seen, width=self.width)
        return float(low), float(high)


@final
@dataclass(frozen=True)
class MinMax(_Adaptive):
    """`(r - least) / (greatest - least)` of everything seen, kept within [0, 1]; 1/2 until something was seen."""

    kind: ClassVar[str] = "min-max"

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `running.ranged_by`."""
        return running.ranged_by(reward, self.seen)

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """From 0 to 1."""
        return 0.0, 1.0
