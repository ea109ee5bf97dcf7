"""Estimators around another that leave whole groups out of an update: those that have little to teach.

A group that is left out leaves the denominators too. The papers fill the batch up with further prompts: so does
`plaudit align` with `refill`, which asks `idle_groups`; without it a step may teach less.
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
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels


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

    @property
    def siblings(self) -> bool:
        """Also where it leaves out groups that are all right or all wrong, as a completion alone is."""
        return super().siblings or self.open or self.low > 0 or self.high < 1

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """By those of each group of which it is known, and that have a reward."""
        known = np.where(inputs.included, inputs.need("correct", "within-accuracy"), np.nan)
        return _kept(inputs, inner, self.inside(known, inputs.grouped)[inputs.grouped.code])

    def inside(self, correct: Floats, groups: Groups) -> Bool[np.ndarray, " g"]:
        """Whether each group is kept.

        Args:
            correct: (n,) 1 right, 0 wrong, NaN not known or without a reward: it leaves the share.
            groups: of the completions.
        """
        share = np.nan_to_num(Grouped.of("within-accuracy", correct, groups).mean, nan=-1.0)
        inside = (share > self.low) & (share < self.high) if self.open else (share >= self.low) & (share <= self.high)
        return np.asarray(inside)


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


def idle_groups(
    estimator: Any, reward: Floats, groups: Labels | Groups, *, correct: Floats | None = None,
    lost: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, " g"]:  # fmt: skip
    """Which groups are known to have nothing to teach: at least two rewards, all equal, or outside a filter's bounds.

    A group in which the machine failed to judge a completion is not among them: what it would have taught is not known.
    Nor is one with fewer than two rewards.

    Args:
        estimator: of the method; `WithinAccuracy` in it, or in what it wraps, has a say.
        reward: (n,) what the optimiser sees, NaN where there is none.
        groups: labels (n,), or `Groups`.
        correct: (n,) 1 right, 0 wrong, NaN not known; None where it is not asked.
        lost: (n,) True where a time-out or an instrument's fault took the reward; nowhere by default.

    Returns:
        (g,) in the order of the groups' codes.

    Source: Yu et al. 2025, "DAPO", section 3.2.
    """
    found = Groups.of(groups)
    there = ~np.isnan(reward)
    low, high = np.full(found.count, np.inf), np.full(found.count, -np.inf)
    np.minimum.at(low, found.code[there], reward[there])
    np.maximum.at(high, found.code[there], reward[there])
    idle = low == high
    while estimator is not None:
        if isinstance(estimator, WithinAccuracy) and correct is not None:
            idle |= ~estimator.inside(np.where(there, correct, np.nan), found)
        estimator = getattr(estimator, "of", None)
    enough = np.bincount(found.code[there], minlength=found.count) >= 2
    broken = np.zeros(found.count, dtype=bool)
    if lost is not None:
        broken[found.code[np.asarray(lost, dtype=bool)]] = True
    return np.asarray(idle & enough & ~broken)


def _kept(inputs: AdvantageInputs, inner: Advantages, keep: Bool[np.ndarray, " n"]) -> Advantages:
    """The inner advantages without those that are not kept."""
    kept = inner.included & keep
    dropped = float((inner.included & ~kept).sum() / max(int(inner.included.sum()), 1))
    return replace(
        inner, included=kept, metrics={**inner.metrics, "dropped": dropped},
        sequence=None if inner.sequence is None else np.where(kept, inner.sequence, 0.0),
        token=None if inner.token is None else np.where(kept[inputs.owner], inner.token, 0.0),
    )  # fmt: skip
