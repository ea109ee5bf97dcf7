"""Estimators around another that leave whole groups out of an update: those that have little to teach.

A group that is left out leaves everything: the one inside never sees it, so that it enters no mean and no deviation of
the batch, and the denominators do not count it. The papers fill the batch up with further prompts: so does `plaudit
align` with `refill`, which asks `idle_groups`; without it a step may teach less.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.policy.advantages.base import SAMPLE_COLUMNS, TOKEN_COLUMNS, AdvantageInputs, Advantages, Extent, watched
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.advantages.wrapping import Wrapping
from plaudit.shaping.filtering import SpreadFilter
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels


@dataclass(frozen=True)
class LeavingOut(Wrapping):
    """An estimator that sees some of the groups only; the others have no advantage, and do not take part."""

    @abstractmethod
    def keeps(self, inputs: AdvantageInputs) -> Bool[np.ndarray, " g"]:
        """Whether each group stays, in the order of the groups' codes."""

    def shown(self, inputs: AdvantageInputs) -> AdvantageInputs:
        """The batch without the groups that are left out."""
        keep = self._stays(inputs)
        return inputs if keep.all() else _part(inputs, keep)

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """What the one inside gave those that stay, 0 for the others; their returns are their values.

        `reward` is the mean of all that were given; to `silent_groups` a group that is left out is silent; `dropped` is
        the share of the completions with a reward that were left out.
        """
        keep = self._stays(inputs)
        whole = keep[inputs.owner]

        def placed(part: Any, at: NDArray[np.bool_], rest: Floats | None = None) -> Any:
            if part is None:
                return None
            found = np.zeros(at.shape, dtype=np.asarray(part).dtype) if rest is None else rest.copy()
            found[at] = part
            return found

        included, gone = placed(inner.included, keep), inputs.included & ~keep
        sequence, token = placed(inner.sequence, keep), placed(inner.token, whole)
        told = watched(inputs, included | gone, sequence=sequence, token=token)
        metrics = {
            **inner.metrics, **told, "included": float(included.mean()) if len(inputs) else float("nan"),
            "dropped": float(gone.sum() / max(int((included | gone).sum()), 1)),
        }  # fmt: skip
        weight, returns = placed(inner.weight, keep), placed(inner.returns, whole, inputs.values)
        return Advantages(sequence, included, token, weight, returns, metrics)

    def _stays(self, inputs: AdvantageInputs) -> NDArray[np.bool_]:
        """Whether each completion's group stays, (n,)."""
        return np.asarray(self.keeps(inputs)[inputs.grouped.code], dtype=bool)


