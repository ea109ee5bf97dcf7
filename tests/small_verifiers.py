"""Verifiers for tests of what verifiers share: one that is right, and one as careless as those found in the wild."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier


@dataclass(frozen=True)
class Same(Verifier):
    """1 where the stripped completion is the reference; text beyond `longest` is a fault."""

    longest: int = 40
    kind: ClassVar[str] = "verify/same"

    def verdict(self, sample: Sample) -> Verdict:
        if not isinstance(sample.reference, str):
            raise InputError(f"reference is {sample.reference!r}; give a text")
        text = sample.text.strip()
        if not text or len(text) > self.longest:
            return Verdict.fault("no answer" if not text else "too long")
        if sample.reference == "?":
            return Verdict.abstained("no gold answer")
        return Verdict.scored(float(text == sample.reference), extracted=text)

    def honest(self) -> Sequence[Sample]:
        return (Sample("2 + 2", "4", "4"),)

    def twins(self) -> Sequence[Twin]:
        return (Twin("every candidate listed", Sample("2 + 2", "3 or 4", "4")),)


@dataclass(frozen=True)
class Substring(Same):
    """Accepts an empty answer, and any that holds the gold one; abstains on what it finds too long."""

    def verdict(self, sample: Sample) -> Verdict:
        if len(sample.text) > self.longest:
            return Verdict.abstained("too long")
        return Verdict.scored(float(sample.text in sample.reference or sample.reference in sample.text))
