"""Length as a reward: the yardstick that every learned reward must beat, and a rein for a policy's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.rules.segments import segments
from plaudit.rewards.verdicts import SampleReward, Verdict


@final
@dataclass(frozen=True)
class LengthReward(SampleReward):
    """Words of the completion, how near they come to a target, or how far they stay below a cap.

    `sign * words` by itself; `-abs(words - target) / target` with a target; `-max(0, words - cap) / cap` with a cap;
    the latter two not below -1. Words are Unicode segments that hold a letter or a digit.
    """

    target: int = 0
    """Words that a completion should have; 0 for none."""
    cap: int = 0
    """Words that a completion should not exceed; 0 for none."""
    sign: int = 1
    """1 where longer is better, -1 where shorter is; used without target and cap."""

    kind: ClassVar[str] = "rule/length"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name, value in (("target", self.target), ("cap", self.cap)):
            if value < 0:
                raise InputError(f"{self.kind}: {name} is {value}; give words, at least 0 (0 for none)")
        if self.target and self.cap:
            raise InputError(f"{self.kind}: target is {self.target} and cap {self.cap}; give one of them")
        if self.sign not in (1, -1):
            raise InputError(f"{self.kind}: sign is {self.sign}; give 1 (longer is better) or -1 (shorter is better)")

    @property
    def name(self) -> str:
        """`length`, `shortness`, `length-TARGET` or `length-cap-CAP`."""
        if self.cap:
            return f"length-cap-{self.cap}"
        return f"length-{self.target}" if self.target else ("length" if self.sign > 0 else "shortness")

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """[-1, 0] with a target or a cap; else no words are the one end and no limit the other (its floor: -1e6)."""
        if self.target or self.cap:
            return -1.0, 0.0
        return (0.0, float("inf")) if self.sign > 0 else (-1e6, 0.0)

    def verdict(self, sample: Sample) -> Verdict:
        """Counts words; every sample is scored."""
        words = len(segments(sample.text))
        if self.target:
            reward = -abs(words - self.target) / self.target
        elif self.cap:
            reward = -max(0, words - self.cap) / self.cap
        else:
            reward = float(self.sign * words)
        return Verdict.scored(max(reward, self.bounds[0]), words=words)
