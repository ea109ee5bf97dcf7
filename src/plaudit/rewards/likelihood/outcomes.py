"""From what was read of each sample to a `RewardBatch`, with an outcome that says what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.rewards.base import Outcome, RewardBatch

Floats = NDArray[np.float64]
TOO_LONG = "the completion alone is longer than max_length"
QUESTION_TOO_LONG = "with this completion the question is longer than max_length"
SYSTEM_TOO_LONG = "the system message leaves no room for the completion within max_length"
NO_TOKEN = "the completion has no token that counts"
OVERFLOWED = "the model's weights or activations overflowed"


@dataclass(frozen=True, slots=True)
class Scale:
    """From a score to a reward: `max((score - offset) / unit, floor)`.

    Attributes:
        offset: score that counts as reward 0.
        unit: score units per reward unit, positive.
        floor: lowest reward, and what a policy's own fault is worth.
    """

    offset: float = 0.0
    unit: float = 1.0
    floor: float = -100.0

    def __post_init__(self) -> None:
        if not np.isfinite([self.offset, self.unit, self.floor]).all() or self.unit <= 0:
            numbers = (self.offset, self.unit, self.floor)
            raise InputError(f"likelihood: offset, unit and floor are {numbers}; finite numbers, the unit positive")


@dataclass(frozen=True, slots=True)
class Found:
    """What one sample's reading gave.

    Attributes:
        score: in score units; None where there is nothing to read, for the reason in `detail`.
        steps: rewards of its steps, in score units.
        tokens: (t, 3), spans and score of its tokens.
        aspects: named parts, in score units.
        detail: JSON values.
        missing: what a score of None is: `POLICY_FAULT`, or `ABSTAINED` where the candidate did not bring it about.
    """

    score: float | None
    steps: Floats | None = None
    tokens: Floats | None = None
    aspects: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    missing: Outcome = Outcome.POLICY_FAULT


def fault(reason: str) -> Found:
    """The candidate brought it about that there is nothing to read: worth the floor."""
    return Found(None, detail={"reason": reason})


def abstention(reason: str) -> Found:
    """There is nothing to read whatever the candidate had said: no reward."""
    return Found(None, detail={"reason": reason}, missing=Outcome.ABSTAINED)


def no_room(what: str) -> Found:
    """An abstention: the question with what is named here does not fit, even with an empty candidate."""
    return abstention(f"{what} leaves no room for a completion within max_length")


def assembled(found: Sequence[Found], scale: Scale) -> RewardBatch:
    """The batch of n readings.

    Rewards are cut at the floor; what they were is then in the `detail`, as `below_floor`. Steps, tokens and aspects
    are in the reward's unit, without the offset and uncut, so that tokens sum to the score.

    Args:
        found: one a sample. A score of None is what its `missing` says; one that is not finite an `INSTRUMENT_FAULT`.
        scale: see `Scale`.
    """
    scores = np.array([np.nan if f.score is None else f.score for f in found], dtype=np.float64)
    unread = np.array([f.score is None for f in found], dtype=bool)
    good = np.isfinite(scores)
    missing = np.array([f.missing for f in found], dtype=np.int8)
    outcome = np.where(unread, missing, np.where(good, Outcome.SCORED, Outcome.INSTRUMENT_FAULT))
    uncut = (np.where(good, scores, 0.0) - scale.offset) / scale.unit
    lifted = np.maximum(uncut, scale.floor)
    reward = np.where(outcome == Outcome.POLICY_FAULT, scale.floor, np.where(good, lifted, np.nan))
    details = [dict(f.detail) for f in found]
    for i in np.flatnonzero(~good & ~unread):
        details[i]["error"] = f"score is {scores[i]}: {OVERFLOWED}"
    for i in np.flatnonzero(good & (uncut < scale.floor)):
        details[i]["below_floor"] = float(uncut[i])
    names = dict.fromkeys(name for f in found for name in f.aspects)

    def ragged(parts: list[Floats | None], *shape: int) -> tuple[Floats, ...] | None:
        if all(p is None for p in parts):
            return None
        return tuple(np.zeros((0, *shape)) if p is None else p for p in parts)

    return RewardBatch(
        reward, outcome.astype(np.int8),
        aspects={n: np.array([f.aspects.get(n, np.nan) for f in found]) / scale.unit for n in names},
        steps=ragged([None if f.steps is None else f.steps / scale.unit for f in found]),
        tokens=ragged([None if f.tokens is None else _in_unit(f.tokens, scale.unit) for f in found], 3),
        detail=tuple(details),
    )  # fmt: skip


def _in_unit(tokens: Floats, unit: float) -> Floats:
    return np.asarray(tokens / np.array([1.0, 1.0, unit]))
