"""Several rewards as one reward, with outcomes respected: `combine/NAME` in references and recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final, get_args

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.shaping.combine import gates, means, sums
from plaudit.shaping.transforms.base import SCOPES, Bounds
from plaudit.shaping.transforms.ranked import groups_of

_ANY = Sample((), "")
"""Stands for any sample where bounds are combined."""
How = Literal["weighted", "minimum", "harmonic", "gated", "lexicographic"]


@final
@dataclass(frozen=True)
class Term:
    """A reward in a combination.

    Attributes:
        reward: what it is.
        weight: at least 0; a penalty is a reward that falls.
        threshold: for `gated`, what the reward must reach for the later terms to count.
        tolerance: for `lexicographic`, what counts as a tie.
    """

    reward: Reward
    weight: float = 1.0
    threshold: float = -math.inf
    tolerance: float = 0.0


@final
@dataclass(frozen=True)
class Combined:
    """Several rewards as one. Two with equal terms are equal.

    If any term is an instrument's fault, timed out or abstained (in this order), so is the whole; a term that is the
    policy's own fault contributes its floor, and where all terms are, so is the whole. Terms' rewards are kept as
    `aspects`.

    Attributes:
        terms: in the order of their priority where there is one.
        how: `weighted` sum; `minimum`; `harmonic` mean of weights that sum to 1; `gated` by thresholds; `lexicographic`
            rank within the group.

    Raises:
        InputError: if there is no term, a term has no floor, or weights or bounds are not what they must be.
    """

    terms: tuple[Term, ...]
    how: How = "weighted"
    labels: tuple[str, ...] = field(init=False, compare=False)
    """Names of the terms in `aspects`: those of the rewards, numbered where two are equal."""

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise InputError(f"combine: {self.how!r} is not known; {nearest(self.how, get_args(How))}")
        if not self.terms:
            raise InputError(f"combine/{self.how}: there are no terms; give at least one")
        names = [t.reward.name for t in self.terms]
        object.__setattr__(self, "labels", _distinct(names))
        low = np.array([[t.reward.bounds[0] for t in self.terms]])
        if not np.isfinite(low).all():
            bare = names[int(np.argmin(np.isfinite(low[0])))]
            raise InputError(f"combine/{self.how}: {bare} has no floor; clip it first (shape/clip?low=...)")
        self._value(low, [_ANY])  # says what is wrong with weights, thresholds and bounds

    @property
    def name(self) -> str:
        """`how(names of the terms)`."""
        return f"{self.how}({', '.join(t.reward.name for t in self.terms)})"

    @property
    def scope(self) -> Scope:
        """The largest of the terms'; at least the group where ranks decide."""
        own: Scope = "group" if self.how == "lexicographic" else "sample"
        return max([own, *(t.reward.scope for t in self.terms)], key=SCOPES.index)

    @property
    def bounds(self) -> Bounds:
        """What the terms' bounds come to."""
        low, high = (np.array([t.reward.bounds[i] for t in self.terms]) for i in (0, 1))
        w = np.array([t.weight for t in self.terms])
        match self.how:
            case "lexicographic":
                return 0.0, 1.0
            case "gated":  # what is not let through counts 0
                ends = np.minimum(low, 0.0), np.maximum(high, 0.0)
                ends[0][0], ends[1][0] = low[0], high[0]
                return float((w * ends[0]).sum()), _top(w, ends[1])
            case "weighted":
                return float((w * low).sum()), _top(w, high)
        least, most = (float(self._value(end[None], [_ANY])[0]) for end in (low, high))
        return least, most

    @property
    def fingerprint(self) -> str:
        """Of the terms, their numbers and how they are combined."""
        told = [[t.reward.fingerprint, t.weight, t.threshold, t.tolerance] for t in self.terms]
        return content_hash(["combine", self.how, told])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples with every term."""
        return self.combine([t.reward(samples) for t in self.terms], samples) if samples else RewardBatch(np.zeros(0))

    def combine(self, batches: Sequence[RewardBatch], samples: Sequence[Sample]) -> RewardBatch:
        """What the terms' own batches come to, for a loop that has scored already.

        Args:
            batches: one a term, in their order.
            samples: that were scored.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        outcomes = np.stack([b.outcome for b in batches], axis=1)
        floors = np.array([t.reward.bounds[0] for t in self.terms])
        values = np.where(outcomes == Outcome.POLICY_FAULT, floors, np.stack([b.reward for b in batches], axis=1))
        worst = outcomes.max(axis=1)  # the values of Outcome rise in the order in which a combination takes the worse
        faults = (outcomes == Outcome.POLICY_FAULT).all(axis=1)
        outcome = np.where(worst > Outcome.POLICY_FAULT, worst, np.where(faults, Outcome.POLICY_FAULT, Outcome.SCORED))
        counted = outcome <= Outcome.POLICY_FAULT
        found = self._value(np.where(counted[:, None], values, np.nan), samples)
        low, high = self.bounds
        reward = np.where(outcome == Outcome.POLICY_FAULT, low, np.clip(found, low, high))
        detail = tuple(_detail(self.labels, batches, i) for i in range(len(samples)))
        return RewardBatch(
            np.where(counted, reward, np.nan), outcome.astype(np.int8),
            aspects=dict(zip(self.labels, values.T, strict=True)), detail=detail,
        )  # fmt: skip

    def _value(self, values: Floats, samples: Sequence[Sample]) -> Floats:
        weights = [t.weight for t in self.terms]
        match self.how:
            case "weighted":
                return sums.weighted_sum(values, weights)
            case "minimum":
                return means.minimum(values)
            case "harmonic":
                return means.harmonic_mean(values, weights)
            case "gated":
                return gates.gated(values, weights, [t.threshold for t in self.terms])
        return gates.lexicographic_ranks(values, groups_of(samples), tolerance=[t.tolerance for t in self.terms])


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Each name once: with its place where two are equal, and with more of it where that is taken too."""
    found = [name if names.count(name) == 1 else f"{name}-{i + 1}" for i, name in enumerate(names)]
    return tuple(found) if len(set(found)) == len(found) else tuple(f"{i + 1}-{name}" for i, name in enumerate(names))


def _top(weights: Floats, high: Floats) -> float:
    """The weighted sum of upper bounds, in which an infinite one without weight counts nothing."""
    return float(np.where(weights > 0, weights, 1.0)[weights > 0] @ high[weights > 0])


def _detail(labels: Sequence[str], batches: Sequence[RewardBatch], i: int) -> dict[str, Any]:
    """The terms' details, and the outcome of a term where it is not `SCORED`."""
    found: dict[str, Any] = {}
    for label, batch in zip(labels, batches, strict=True):
        outcome = Outcome(int(batch.outcome[i]))
        row = dict(batch.detail[i]) | ({} if outcome is Outcome.SCORED else {"outcome": outcome.name.lower()})
        if row:
            found[label] = row
    return found


