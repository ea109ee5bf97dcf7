"""Majority vote within a group: the answer that most siblings give counts as right.

Differs from the paper: where classes tie for the most votes, or a candidate has no siblings, the reward abstains
instead of picking one; answers are compared as mathematics, not as strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Scope
from plaudit.rewards.verdicts import SampleReward, Verdict
from plaudit.rewards.verifiers.agreement.classes import NONE, answer_classes, answers_of, majority_label
from plaudit.rewards.verifiers.math.extraction import parse_rules


def groups_of(samples: Sequence[Sample]) -> dict[object, list[int]]:
    """Indices of the samples of each group; without a group, of each prompt."""
    found: dict[object, list[int]] = {}
    for i, sample in enumerate(samples):
        found.setdefault(sample.group if sample.group is not None else sample.prompt, []).append(i)
    return found


@final
@dataclass(frozen=True)
class MajorityReward(SampleReward):
    """1 where a candidate gives its group's majority answer, 0 where it gives another; no answer is a fault.

    It abstains for the whole group where no answer has more votes than every other, where fewer than two candidates
    answered, or where the majority's share of the answers is below `least_share`.

    Source: Zuo et al. 2025, "TTRL: Test-Time Reinforcement Learning"; as the label-free baseline of [140].
    """

    least_share: float = 0.0
    """Share of the group's answers that the majority must have."""
    extract: str = "boxed,hashes,phrase,tag"
    """Where the answer is looked for, as in `verify/math`; without `last`: who declares no answer has no vote."""

    kind: ClassVar[str] = "verify/majority"
    scope: ClassVar[Scope] = "group"

    def __post_init__(self) -> None:
        parse_rules(self.kind, self.extract)
        if not 0 <= self.least_share <= 1:
            raise InputError(f"{self.kind}: least_share is {self.least_share}; give a share, between 0 and 1")

    def verdict(self, sample: Sample) -> Verdict:
        """A sample alone has no siblings to agree with."""
        return self.verdicts([sample])[0]

    def verdicts(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Lets each group vote."""
        found: list[Verdict | None] = [None] * len(samples)
        answers = answers_of(samples, parse_rules(self.kind, self.extract))
        for members in groups_of(samples).values():
            classes = answer_classes([answers[i] for i in members])
            for i, verdict in zip(members, self._voted(classes, [answers[i] for i in members]), strict=True):
                found[i] = verdict
        return [v for v in found if v is not None]

    def _voted(self, classes: NDArray[np.int64], answers: Sequence[str | None]) -> list[Verdict]:
        voters = int((classes != NONE).sum())
        label = majority_label(classes)
        share = float((classes == label).sum() / voters) if label is not None else 0.0
        undecided = label is None or voters < 2 or share < self.least_share
        return [
            Verdict.fault("no answer, or several", extracted=None)
            if c == NONE
            else Verdict.abstained("the group is undecided", extracted=a, voters=voters)
            if undecided
            else Verdict.scored(float(c == label), extracted=a, share=share, voters=voters)
            for c, a in zip(classes.tolist(), answers, strict=True)
        ]
