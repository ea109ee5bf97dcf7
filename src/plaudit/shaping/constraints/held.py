"""`combine/constrained`: several rewards, each asked to reach its point and no more, by multipliers that follow [117].

Differs from the paper: the task, staying near the starting policy, is the run's own KL (`--kl-coef`), not an advantage
that gets what weight is left; rewards are added before the advantage, in their own units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.shaping.combine.combined import Combined, Term
from plaudit.shaping.constraints.multipliers import Kind, Multipliers
from plaudit.shaping.transforms.base import Bounds, Shaped

TERM = ("reward", "threshold")
"""What a term of `combine/constrained` says."""


@final
@dataclass(frozen=True)
class Held:
    """`sum_i s_i r_i` of a combination's terms, s the weights of `Multipliers`; a combination has them as aspects.

    A multiplier moves after each batch by the mean of its reward over the samples that count, policy faults included.
    """

    names: tuple[str, ...]
    """Of the terms, as the combination's aspects have them."""
    lows: tuple[float, ...]
    """Lower bounds of the terms, finite."""
    highs: tuple[float, ...]
    """Upper bounds of the terms."""
    multipliers: Multipliers = field(kw_only=True)
    """Points, steps and state."""

    kind: ClassVar[str] = "constrained"
    scope: ClassVar[Scope] = "sample"

    def __call__(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:  # noqa: ARG002
        """The weighted sum where a sample counts."""
        if not len(batch):
            return batch
        table = self._table(batch)
        counted = batch.outcome <= Outcome.POLICY_FAULT
        reward = np.where(counted, table @ self.multipliers.weights, np.nan)
        return RewardBatch(reward, batch.outcome, aspects=batch.aspects, detail=batch.detail)

    def limits(self, bounds: Bounds) -> Bounds:  # noqa: ARG002
        """What the terms' bounds come to with weights in [0, 1], or in [-1, 1] for `equal`."""
        ends = np.array([self.lows, self.highs])
        least = -np.abs(ends).max(axis=0) if self.multipliers.kind == "equal" else np.minimum(ends[0], 0.0)
        most = np.abs(ends).max(axis=0) if self.multipliers.kind == "equal" else np.maximum(ends[1], 0.0)
        return float(least.sum()), float(most.sum())

    def updated(self, batch: RewardBatch, samples: Sequence[Sample]) -> Self:  # noqa: ARG002
        """With the multipliers moved by a batch's mean rewards; a batch in which nothing counts moves none."""
        counted = batch.outcome <= Outcome.POLICY_FAULT
        if not counted.any():
            return self
        return replace(self, multipliers=self.multipliers.updated(self._table(batch)[counted].mean(axis=0)))

    def state(self) -> dict[str, Any]:
        """Multipliers and velocities."""
        return self.multipliers.state()

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With what `state` gave.

        Raises:
            InputError: if it is another's.
        """
        return replace(self, multipliers=self.multipliers.restored(state))

    @property
    def fingerprint(self) -> str:
        """Of everything, the state included."""
        m = self.multipliers
        told = [list(m.thresholds), m.kind, m.rate, m.momentum, m.clip, m.state()]
        return content_hash([self.kind, list(self.names), list(self.lows), list(self.highs), told])

    def _table(self, batch: RewardBatch) -> Floats:
        for name in self.names:
            if name not in batch.aspects:
                raise InputError(f"constrained: the batch has no term {name!r}; {nearest(name, batch.aspects)}")
        return np.stack([batch.aspects[name] for name in self.names], axis=1)


def open_constrained(
    terms: Sequence[Mapping[str, Any]], kind: Kind = "at-least", rate: float = 0.01, momentum: float = 0.9,
    clip: float = 1.0,
) -> Shaped:  # fmt: skip
    """`combine/constrained`: rewards that are each held at a point.

    Args:
        terms: a list of `{reward, threshold}`; the threshold is the mean that the reward is to reach, in its units
            (`plaudit.shaping.constraints.search_thresholds` finds it).
        kind: `at-least` (weights in [0, 1]), or `equal` (in [-1, 1]: what is above its point is pushed down).
        rate: of the multipliers' step.
        momentum: of the multipliers, in [0, 1).
        clip: largest size of a multiplier's gradient.

    Raises:
        InputError: if a term lacks a reward or a threshold, has another key, or a reward has no finite bounds.
    """
    from plaudit.rewards.registry import load

    if not isinstance(terms, Sequence) or isinstance(terms, str) or not terms:
        raise InputError(f"combine/constrained: terms are {terms!r}; give a list of {{reward: ..., threshold: ...}}")
    found: list[tuple[Reward, float]] = []
    for i, term in enumerate(terms):
        if not isinstance(term, Mapping):
            raise InputError(
                f"combine/constrained: term {i + 1} is {term!r}; give a mapping with a reward and a threshold"
            )
        for key in term:
            if key not in TERM:
                raise InputError(f"combine/constrained: term {i + 1}: unknown key {key!r}; {nearest(str(key), TERM)}")
        if lacking := [key for key in TERM if key not in term]:
            raise InputError(f"combine/constrained: term {i + 1} has no {lacking[0]}; give it a reward and a threshold")
        reward, threshold = term["reward"], term["threshold"]
        if isinstance(threshold, bool) or not isinstance(threshold, int | float):
            raise InputError(f"combine/constrained: term {i + 1}: threshold is {threshold!r}; give a number")
        found.append((reward if isinstance(reward, Reward) else load(reward), float(threshold)))
    if kind == "equal" and (open_ := [r.name for r, _ in found if not np.isfinite(r.bounds[1])]):
        raise InputError(f"combine/constrained: {open_[0]} has no upper bound, and kind is equal; clip it first")
    inner = Combined(tuple(Term(reward) for reward, _ in found))
    lows, highs = (tuple(float(r.bounds[i]) for r, _ in found) for i in (0, 1))
    held = Multipliers(tuple(t for _, t in found), kind, rate, momentum, clip)
    return Shaped(inner, Held(inner.labels, lows, highs, multipliers=held))