@final
@dataclass(frozen=True)
class WithinAccuracy(LeavingOut):
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

    def keeps(self, inputs: AdvantageInputs) -> Bool[np.ndarray, " g"]:
        """By those of each group of which it is known, and that have a reward."""
        known = np.where(inputs.included, inputs.need("correct", "within-accuracy"), np.nan)
        return self.inside(known, inputs.grouped)

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
class SpreadFiltered(LeavingOut):
    """Only groups whose rewards differ enough beside those of earlier batches: RLPR.

    Source: Yu et al. 2025, "RLPR" [132]; the filter is `shaping.SpreadFilter`.
    """

    filter: SpreadFilter = field(default_factory=SpreadFilter)
    """With its running mean."""

    own_extent: ClassVar[Extent] = "batch"

    def keeps(self, inputs: AdvantageInputs) -> Bool[np.ndarray, " g"]:
        """By the mean of earlier batches; `updated` comes afterwards."""
        return self.inside(inputs.reward, inputs.grouped)

    def inside(self, reward: Floats, groups: Groups) -> Bool[np.ndarray, " g"]:
        """Whether each group is kept.

        Args:
            reward: (n,), NaN where there is none.
            groups: of the completions.
        """
        return self.filter.keep(groups.laid(reward)) if len(groups) else np.ones(groups.count, dtype=bool)

    def updated(self, inputs: AdvantageInputs) -> Self:
        """With the batch's spread, that of all its groups, in the running mean."""
        seen = self.filter.updated(inputs.grouped.laid(inputs.reward)) if len(inputs) else self.filter
        return replace(self, of=self.of.updated(self.shown(inputs)), filter=seen)

    def state(self) -> dict[str, Any]:
        """The filter's step and mean, and the state of the one inside."""
        return {"step": self.filter.step, "mean": self.filter.mean, "of": self.of.state()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """In a state that `state` gave."""
        seen = replace(self.filter, step=int(state["step"]), mean=state["mean"])
        return replace(self, of=self.of.restored(state["of"]), filter=seen)


def left_out_groups(
    estimator: Any, reward: Floats, groups: Labels | Groups, *, correct: Floats | None = None
) -> Bool[np.ndarray, " g"]:  # fmt: skip
    """Which groups the filters of a method leave out of a batch.

    Args:
        estimator: of the method, in its state before the batch; `WithinAccuracy` and `SpreadFiltered` in it, or in what
            it wraps, have a say.
        reward: (n,) what the optimiser sees, NaN where there is none.
        groups: labels (n,), or `Groups`.
        correct: (n,) 1 right, 0 wrong, NaN not known; None where it is not asked.

    Returns:
        (g,) in the order of the groups' codes.
    """
    found = Groups.of(groups)
    gone = np.zeros(found.count, dtype=bool)
    while estimator is not None:
        if isinstance(estimator, WithinAccuracy) and correct is not None:
            gone |= ~estimator.inside(np.where(np.isnan(reward), np.nan, correct), found)
        if isinstance(estimator, SpreadFiltered):
            gone |= ~estimator.inside(reward, found)
        estimator = getattr(estimator, "of", None)
    return gone


def idle_groups(
    estimator: Any, reward: Floats, groups: Labels | Groups, *, correct: Floats | None = None,
    lost: Bool[np.ndarray, " n"] | None = None,
) -> Bool[np.ndarray, " g"]:  # fmt: skip
    """Which groups are known to have nothing to teach: at least two rewards, all equal, or left out by a filter.

    A group in which the machine failed to judge a completion is not among them: what it would have taught is not known.
    Nor is one with fewer than two rewards.

    Args:
        estimator: of the method, see `left_out_groups`.
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
    idle = (low == high) | left_out_groups(estimator, reward, found, correct=correct)
    enough = np.bincount(found.code[there], minlength=found.count) >= 2
    broken = np.zeros(found.count, dtype=bool)
    if lost is not None:
        broken[found.code[np.asarray(lost, dtype=bool)]] = True
    return np.asarray(idle & enough & ~broken)


def _part(inputs: AdvantageInputs, keep: NDArray[np.bool_]) -> AdvantageInputs:
    """The completions that stay, whole groups, as a batch of their own."""
    whole = keep[inputs.owner]

    def cut(name: str, at: NDArray[np.bool_]) -> Any:
        given = getattr(inputs, name)
        return None if given is None else given[at]

    _, code = np.unique(inputs.grouped.code[keep], return_inverse=True)  # no code without a completion
    return AdvantageInputs(
        inputs.reward[keep], code.astype(np.int64).reshape(-1), inputs.lengths[keep],
        tasks=None if inputs.tasks is None else tuple(t for t, kept in zip(inputs.tasks, keep, strict=True) if kept),
        compared=None if inputs.compared is None else _compared(inputs.compared, keep),
        columns={name: column[keep] for name, column in inputs.columns.items()},
        **{name: cut(name, keep) for name in SAMPLE_COLUMNS}, **{name: cut(name, whole) for name in TOKEN_COLUMNS},
    )  # fmt: skip


def _compared(told: Compared, keep: NDArray[np.bool_]) -> Compared:
    """The pairs of those that stay, by their new places."""
    place: Int[np.ndarray, " n"] = np.cumsum(keep) - 1
    both = keep[told.pairs].all(axis=1)
    strength = None if told.strength is None else told.strength[both]
    return Compared(place[told.pairs[both]], told.probability[both], strength)
