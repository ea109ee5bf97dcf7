"""Regular expression: the answer matches a pattern, in full or somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import answer_in, check_place
from plaudit.rewards.verifiers.text.patterns import Mode, Ran, compiled, search
from plaudit.rewards.verifiers.text.words import clip


@dataclass(frozen=True)
class RegexVerifier(Verifier):
    """1 where the answer matches the pattern, else 0.

    The reference is a pattern, or a list of which one must match; without a reference the option `pattern` counts. An
    empty answer never matches, whatever the pattern. A search that the candidate's text makes endless is its fault.
    """

    kind: ClassVar[str] = "verify/regex"

    pattern: str = ""
    """The pattern of rows that have no reference."""
    search: bool = False
    """Whether a match anywhere counts; else the whole answer must match."""
    within: str = "completion"
    """Where the answer stands: completion (all of it), answer (inside `<answer>`), line (the last one)."""
    timeout: float = 0.5
    """Seconds of processor time for a search; one retry gets three times as much."""

    def __post_init__(self) -> None:
        check_place(self.kind, self.within)
        if not 0.0 < self.timeout <= 60.0:
            raise InputError(f"{self.kind}: timeout is {self.timeout}; give seconds, more than 0 and at most 60")
        if self.pattern:
            try:
                compiled(self.pattern)
            except InputError as error:
                raise InputError(f"{self.kind}: {error}") from error

    def verdict(self, sample: Sample) -> Verdict:
        """Tries each pattern in turn."""
        patterns = self._patterns(sample.reference)
        found = answer_in(sample.text, self.within)
        if found.reason:
            return Verdict.fault(found.reason)
        mode: Mode = "search" if self.search else "full"
        for pattern in patterns:
            ran = search(pattern, found.text, mode=mode, timeout=self.timeout)
            if ran.ran is Ran.SLOW_MACHINE:
                return Verdict.timed_out("the canary ran out of time as well", pattern=clip(pattern))
            if ran.ran is Ran.EXPLODED:
                return Verdict.fault("the answer makes the search endless", pattern=clip(pattern))
            if ran.ran is Ran.MATCHED:
                return Verdict.scored(1.0, extracted=clip(ran.text), pattern=clip(pattern), reason="matches")
        return Verdict.scored(0.0, extracted=clip(found.text), pattern=clip(patterns[0]), reason="does not match")

    def _patterns(self, reference: Any) -> list[str]:
        given = self.pattern if reference is None else reference
        patterns = list(given) if isinstance(given, list | tuple) else [given]
        if not patterns or not all(isinstance(p, str) and p for p in patterns):
            raise InputError(f"reference is {reference!r:.80}; give a pattern, a list of them, or the option pattern")
        for pattern in patterns:
            try:
                compiled(pattern)
            except InputError as error:
                raise InputError(f"reference: {error}") from error
        return patterns

    def _wrapped(self, answer: str) -> str:
        return f"<answer>{answer}</answer>" if self.within == "answer" else answer

    def honest(self) -> Sequence[Sample]:
        """A date and an order number in full."""
        return (
            case("When?", self._wrapped("2024-05-17"), r"\d{4}-\d{2}-\d{2}"),
            case("Which order?", self._wrapped("AB-1234"), [r"\d{6}", r"[A-Z]{2}-\d+"]),
        )

    def twins(self) -> Sequence[Twin]:
        """Texts around the answer, look-alikes, floods and texts that explode."""
        date = r"\b\d{4}-\d{2}-\d{2}\b" if not self.search else r"^\d{4}-\d{2}-\d{2}$"
        attacks = (
            ("every candidate listed", "2024-05-17 2024-05-18 2024-05-19", date),
            ("contradiction", "2024-05-17, no: 2024-05-18", date),
            ("look-alike letters", "\u0410\u0412-1234", r"^[A-Z]{2}-\d+$"),
            ("over-long answer", "2024-05-17" * 20_000, date),
            ("keyword stuffing", "date year month day 2024 05 17", date),
            ("exploding search", "a" * 40 + "!", r"^(?:a+)+$"),
            ("exploding search", "a" * 4_000 + "!", r"^(?:a|a)*$"),
        )
        return tuple(Twin(name, case("When?", self._wrapped(text), p)) for name, text, p in attacks)
