"""What every reward is: a callable from samples to a `RewardBatch` that says honestly what happened.

An answer that could not be parsed, a judge that refused, a time-out: not the same as a wrong answer, and not
the same as each other. The outcome of a sample says which, and the reward is NaN exactly where it must not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.records.sample import Sample

Scope = Literal["sample", "group", "batch"]
Floats = NDArray[np.float64]


class Outcome(IntEnum):
    """What became of one sample.

    `SCORED` and `POLICY_FAULT` carry a reward (the latter the floor: whatever the candidate can bring about is
    its own fault). The other three carry NaN and leave every mean, baseline and normaliser.
    """

    SCORED = 0
    POLICY_FAULT = 1
    ABSTAINED = 2
    TIMED_OUT = 3
    INSTRUMENT_FAULT = 4

    @property
    def counts(self) -> bool:
        """Whether a sample with this outcome has a reward."""
        return self <= Outcome.POLICY_FAULT


@dataclass(frozen=True)
class RewardBatch:
    """Rewards of n samples, with what is known about each.

    Attributes:
        reward: float64 (n,), in the reward's own units; NaN exactly where `outcome` does not count.
        outcome: int8 (n,), values of `Outcome`.
        std: epistemic standard deviation (n,), or None.
        noise: aleatoric standard deviation (n,), or None.
        members: rewards of ensemble members (n, k), or None; the deviation of a difference needs them.
        aspects: named dimensions, each (n,).
        steps: for each sample the rewards of its steps, or None.
        tokens: for each sample rewards with their character spans, arrays (t, 3) of start, end, reward; or None.
        detail: for each sample whatever explains its reward: extracted answer, error, timing, cost.

    Raises:
        ShapeError: if the arrays do not have the same length.
        InputError: if the reward is not NaN exactly where the outcome says so, or infinite.
    """

    reward: Floats
    outcome: NDArray[np.int8] = None  # type: ignore[assignment]  # filled in __post_init__
    std: Floats | None = None
    noise: Floats | None = None
    members: Floats | None = None
    aspects: Mapping[str, Floats] = field(default_factory=dict)
    steps: tuple[Floats, ...] | None = None
    tokens: tuple[Floats, ...] | None = None
    detail: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        reward = np.asarray(self.reward, dtype=np.float64)
        given = self.outcome is not None
        outcome = np.asarray(self.outcome, np.int8) if given else np.zeros(reward.shape, np.int8)
        detail = tuple(self.detail) or tuple({} for _ in range(reward.size))
        _set(self, reward=reward, outcome=outcome, detail=detail)
        for name in ("std", "noise", "members"):
            value = getattr(self, name)
            if value is not None:
                _set(self, **{name: np.asarray(value, dtype=np.float64)})
        _set(self, aspects={k: np.asarray(v, dtype=np.float64) for k, v in self.aspects.items()})
        self._check()

    def _check(self) -> None:
        n = self.reward.size
        if self.reward.ndim != 1:
            raise ShapeError(f"RewardBatch: reward has shape {self.reward.shape}; it must be (n,)")
        columns = {
            "outcome": self.outcome,
            "std": self.std,
            "noise": self.noise,
            "members": self.members,
            "steps": self.steps,
            "tokens": self.tokens,
            "detail": self.detail,
            **{f"aspect {name!r}": values for name, values in self.aspects.items()},
        }
        for name, column in columns.items():
            if column is not None and len(column) != n:
                raise ShapeError(f"RewardBatch: {name} has {len(column)} entries for {n} rewards")
            rank = 2 if name == "members" else 1
            if isinstance(column, np.ndarray) and column.ndim != rank:
                raise ShapeError(
                    f"RewardBatch: {name} has shape {column.shape}; it must be {('(n,)', '(n, k)')[rank - 1]}"
                )
        unknown = np.flatnonzero(~np.isin(self.outcome, list(Outcome)))
        if unknown.size:
            i = int(unknown[0])
            raise InputError(
                f"RewardBatch: outcome {int(self.outcome[i])} of sample {i} is not one of {[o.value for o in Outcome]}"
            )
        counted = self.outcome <= Outcome.POLICY_FAULT
        bad = np.flatnonzero(np.where(counted, ~np.isfinite(self.reward), ~np.isnan(self.reward)))
        if bad.size:
            i = int(bad[0])
            raise InputError(
                f"RewardBatch: sample {i} is {Outcome(int(self.outcome[i])).name} with reward {self.reward[i]}; "
                "a reward is finite where it is SCORED or POLICY_FAULT and NaN elsewhere"
            )

    def __len__(self) -> int:
        return int(self.reward.size)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where the sample has a reward that counts, (n,)."""
        return np.asarray(self.outcome <= Outcome.POLICY_FAULT)

    def take(self, index: ArrayLike) -> RewardBatch:
        """The samples at `index` (integers, or a boolean mask), in that order."""
        at = np.arange(len(self))[np.asarray(index)]

        def some(x: Floats | None) -> Floats | None:
            return None if x is None else x[at]

        return replace(
            self,
            reward=self.reward[at],
            outcome=self.outcome[at],
            std=some(self.std),
            noise=some(self.noise),
            members=some(self.members),
            aspects={k: v[at] for k, v in self.aspects.items()},
            steps=None if self.steps is None else tuple(self.steps[i] for i in at),
            tokens=None if self.tokens is None else tuple(self.tokens[i] for i in at),
            detail=tuple(self.detail[i] for i in at),
        )

    @classmethod
    def concat(cls, batches: Sequence[RewardBatch]) -> RewardBatch:
        """One batch from several; a column that some of them lack is NaN (or absent) there."""
        if not batches:
            return cls(np.zeros(0))
        names = sorted({name for b in batches for name in b.aspects})

        def column(pick: Any) -> Floats | None:
            parts = [pick(b) for b in batches]
            if all(p is None for p in parts):
                return None
            widths = {p.shape[1:] for p in parts if p is not None}
            if len(widths) > 1:
                counts = sorted(int(w[0]) for w in widths)
                raise ShapeError(f"RewardBatch.concat: members number {counts}; join batches of one ensemble")
            width = next(iter(widths))
            return np.concatenate(
                [np.full((len(b), *width), math.nan) if p is None else p for b, p in zip(batches, parts, strict=True)]
            )

        def ragged(pick: Any, *shape: int) -> tuple[Floats, ...] | None:
            if all(pick(b) is None for b in batches):
                return None
            empty = np.zeros((0, *shape))
            return tuple(x for b in batches for x in (pick(b) if pick(b) is not None else (empty,) * len(b)))

        return cls(
            reward=np.concatenate([b.reward for b in batches]),
            outcome=np.concatenate([b.outcome for b in batches]),
            std=column(lambda b: b.std),
            noise=column(lambda b: b.noise),
            members=column(lambda b: b.members),
            aspects={k: column(lambda b, k=k: b.aspects.get(k)) for k in names},  # type: ignore[misc]
            steps=ragged(lambda b: b.steps),
            tokens=ragged(lambda b: b.tokens, 3),
            detail=tuple(d for b in batches for d in b.detail),
        )


