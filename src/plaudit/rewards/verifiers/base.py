"""What every verifier is: a reward that checks against a reference and carries the attacks that must fail."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.records.sample import Completion, Sample, conversation
from plaudit.rewards.verdicts import SampleReward


def case(question: str, completion: Completion, reference: Any = None, *, group: str | None = None) -> Sample:
    """A sample with a plain question, for the right answers and the attacks of a verifier."""
    return Sample(conversation(question), completion, reference, group)


@dataclass(frozen=True, slots=True)
class Twin:
    """A completion that looks like a right answer to a careless verifier, and must not pass.

    Attributes:
        attack: the family, such as `empty answer` or `every candidate listed`; lower case.
        sample: the attack, with the reference it is made against.
        most: the largest reward that is not a pass: what an honest wrong answer of the same kind may get; None for the
            verifier's floor.
    """

    attack: str
    sample: Sample
    most: float | None = None


class Verifier(SampleReward):
    """A reward that checks a completion against its sample's reference.

    Subclasses are frozen dataclasses whose fields are the options. Besides `verdict` they say what must pass
    and what must not: `plaudit audit --reward verify/NAME` and `plaudit.testing.VerifierContract` run both.
    """

    @abstractmethod
    def honest(self) -> Sequence[Sample]:
        """Right answers, each of which must get the highest reward: a verifier that refuses everything is no use."""

    @abstractmethod
    def twins(self) -> Sequence[Twin]:
        """The attacks that this verifier is known to face; `derived_twins` adds those that every verifier faces."""