TERM: dict[str, set[str]] = {
    "weighted": {"reward", "weight"}, "harmonic": {"reward", "weight"}, "minimum": {"reward"},
    "gated": {"reward", "weight", "threshold"}, "lexicographic": {"reward", "tolerance"},
}  # fmt: skip
"""What a term of each combination may say."""


def _opened(how: How, terms: Sequence[Mapping[str, Any]]) -> Combined:
    from plaudit.rewards.registry import load

    if not isinstance(terms, Sequence) or isinstance(terms, str):
        raise InputError(f"combine/{how}: terms are {terms!r}; give a list of {{reward: ..., weight: ...}}")
    found = []
    for i, term in enumerate(terms):
        if not isinstance(term, Mapping) or "reward" not in term:
            raise InputError(f"combine/{how}: term {i + 1} is {term!r}; give a mapping with a reward")
        for key in term:
            if key not in TERM[how]:
                raise InputError(f"combine/{how}: term {i + 1}: unknown key {key!r}; {nearest(str(key), TERM[how])}")
        numbers = {k: _number(f"combine/{how}: term {i + 1}: {k}", v) for k, v in term.items() if k != "reward"}
        reward = term["reward"]
        found.append(Term(reward if isinstance(reward, Reward) else load(reward), **numbers))
    return Combined(tuple(found), how)


def _number(where: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} is {value!r}; give a number") from error


def weighted(terms: Sequence[Mapping[str, Any]]) -> Combined:
    """`combine/weighted`: a list of `{weight, reward}`."""
    return _opened("weighted", terms)


def minimum(terms: Sequence[Mapping[str, Any]]) -> Combined:
    """`combine/minimum`: a list of `{reward}`."""
    return _opened("minimum", terms)


def harmonic(terms: Sequence[Mapping[str, Any]]) -> Combined:
    """`combine/harmonic`: a list of `{weight, reward}`, weights of sum 1, rewards of at least 0."""
    return _opened("harmonic", terms)


def gated(terms: Sequence[Mapping[str, Any]]) -> Combined:
    """`combine/gated`: a list of `{weight, reward, threshold}`, the highest priority first."""
    return _opened("gated", terms)


def lexicographic(terms: Sequence[Mapping[str, Any]]) -> Combined:
    """`combine/lexicographic`: a list of `{reward, tolerance}`, the highest priority first."""
    return _opened("lexicographic", terms)