def _set(batch: RewardBatch, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(batch, name, value)


@runtime_checkable
class Reward(Protocol):
    """Where a reward comes from: a model, a rule, a verifier, a judge.

    Attributes:
        name: stable and short: the metric key in hosts and logs.
        scope: what must be scored together; callers keep it whole or refuse.
        bounds: lowest and highest reward; the lower one is the floor of a policy's own faults.
        fingerprint: hash of weights, template, options and code: the key of logs and caches.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def scope(self) -> Scope: ...  # noqa: D102
    @property
    def bounds(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; one entry a sample, in their order."""
        ...


@dataclass(frozen=True)
class PreferenceBatch:
    """Preferences between n pairs of samples.

    Attributes:
        probability: float64 (n,), that the first is better, ties counted half; NaN where the outcome does not count.
        outcome: int8 (n,), values of `Outcome`.
        tie: probability of a tie (n,), or None.
        std: epistemic standard deviation of the probability (n,), or None.
        aspects: named dimensions, each a probability (n,).
        detail: for each pair whatever explains it.
    """

    probability: Floats
    outcome: NDArray[np.int8]
    tie: Floats | None = None
    std: Floats | None = None
    aspects: Mapping[str, Floats] = field(default_factory=dict)
    detail: tuple[Mapping[str, Any], ...] = ()


@runtime_checkable
class Comparison(Protocol):
    """Preferences between samples, which need not be transitive."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def __call__(self, first: Sequence[Sample], second: Sequence[Sample]) -> PreferenceBatch:
        """Compares pairs; one entry a pair, in their order."""
        ...
