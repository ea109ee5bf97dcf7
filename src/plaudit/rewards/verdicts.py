"""Rewards that judge one sample at a time: a verdict a sample, and the base class that makes a `Reward` of them."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from plaudit.errors import InputError
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, RewardBatch, Scope


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one sample is worth, and why.

    Make it with `scored`, `fault`, `abstained`, `timed_out` or `broken`: the outcome is then the one meant.

    Attributes:
        outcome: one of `Outcome`.
        reward: in the reward's units; None stands for the floor of a fault, and for NaN where the outcome has none.
        detail: what was extracted, compared, and why: JSON values.
        aspects: named dimensions of the reward.
    """

    outcome: Outcome
    reward: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    aspects: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def scored(cls, reward: float, *, aspects: Mapping[str, float] | None = None, **detail: Any) -> Verdict:
        """The sample was judged."""
        return cls(Outcome.SCORED, float(reward), detail, aspects or {})

    @classmethod
    def fault(cls, reason: str, **detail: Any) -> Verdict:
        """The candidate brought it about that it cannot be judged: no answer, a loop, a flood. Worth the floor."""
        return cls(Outcome.POLICY_FAULT, None, {"reason": reason, **detail})

    @classmethod
    def abstained(cls, reason: str, **detail: Any) -> Verdict:
        """The reward cannot say, and the candidate is not the cause: a reference that no one can read."""
        return cls(Outcome.ABSTAINED, None, {"reason": reason, **detail})

    @classmethod
    def timed_out(cls, reason: str, **detail: Any) -> Verdict:
        """The machine was too slow, as a retry and a canary have shown; not the candidate."""
        return cls(Outcome.TIMED_OUT, None, {"reason": reason, **detail})

    @classmethod
    def broken(cls, reason: str, **detail: Any) -> Verdict:
        """The instrument failed, as a retry and a canary have shown; not the candidate."""
        return cls(Outcome.INSTRUMENT_FAULT, None, {"reason": reason, **detail})


def assemble(verdicts: Sequence[Verdict], floor: float) -> RewardBatch:
    """The batch of n verdicts, in their order.

    Args:
        verdicts: one a sample.
        floor: what a `POLICY_FAULT` is worth.
    """
    reward = [floor if v.outcome is Outcome.POLICY_FAULT else math.nan if v.reward is None else v.reward
              for v in verdicts]  # fmt: skip
    names = dict.fromkeys(name for v in verdicts for name in v.aspects)
    return RewardBatch(
        np.array(reward, dtype=np.float64),
        np.array([v.outcome for v in verdicts], dtype=np.int8),
        aspects={name: np.array([v.aspects.get(name, math.nan) for v in verdicts]) for name in names},
        detail=tuple(dict(v.detail) for v in verdicts),
    )


class SampleReward(ABC):
    """A reward that needs nothing but the sample: subclasses are frozen dataclasses of options with one method.

    Attributes:
        kind: the name in the registry, such as `verify/math`; errors begin with it.
        version: raised whenever the same options begin to give other rewards: logs of older ones are then not mixed in.
        bounds: lowest and highest reward; the lower one is the floor.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "sample"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def name(self) -> str:
        """The last part of `kind`: short, and fit for a metric's key."""
        return self.kind.rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """Hash of kind, version and options."""
        return content_hash([self.kind, self.version, self.options()])

    def options(self) -> dict[str, Any]:
        """The options that rewards depend on, by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}  # type: ignore[arg-type]

    @abstractmethod
    def verdict(self, sample: Sample) -> Verdict:
        """Judges one sample.

        Raises:
            InputError: if the sample's reference is none that this reward can use. The message begins with `reference`;
                who and which sample is added.
        """

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judges samples one after the other; rewards that work on many at once override it."""
        found = []
        for i, sample in enumerate(samples):
            with self.about(i):
                found.append(self.verdict(sample))
        return found

    @contextmanager
    def about(self, index: int) -> Iterator[None]:
        """Puts the reward's kind and the sample's number before the message of an `InputError`."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self.kind}: sample {index}: {error}") from error

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Judges samples, in their order.

        Raises:
            InputError: if a sample has no reference that this reward can use.
        """
        return assemble(self.verdicts(samples), self.bounds[0])
