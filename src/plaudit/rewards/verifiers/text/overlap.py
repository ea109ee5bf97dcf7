"""Token F1: how many words the answer and a gold answer share.

Differs from the paper: numbers are compared as numbers (see `words`), and an answer of which normalisation leaves
nothing earns nothing, where SQuAD 2.0 lets no answer match no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import answer_in, check_place, golds
from plaudit.rewards.verifiers.text.exact import check_language
from plaudit.rewards.verifiers.text.words import clip, normalised_or_literal, token_f1


@dataclass(frozen=True)
class F1Verifier(Verifier):
    """The largest token F1 between the answer and a gold answer, after SQuAD's normalisation.

    The reference is a text, a number, or a list of these.

    Source: Rajpurkar et al. 2016, "SQuAD".
    """

    kind: ClassVar[str] = "verify/f1"

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
        """Compares the answer's words with those of every gold answer."""
        gold = golds(sample.reference)
        found = answer_in(sample.text, self.within, self.after)
        if found.reason:
            return Verdict.fault(found.reason)
        answer = self._tokens(found.text)
        scores = [token_f1(answer, self._tokens(g)) for g in gold]
        best = max(scores)
        return Verdict.scored(best, extracted=clip(found.text), gold=clip(gold[scores.index(best)]), words=len(answer))

    def _tokens(self, text: str) -> list[str]:
        return normalised_or_literal(text, articles=self.language == "en", numbers=self.numbers).split()

    def _wrapped(self, answer: str) -> str:
        return f"<answer>{self.after}{answer}</answer>" if self.within == "answer" else f"{self.after}{answer}"

    def honest(self) -> Sequence[Sample]:
        """The gold answer, in another case, order of golds and with an article."""
        ask = "Where did the treaty end the war?"
        return (
            case(ask, self._wrapped("In the Palace of Versailles."), ["Paris", "in palace of Versailles"]),
            case(ask, self._wrapped("palace of versailles"), "the Palace of Versailles"),
        )

    def twins(self) -> Sequence[Twin]:
        """Lists and floods lose precision; look-alikes share nothing."""
        gold = "Palace of Versailles"
        attacks = {
            # 3 of 7 words shared: F1 = 6 / 10
            "every candidate listed": ("Palace of Versailles Paris Lima Geneva Rome", 0.6),
            "contradiction": ("Palace of Versailles, no, Palace of Fontainebleau", 0.6),
            "look-alike letters": ("P\u0430l\u0430ce \u043ef Vers\u0430illes", 0.0),
            "over-long answer": ("Versailles " * 20_000, 1e-3),
            "keyword stuffing": ("Versailles Versailles Versailles palace palace palace of of of", 0.5),
        }
        return tuple(
            Twin(name, case("Where?", self._wrapped(text), gold), most) for name, (text, most) in attacks.items()
        )
