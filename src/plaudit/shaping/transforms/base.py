"""Transforms, from reward batch to reward batch; and `Shaped`: a reward with a transform is a reward again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, Self, final, runtime_checkable

import numpy as np

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope

Bounds = tuple[float, float]
SCOPES: tuple[Scope, ...] = ("sample", "group", "batch")
"""From what can be scored by itself to what needs the most."""


@runtime_checkable
class Transform(Protocol):
    """From what a reward says to what an optimiser should see; pure, given its state.

    Attributes:
        kind: short and stable, the part of its reference after `shape/`.
        scope: what must be shaped together.
        fingerprint: hash of everything that decides what it gives, its state included.
    """

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def scope(self) -> Scope: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def limits(self, bounds: Bounds) -> Bounds:
        """Lowest and highest shaped reward of a reward with these bounds."""
        ...

    def __call__(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:
        """The shaped batch."""
        ...

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:
        """The transform after a batch of unshaped rewards was seen: score once, shape, then update."""
        ...

    def state(self) -> Mapping[str, Any]:
        """What a run keeps, so that its resume goes on with `restored`; empty where there is nothing to keep."""
        ...

    def restored(self, state: Mapping[str, Any]) -> Self:
        """The transform in a state that `state` gave."""
        ...


@dataclass(frozen=True)
class ValueTransform(ABC):
    """A transform of the reward alone: `shaped` has the formula, the rest is shared.

    Rewards that do not count stay as they are and are seen by no formula (they are `NaN` there). A policy's own faults
    count: they are shaped like every other reward. `std`, `noise`, `steps` and `tokens` are those of the unshaped
    reward and are left out; so are members, unless the transform acts on each reward by itself. `detail` keeps the
    `unshaped` reward.
    """

    kind: ClassVar[str]
    scope: ClassVar[Scope] = "sample"
    remembered: ClassVar[tuple[str, ...]] = ()
    """Fields that are state: what `updated` changes and `state` saves."""

    @property
    def fingerprint(self) -> str:
        """Hash of the kind and of every field."""
        return content_hash([self.kind, [[f.name, _plain(getattr(self, f.name))] for f in fields(self)]])

    @abstractmethod
    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:
        """The formula: rewards (n,), NaN where there is none, to shaped ones, NaN there and nowhere else."""

    @abstractmethod
    def limits(self, bounds: Bounds) -> Bounds:
        """See `Transform`."""

    def __call__(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:
        """Shapes the rewards that count.

        Raises:
            ShapeError: if there are not as many samples as rewards.
        """
        if len(batch) != len(samples):
            raise ShapeError(f"{self.kind}: {len(batch)} rewards for {len(samples)} samples; they must be as many")
        if not len(batch):
            return batch
        members = None
        if batch.members is not None and self.scope == "sample":
            counted = np.where(batch.valid[:, None], batch.members, np.nan)
            members = np.stack([self.shaped(column, samples) for column in counted.T], axis=1)
        detail = tuple(
            {"unshaped": float(r), **row} if ok else row  # of several transforms the first one saw the reward itself
            for row, r, ok in zip(batch.detail, batch.reward, batch.valid, strict=True)
        )
        return RewardBatch(
            self.shaped(batch.reward, samples), batch.outcome, members=members, aspects=batch.aspects, detail=detail
        )

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """Itself: it has no state."""
        return self

    def fitted(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:
        """The transform with a state of these unshaped rewards alone: those of the policy that training starts from."""
        return self.updated(batch, samples)

    def state(self) -> dict[str, Any]:
        """What a run keeps, so that its resume goes on with `restored`; empty where there is nothing to keep."""
        return {}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """The transform in a state that `state` gave.

        Raises:
            InputError: if the state is another transform's.
        """
        if state:
            raise InputError(f"{self.kind}: has no state, and was given {sorted(state)}; it is another transform's")
        return self


@final
@dataclass(frozen=True)
class Shaped:
    """A reward with a transform. Two with equal parts are equal.

    Attributes:
        of: the reward.
        by: the transform, in the state that it was given; a loop that trains takes `of` and `by` apart, scores once,
            shapes, and goes on with `by.updated(batch, samples)`.

    Raises:
        InputError: if the shaped reward would have no floor.
    """

    of: Reward
    by: Transform

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not math.isfinite(low) or not low <= high:
            raise InputError(
                f"{self.name}: bounds would be {low} to {high}, and a reward needs a finite floor; clip it first "
                "(shape/clip?low=...)"
            )

    @property
    def name(self) -> str:
        """`kind(name of the reward)`."""
        return f"{self.by.kind}({self.of.name})"

    @property
    def scope(self) -> Scope:
        """The larger of the two."""
        return max(self.of.scope, self.by.scope, key=SCOPES.index)

    @property
    def bounds(self) -> Bounds:
        """What the transform makes of the reward's."""
        return self.by.limits(self.of.bounds)

    @property
    def fingerprint(self) -> str:
        """Of both."""
        return content_hash(["shaped", self.of.fingerprint, self.by.fingerprint])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores and shapes; a policy's own faults are worth the floor."""
        return self.shape(self.of(samples), samples)

    def shape(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:
        """What the reward's own batch becomes, for a loop that has scored already."""
        shaped = self.by(batch, samples)
        low, high = self.bounds
        fault = shaped.outcome == Outcome.POLICY_FAULT
        kept = np.clip(shaped.reward, low, high)  # NaN stays; what rounding put a hair outside is put back
        members = None if shaped.members is None else np.where(fault[:, None], low, shaped.members)
        return replace(shaped, reward=np.where(fault, low, kept), members=members)


def checked_state(who: str, state: Mapping[str, Any], like: Iterable[str]) -> Mapping[str, Any]:
    """A saved state, if it has the entries that it must have, each a number, a list of numbers, or None.

    Raises:
        InputError: if it has others.
    """
    if set(state) != set(like):
        raise InputError(f"{who}: the state has {sorted(state)}; give {sorted(like)}")
    for key, value in state.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and (isinstance(one, bool) or not isinstance(one, int | float)):
                raise InputError(f"{who}: the state's {key} is {one!r}; give what {who} saved, in numbers")
    return state


def _plain(value: Any) -> Any:
    """A field as a hash reads it: what has a fingerprint of its own stands for itself by it."""
    return getattr(value, "fingerprint", None) or (value.to_dict() if hasattr(value, "to_dict") else value)
