"""Estimators around another that leave whole groups out of an update: those that have little to teach.

A group that is left out leaves the denominators too. Differs from the papers: they fill the batch up with further
prompts, and our loop does not, so a step may teach less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np
from jaxtyping import Bool

from plaudit.errors import InputError
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent
from plaudit.policy.advantages.wrapping import Wrapping
from plaudit.shaping.filtering import SpreadFilter
from plaudit.shaping.groups.codes import Grouped


@final
@dataclass(frozen=True)
class WithinAccuracy(Wrapping):
    """Only groups of which a share within the bounds is right: PRIME's filter, and DAPO's dynamic sampling.

    DAPO's is `low=0, high=1, open=True`: groups that are all right or all wrong have advantages of 0, and only dilute
    the others in the denominators.

    Source: Cui et al. 2025, PRIME [198], for 0.2 to 0.8; Yu et al. 2025, "DAPO", equation 11.
    """

    low: float = 0.2
    """Least share."""
    high: float = 0.8
    """Greatest share."""
    open: bool = False
    """Leaves out groups at the bounds themselves."""

    own_needs: ClassVar[frozenset[str]] = frozenset({"correct"})

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(f"within-accuracy: low is {self.low} and high {self.high}; give 0 <= low <= high <= 1")

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """By those of each group of which it is known, and that have a reward."""
        known = np.where(inputs.included, inputs.need("correct", "within-accuracy"), np.nan)
        share = np.nan_to_num(Grouped.of("within-accuracy", known, inputs.groups).mean, nan=-1.0)
        inside = (share > self.low) & (share < self.high) if self.open else (share >= self.low) & (share <= self.high)
        return _kept(inputs, inner, inside[inputs.grouped.code])


@final
@dataclass(frozen=True)
class SpreadFiltered(Wrapping):
    """Only groups whose rewards differ enough beside those of earlier batches: RLPR.

    Source: Yu et al. 2025, "RLPR" [132]; the filter is `shaping.SpreadFilter`.
    """

    filter: SpreadFilter = field(default_factory=SpreadFilter)
    """With its running mean."""

    own_extent: ClassVar[Extent] = "batch"

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """By the mean of earlier batches; `updated` comes afterwards."""
        groups = inputs.grouped
        keep = self.filter.keep(groups.laid(inputs.reward)) if len(inputs) else np.zeros(0, dtype=bool)
        return _kept(inputs, inner, np.asarray(keep[groups.code]))

    def updated(self, inputs: AdvantageInputs) -> Self:
        """With the batch's spread in the running mean."""
        seen = self.filter.updated(inputs.grouped.laid(inputs.reward)) if len(inputs) else self.filter
        return replace(self, of=self.of.updated(inputs), filter=seen)

    def state(self) -> dict[str, Any]:
        """The filter's step and mean, and the state of the one inside."""
        return {"step": self.filter.step, "mean": self.filter.mean, "of": self.of.state()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """In a state that `state` gave."""
        seen = replace(self.filter, step=int(state["step"]), mean=state["mean"])
        return replace(self, of=self.of.restored(state["of"]), filter=seen)


def _kept(inputs: AdvantageInputs, inner: Advantages, keep: Bool[np.ndarray, " n"]) -> Advantages:
    """The inner advantages without those that are not kept."""
    kept = inner.included & keep
    dropped = float((inner.included & ~kept).sum() / max(int(inner.included.sum()), 1))
    return replace(
        inner, included=kept, metrics={**inner.metrics, "dropped": dropped},
        sequence=None if inner.sequence is None else np.where(kept, inner.sequence, 0.0),
        token=None if inner.token is None else np.where(kept[inputs.owner], inner.token, 0.0),
    )  # fmt: skip
