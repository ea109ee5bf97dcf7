"""A user's direction: what matters to one person, as a unit vector over the aspects of a reward [133].

Differs from the paper: directions of any number of named aspects, where it has arcs of two; training a policy that is
conditioned on the direction belongs to `policy`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope


def unit_direction(direction: Float[np.ndarray, "... k"]) -> Float[np.ndarray, "... k"]:
    """Vectors of length 1.

    Args:
        direction: weights of the aspects, along the last axis.

    Raises:
        InputError: if a vector is zero or not finite.
    """
    given = np.asarray(direction, dtype=np.float64)
    length = np.linalg.norm(given, axis=-1, keepdims=True)
    if not np.isfinite(length).all() or not (length > 0).all():
        raise InputError(f"direction: {given.tolist()} has no direction; give finite weights that are not all zero")
    return np.asarray(given / length)


def along(aspects: Float[np.ndarray, "... k"], direction: Float[np.ndarray, "... k"]) -> Float[np.ndarray, ...]:
    """`v . r` with the direction brought to length 1.

    Args:
        aspects: of samples, along the last axis.
        direction: one for all, or as many.

    Raises:
        ShapeError: if the numbers of aspects differ.
        InputError: if a direction is zero or not finite.

    Source: Wang et al. 2024, "Arithmetic Control of LLMs for Diverse User Preferences", section 3.2 [133].
    """
    if np.shape(aspects)[-1:] != np.shape(direction)[-1:]:
        raise ShapeError(f"along: aspects are {np.shape(aspects)} and the direction {np.shape(direction)}")
    return np.asarray((np.asarray(aspects, np.float64) * unit_direction(direction)).sum(axis=-1))


def best_along(aspects: Float[np.ndarray, "b n k"], direction: Float[np.ndarray, "b k"]) -> Int[np.ndarray, " b"]:
    """Which of n candidates is best in each prompt's direction; the first of equal ones.

    Args:
        aspects: of each candidate.
        direction: of each prompt's user.

    Raises:
        ShapeError: if shapes do not belong together.
    """
    return np.asarray(along(aspects, np.asarray(direction)[:, None, :]).argmax(axis=1))


def arc(n: int, *, low: float = -45.0, high: float = 0.0) -> Float[np.ndarray, "n 2"]:
    """Directions `(cos t, sin t)` of two aspects, evenly from one angle to the other.

    The paper's arc for helpfulness and verbosity goes from -45 degrees (help, and be brief) to 0 (help).

    Args:
        n: at least 1; one direction is the middle.
        low: degrees.
        high: degrees.
    """
    if n < 1:
        raise InputError(f"arc: n is {n}; give at least 1")
    turn = np.radians(np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2]))
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


@final
class DirectionReward:
    """The aspects of a reward, projected on a user's direction.

    Aspects that the direction does not name count nothing. A sample whose reward counts but one of whose aspects is
    missing abstains. `std` and `noise` are left out: they are those of the reward's own score.

    Args:
        of: a reward with aspects.
        direction: aspect to weight, brought to length 1.
        floor: lowest reward.
        name: short and stable.

    Raises:
        InputError: if the direction is zero or not finite.
    """

    def __init__(
        self, of: Reward, direction: Mapping[str, float], *, floor: float = -1000.0, name: str = "direction"
    ) -> None:
        if not direction or not math.isfinite(floor):
            raise InputError(f"{name}: direction {dict(direction)}, floor {floor}; give aspects and a finite floor")
        self.of, self.name, self.floor = of, name, floor
        self.direction = dict(zip(direction, unit_direction(np.array(list(direction.values()))).tolist(), strict=True))

    @property
    def scope(self) -> Scope:
        """That of the reward."""
        return self.of.scope

    @property
    def bounds(self) -> tuple[float, float]:
        """The floor, and infinity: what an aspect may be is not known."""
        return self.floor, float("inf")

    @property
    def fingerprint(self) -> str:
        """Of the reward, the direction and the floor."""
        return content_hash(["direction", self.of.fingerprint, sorted(self.direction.items()), self.floor])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Projects samples' aspects.

        Raises:
            InputError: if the reward does not give an aspect that the direction names.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        said = self.of(samples)
        for name in self.direction:
            if name not in said.aspects:
                raise InputError(f"{self.name}: {self.of.name} gives no aspect {name!r}; {nearest(name, said.aspects)}")
        table = np.stack([said.aspects[name] for name in self.direction], axis=1)
        known = np.asarray(np.isfinite(table).all(axis=1))
        # a policy's own fault is worth the floor, whatever its aspects are
        fault, scored = said.outcome == Outcome.POLICY_FAULT, said.outcome == Outcome.SCORED
        outcome = np.where(scored & ~known, Outcome.ABSTAINED, said.outcome).astype(np.int8)
        value = along(np.where(known, table.T, 0.0).T, np.array(list(self.direction.values())))
        counted = np.where(outcome == Outcome.SCORED, np.maximum(value, self.floor), np.nan)
        reward: Floats = np.where(fault, self.floor, counted)
        return RewardBatch(reward, outcome, aspects=said.aspects, detail=said.detail)


def open_direction(of: Any, direction: str, floor: float = -1000.0) -> DirectionReward:
    """A reward along `helpful:0.8,brief:-0.6`.

    Args:
        of: a reference to a reward with aspects.
        direction: aspects with their weights, divided by commas.
        floor: lowest reward.

    Raises:
        InputError: if the direction cannot be read.
    """
    from plaudit.rewards.registry import load

    return DirectionReward(load(of), read_direction(direction), floor=floor)


def read_direction(text: str) -> dict[str, float]:
    """Aspect to weight of `helpful:0.8,brief:-0.6`.

    Raises:
        InputError: if a part has no weight, or names an aspect again.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight = (x.strip() for x in part.rpartition(":"))
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not colon or not name or name in found or not math.isfinite(value):
            raise InputError(
                f"combine/direction: direction is {text!r}; give aspects with weights, such as helpful:0.8,brief:-0.6"
            )
        found[name] = value
    return found
