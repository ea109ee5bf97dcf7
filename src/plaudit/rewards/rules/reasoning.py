"""Reasoning patterns: how many of the phrases of deliberate reasoning an answer has [12].

Differs from the paper: the list of phrases is ours; 20-grams are of Unicode words, and every repetition counts, not
each repeated one once; a text shorter than 20 words has no repetition. It says nothing about whether the reasoning is
right: use it beside a verifier, as `calibrated_by_pattern` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.rules.repetition import distinct_share
from plaudit.rewards.rules.segments import segments
from plaudit.rewards.verdicts import SampleReward, Verdict

PHRASES = (
    "first", "second", "third", "next", "then", "finally", "therefore", "thus", "hence", "because", "since", "so that",
    "let me", "let's", "wait", "however", "but", "actually", "alternatively", "on the other hand", "if we", "suppose",
    "assume", "consider", "recall", "notice", "note that", "we know", "we need", "we get", "we have", "which means",
    "this means", "it follows", "step by step", "check", "verify", "double-check", "in other words", "in summary",
)  # fmt: skip
"""Forty phrases, each counted once."""


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)") for phrase in PHRASES)


def pattern_hits(text: str) -> int:
    """How many different phrases of `PHRASES` a text has, as whole words, upper and lower case alike."""
    lowered = text.lower().replace("\u2019", "'")
    return sum(pattern.search(lowered) is not None for pattern in _patterns())


def calibrated_by_pattern(
    reward: Float[np.ndarray, " n"],
    pattern: Float[np.ndarray, " n"],
    *,
    threshold: float = 0.5,
    weight: float = 0.1,
) -> NDArray[np.float64]:
    """Where a noisy reward says wrong, the reasoning pattern softens it: `r + weight * pattern` below the threshold.

    Args:
        reward: noisy rewards, (n,).
        pattern: reasoning-pattern rewards in [0, 1], (n,).
        threshold: below it the reward says wrong.
        weight: of the pattern; the paper has 0.1 for a reward model, 1 for a verifier (whose wrong answers are 0).

    Source: Lv et al. 2025 [12], section 5.
    """
    return np.where(np.asarray(reward) < threshold, reward + weight * np.asarray(pattern), reward)


@final
@dataclass(frozen=True)
class ReasoningPatternReward(SampleReward):
    """`max(0, min(1, phrases / target) - repeated 20-grams / 20-grams - turns invented)`.

    Turns invented are the times that the text writes `user: ` itself.

    Source: Lv et al. 2025, "The Climb Carves Wisdom Deeper Than the Summit" [12].
    """

    target: int = 20
    """Different phrases that earn the full reward."""
    n: int = 20
    """Words of the n-grams whose repetition is taken off."""

    kind: ClassVar[str] = "rule/reasoning-pattern"

    def __post_init__(self) -> None:
        if not 1 <= self.target <= len(PHRASES):
            raise InputError(f"{self.kind}: target is {self.target}; there are {len(PHRASES)} phrases, give 1 to that")
        if self.n < 1:
            raise InputError(f"{self.kind}: n is {self.n}; give at least 1 word")

    def verdict(self, sample: Sample) -> Verdict:
        """Counts phrases, repetitions and invented turns."""
        hits, turns = pattern_hits(sample.text), sample.text.lower().count("user: ")
        repeated = 1 - distinct_share(segments(sample.text.lower()), self.n)
        value = max(0.0, min(1.0, hits / self.target) - repeated - turns)
        return Verdict.scored(value, phrases=hits, repeated=repeated, turns=turns)
