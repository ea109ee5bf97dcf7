"""Exact match: the answer is one of the gold answers, up to case, punctuation and articles.

Differs from the paper: signs, points and separators inside numbers count (see `words`; `42.0` is not `42`), an empty
answer never matches, not even a gold answer of which normalisation leaves nothing, and the articles are English ones:
switch them off for other languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import answer_in, check_place, golds
from plaudit.rewards.verifiers.text.words import clip, normalised_or_literal


def check_language(kind: str, language: str) -> None:
    """Refuses what is no language code.

    Raises:
        InputError: naming the verifier `kind`.
    """
    if not language.isalpha() or not language.islower() or len(language) not in (2, 3):
        raise InputError(f"{kind}: language is {language!r}; give an ISO 639 code such as en or de")


@dataclass(frozen=True)
class ExactVerifier(Verifier):
    """1 where the answer equals a gold answer after SQuAD's normalisation, else 0.

    The reference is a text, a number, or a list of these (any of them is right).

    Source: Rajpurkar et al. 2016, "SQuAD".
    """

    kind: ClassVar[str] = "verify/exact"

    within: str = "completion"
    """Where the answer stands: completion (all of it), answer (inside `<answer>`), line (the last one)."""
    after: str = ""
    """A phrase such as `The answer is:`; what follows its last occurrence is the answer. Empty for none."""
    language: str = "en"
    """ISO 639 code; articles are dropped for en only."""
    numbers: bool = True
    """Whether signs, decimal points and separators inside numbers count; false is the published rule."""

    def __post_init__(self) -> None:
        check_place(self.kind, self.within)
        check_language(self.kind, self.language)

    def verdict(self, sample: Sample) -> Verdict:
        """Compares the answer with every gold answer."""
        gold = golds(sample.reference)
        found = answer_in(sample.text, self.within, self.after)
        if found.reason:
            return Verdict.fault(found.reason)
        articles = self.language == "en"
        answer = normalised_or_literal(found.text, articles=articles, numbers=self.numbers)
        wanted = [normalised_or_literal(g, articles=articles, numbers=self.numbers) for g in gold]
        matched = next((g for g, w in zip(gold, wanted, strict=True) if w == answer), None)
        return Verdict.scored(
            float(matched is not None),
            extracted=clip(found.text),
            compared=clip(answer),
            gold=clip(matched if matched is not None else gold[0]),
            reason="equal" if matched is not None else "not equal",
        )

    def _wrapped(self, answer: str) -> str:
        return f"<answer>{self.after}{answer}</answer>" if self.within == "answer" else f"{self.after}{answer}"

    def honest(self) -> Sequence[Sample]:
        """The gold answer, and another spelling of it."""
        ask = "Which city is the capital of Peru?"
        texts = ("Lima", "lima.", "**Lima**")
        return (
            *(case(ask, self._wrapped(text), "Lima") for text in texts),
            case("How much is it?", self._wrapped("$1,234.5"), ["1234.5", "about 1234"]),
        )

    def twins(self) -> Sequence[Twin]:
        """Lists, contradictions, look-alikes, numbers that only punctuation tells apart, and floods."""
        ask = "Which city is the capital of Peru?"
        attacks = {
            "every candidate listed": "Lima, Cusco, Arequipa",
            "contradiction": "Lima. No, Cusco.",
            "look-alike letters": "L\u0456ma",
            "over-long answer": "Lima " * 20_000,
            "keyword stuffing": "Lima Lima Lima",
        }
        words = tuple(Twin(name, case(ask, self._wrapped(text), "Lima")) for name, text in attacks.items())
        if not self.numbers:
            return words
        numbers = (("15", "1.5"), ("5", "-5"), ("35", "3/5"), ("\u0661.5", "1.5"))
        return (*words, *(Twin("near number", case("?", self._wrapped(text), gold)) for text, gold in numbers))
