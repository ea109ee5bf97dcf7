"""Collapsed rewards stretched between running quantiles, as a transform; see `plaudit.shaping.groups.Stretch` [84]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats, RewardBatch, Scope
from plaudit.shaping.groups.collapse import Stretch
from plaudit.shaping.transforms.base import Bounds, ValueTransform, checked_state
from plaudit.shaping.transforms.ranked import groups_of


@final
@dataclass(frozen=True)
class Stretched(ValueTransform):
    """Stretched between running quantiles, and ranked in groups of small spread, in [0, 1]; see `groups.Stretch`.

    Before anything was seen the batch's own quantiles stand in, so that what is scored together is stretched together.
    """

    low: float = 0.1
    """Quantile that is stretched to 0."""
    high: float = 0.9
    """Quantile that is stretched to 1."""
    gamma: float = 1.0
    """Above 1 spreads the best apart."""
    target: float = 0.1
    """Deviation within the group from which on ranks count nothing."""
    decay: float = 0.9
    """Of the running quantiles."""
    ends: tuple[float, float] | None = field(default=None, kw_only=True)
    """State: the running quantiles."""

    kind: ClassVar[str] = "stretch"
    scope: ClassVar[Scope] = "group"
    remembered: ClassVar[tuple[str, ...]] = ("ends",)

    def __post_init__(self) -> None:
        self._stretch()  # says what is wrong with a value

    def _stretch(self) -> Stretch:
        return Stretch(self.low, self.high, self.gamma, self.target, self.decay, self.ends)

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """See `groups.Stretch`; samples without `group` are grouped by their prompt."""
        return np.asarray(self._stretch()(reward, groups_of(samples)))

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """From 0 to 1."""
        return 0.0, 1.0

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With the unshaped rewards of a batch seen."""
        return replace(self, ends=self._stretch().updated(batch.reward).ends)

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:
        """With these rewards seen and no others."""
        return replace(self, ends=None).updated(batch, samples)

    def state(self) -> dict[str, Any]:
        """The quantiles."""
        return self._stretch().state()

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With saved quantiles.

        Raises:
            InputError: if they are none.
        """
        return replace(self, ends=self._stretch().restored(checked_state(self.kind, state, ["ends"])).ends)
