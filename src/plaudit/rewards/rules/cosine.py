"""Rewards that depend on the length of an answer and on whether it is right [191].

Differs from the paper: lengths are words or characters unless a caller has token counts (`cosine_length` takes any
unit); an answer whose correctness is not known keeps that outcome.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward
from plaudit.rewards.rules.segments import segments
from plaudit.rewards.verdicts import SampleReward, Verdict


def cosine_length(
    length: Float[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    *,
    limit: float,
    correct_at_0: float = 2.0,
    correct_at_limit: float = 1.0,
    wrong_at_0: float = -10.0,
    wrong_at_limit: float = 0.0,
    exceeded: float = -10.0,
    margin: float = 16.0,
) -> NDArray[np.float64]:
    """Short right answers are worth most, short wrong ones least, and what runs into the limit is worth `exceeded`.

    `v_L + (v_0 - v_L)(1 + cos(pi L / limit)) / 2`, with `v_0` and `v_L` by correctness; `exceeded` where
    `L + margin >= limit`, right or wrong.

    Args:
        length: L, (n,), in the unit of `limit`.
        correct: whether the answer is right, (n,).
        limit: the longest length; above 0.
        correct_at_0: worth of a right answer of length 0.
        correct_at_limit: of one that reaches the limit.
        wrong_at_0: worth of a wrong answer of length 0.
        wrong_at_limit: of one that reaches the limit.
        exceeded: worth of an answer that runs into the limit.
        margin: lengths this close to the limit count as running into it.

    Raises:
        InputError: if the limit is not above 0.

    Source: Yeo et al. 2025, "Demystifying Long Chain-of-Thought Reasoning in LLMs" [191], section 4.
    """
    if not limit > 0:
        raise InputError(f"cosine_length: limit is {limit}; give a length above 0")
    start = np.where(correct, correct_at_0, wrong_at_0)
    end = np.where(correct, correct_at_limit, wrong_at_limit)
    value = end + 0.5 * (start - end) * (1 + np.cos(math.pi * np.asarray(length, np.float64) / limit))
    return np.where(np.asarray(length) + margin >= limit, exceeded, value)


def length_scaled(
    length: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, limit: float, k: float = 0.5
) -> NDArray[np.float64]:
    """`(k + (1 - k) c)(1 - c)` for right answers, `c - 1` for wrong ones, `c = L / limit`: the cosine's alternative.

    Both are 0 at the limit. With k above 1/2 a right answer is worth the more, the shorter it is; below that it is
    worth most at `c = (1 - 2 k) / (2 (1 - k))`.

    Args:
        length: L, (n,), in the unit of `limit`; what is beyond the limit counts as the limit.
        correct: whether the answer is right, (n,).
        limit: the longest length; above 0.
        k: worth of a right answer of length 0, in [0, 1].

    Raises:
        InputError: if the limit is not above 0, or k outside [0, 1].

    Source: Yeo et al. 2025, "Demystifying Long Chain-of-Thought Reasoning in LLMs" [191], the length-scaled variant.
    """
    if not limit > 0 or not 0 <= k <= 1:
        raise InputError(f"length_scaled: limit is {limit} and k {k}; give a length above 0, and k in [0, 1]")
    c = np.minimum(np.asarray(length, np.float64) / limit, 1.0)
    return np.where(correct, (k + (1 - k) * c) * (1 - c), c - 1)


@final
@dataclass(frozen=True)
class CosineLengthReward(SampleReward):
    """`cosine_length` over the correctness that another reward gives; its faults count as wrong answers.

    An answer is right where the other reward is at least half of its highest.
    """

    of: str = "verify/math"
    """The reward that says what is right: a reference such as verify/math."""
    limit: int = 1024
    """The longest length."""
    margin: int = 0
    """Lengths this close to the limit run into it; the paper has 16 tokens."""
    unit: str = "words"
    """`words` (Unicode segments) or `characters`."""
    correct_at_0: float = 2.0
    """Worth of a right answer of length 0."""
    correct_at_limit: float = 1.0
    """Worth of a right answer that reaches the limit."""
    wrong_at_0: float = -10.0
    """Worth of a wrong answer of length 0."""
    wrong_at_limit: float = 0.0
    """Worth of a wrong answer that reaches the limit."""
    exceeded: float = -10.0
    """Worth of an answer that runs into the limit."""
    _judge: list[Reward] = field(default_factory=list, init=False, repr=False, compare=False)

    kind: ClassVar[str] = "rule/cosine-length"

    def __post_init__(self) -> None:
        if self.limit < 1 or not 0 <= self.margin < self.limit:
            raise InputError(f"{self.kind}: limit is {self.limit} and margin {self.margin}; give 0 <= margin < limit")
        if self.unit not in ("words", "characters"):
            raise InputError(f"{self.kind}: unit is {self.unit!r}; give 'words' or 'characters'")
        if not all(map(math.isfinite, self._values())):
            raise InputError(f"{self.kind}: values are {self._values()}; give finite numbers")

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """The smallest and the largest of the five values."""
        return min(self._values()), max(self._values())

    def options(self) -> dict[str, Any]:
        """The options, and what the other reward is."""
        return {**super().options(), "of": self._right().fingerprint}

    def verdict(self, sample: Sample) -> Verdict:
        """Judges one sample."""
        return self.verdicts([sample])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Asks the other reward about all samples at once."""
        judge = self._right()
        batch = judge(samples)
        lengths = np.array([self._length(s.text) for s in samples], dtype=np.float64)
        # a fault is worth the other reward's floor, so it is wrong
        right = np.nan_to_num(batch.reward, nan=-math.inf) >= judge.bounds[1] / 2
        values = cosine_length(
            lengths, right, limit=self.limit, margin=self.margin, exceeded=self.exceeded,
            correct_at_0=self.correct_at_0, correct_at_limit=self.correct_at_limit,
            wrong_at_0=self.wrong_at_0, wrong_at_limit=self.wrong_at_limit,
        )  # fmt: skip
        found = []
        for i, value in enumerate(values):
            outcome, detail = Outcome(int(batch.outcome[i])), {**batch.detail[i], "length": int(lengths[i])}
            if not outcome.counts:
                found.append(Verdict(outcome, None, detail))
            else:
                found.append(Verdict.scored(float(value), correct=bool(right[i]), **detail))
        return found

    def _length(self, text: str) -> int:
        return len(segments(text)) if self.unit == "words" else len(text)

    def _values(self) -> tuple[float, ...]:
        return (self.correct_at_0, self.correct_at_limit, self.wrong_at_0, self.wrong_at_limit, self.exceeded)

    def _right(self) -> Reward:
        if not self._judge:
            from plaudit.rewards.registry import load

            judge = load(self.of)
            if not math.isfinite(judge.bounds[1]) or judge.bounds[1] <= 0:
                raise InputError(
                    f"{self.kind}: of={self.of!r} has no highest reward above 0, so nothing is right by it"
                )
            self._judge.append(judge)
        return self._judge[0]
