"""Instruction constraints: the 25 kinds of IFEval, strict and loose; the reward is the fraction met.

Differs from the paper: where IFEval leaves an argument out it draws one at random; here that is an error. The modules
of `constraints` say what differs in single kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.constraints.kinds import Check, constraints_of, loose_variants
from plaudit.rewards.verifiers.structure.json_text import Malformed, read_json
from plaudit.rewards.verifiers.text.words import blank


def strict_and_loose(response: str, checks: Sequence[Check]) -> tuple[list[bool], list[bool]]:
    """Which constraints a response meets as it is, and which it meets in one of its loose variants.

    Args:
        response: the whole response.
        checks: one a constraint.

    Returns:
        Two lists in the order of the checks; a response or variant that is blank meets nothing.
    """
    variants = [v for v in dict.fromkeys(loose_variants(response)) if not blank(v)]
    strict = [not blank(response) and check(response) for check in checks]
    loose = [met or any(check(v) for v in variants) for met, check in zip(strict, checks, strict=True)]
    return strict, loose


@dataclass(frozen=True)
class InstructionsVerifier(Verifier):
    """The fraction of the row's constraints that the response meets; an empty answer meets none.

    The reference is `{"instruction_id_list": [...], "kwargs": [...]}` as IFEval publishes it, or its JSON text.

    Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models" (IFEval); the fraction as a
    reward: Lambert et al. 2024, "Tulu 3".
    """

    kind: ClassVar[str] = "verify/instructions"

    loose: bool = False
    """Whether a constraint counts that a loose variant meets: without first or last line, without asterisks."""
    all: bool = False
    """Whether only a response that meets every constraint is worth anything."""

    def verdict(self, sample: Sample) -> Verdict:
        """Checks every constraint, strictly and loosely."""
        named = constraints_of(_read(sample.reference))
        names, checks = [name for name, _ in named], [check for _, check in named]
        if blank(sample.text):
            none = [False] * len(checks)
            return Verdict.fault("empty answer", strict=none, loose=none, instructions=names)
        strict, loose = strict_and_loose(sample.text, checks)
        counted = loose if self.loose else strict
        met = sum(counted) / len(counted)
        reward = float(met == 1.0) if self.all else met
        aspects = {"strict": sum(strict) / len(strict), "loose": sum(loose) / len(loose)}
        return Verdict.scored(reward, aspects=aspects, strict=strict, loose=loose, instructions=names)

    def honest(self) -> Sequence[Sample]:
        """A response that meets four constraints at once, and one in German."""
        several = {
            "instruction_id_list": [
                "keywords:existence", "length_constraints:number_words", "startend:end_checker",
                "detectable_format:title",
            ],
            "kwargs": [
                {"keywords": ["solar", "panel"]}, {"num_words": 20, "relation": "at least"},
                {"end_phrase": "Any other questions?"}, {},
            ],
        }  # fmt: skip
        text = (
            "<<On roofs>>\nA solar panel turns light into power, and the roof of a house is a fine place for one, "
            "since nobody needs it for anything else.\nAny other questions?"
        )
        german = {"instruction_id_list": ["language:response_language"], "kwargs": [{"language": "de"}]}
        answer = "Der Hafen war im Januar zugefroren, und kein Schiff konnte die Insel verlassen."
        return case("Write about roofs.", text, several), case("Write about the harbour.", answer, german)

    def twins(self) -> Sequence[Twin]:
        """Blank and stuffed responses, all options at once, look-alikes, texts that careless patterns are slow on."""

        def asked(name: str, **arguments: Any) -> dict[str, Any]:
            return {"instruction_id_list": [name], "kwargs": [arguments]}

        spaces, nothing = "\n" * 50_000, "\u200b \u200b"
        attacks = (
            ("empty answer", nothing, asked("punctuation:no_comma")),
            ("empty answer", nothing, asked("length_constraints:number_words", num_words=100, relation="less than")),
            ("every candidate listed", "My answer is yes. My answer is no. My answer is maybe.",
             asked("detectable_format:constrained_response")),
            ("contradiction", "Same answer.******Same answer.", asked("combination:two_responses")),
            ("contradiction", '{"a": 1, "a": 2}', asked("detectable_format:json_format")),
            ("format alone", "<<>>", asked("detectable_format:title")),
            ("format alone", "** ** * *", asked("detectable_format:number_highlighted_sections", num_highlights=1)),
            ("format alone", "123 456", asked("language:response_language", language="fr")),
            ("look-alike letters", "First\uff0c then\u060c last", asked("punctuation:no_comma")),
            ("look-alike letters", "p\u0430nel", asked("keywords:existence", keywords=["panel"])),
            ("keyword stuffing", "panel " * 50, asked("keywords:frequency", keyword="panel", frequency=3,
                                                     relation="less than")),
            ("over-long answer", "word " * 40_000, asked("length_constraints:number_words", num_words=100,
                                                         relation="less than")),
            ("quadratic text", "[" * 200_000, asked("detectable_content:number_placeholders", num_placeholders=1)),
            ("quadratic text", "<<" * 100_000, asked("detectable_format:title")),
            ("quadratic text", spaces + "x", asked("detectable_format:number_bullet_lists", num_bullets=1)),
            ("quadratic text", spaces + "x", asked("detectable_content:postscript", postscript_marker="P.S.")),
            ("quadratic text", "." * 200_000 + "x", asked("length_constraints:number_sentences", num_sentences=2,
                                                          relation="at least")),
        )  # fmt: skip
        return tuple(Twin(name, case("Do as you are told.", text, reference)) for name, text, reference in attacks)


def _read(reference: Any) -> Any:
    if not isinstance(reference, str):
        return reference
    try:
        return read_json(reference)
    except Malformed as error:
        raise InputError(f"reference is {reference!r:.60}, {error}; give IFEval's object or its JSON text") from error
