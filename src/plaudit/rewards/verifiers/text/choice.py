"""Multiple choice: the answer names one option, and it is the right one."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import after_thinking
from plaudit.rewards.verifiers.text.letters import namings
from plaudit.rewards.verifiers.text.words import blank, clip, normalised_or_literal

_WANTED = (
    'give the letter or the text of the right option, or {"answer": ..., "choices": [...]} with choices in order of '
    "their letters (or a mapping of letter to text)"
)


def question(reference: Any) -> tuple[str, dict[str, str]]:
    """The right letter and the text of each letter.

    Args:
        reference: a letter (`B`, `(b)`), a text, or `{"answer": either, "choices": list or mapping}`. A text without
            choices becomes the only known choice, under the letter A.

    Returns:
        The right letter, A to Z, and the texts by letter; these are empty where the reference is a letter alone.

    Raises:
        InputError: if the reference is none of these, or the answer is none of the choices, or two are alike.
    """
    answer = reference.get("answer") if isinstance(reference, Mapping) else reference
    if not isinstance(answer, str) or blank(answer):
        raise InputError(f"reference is {reference!r:.80}; {_WANTED}")
    letter = answer.strip().strip("()[].: ")
    single = len(letter) == 1 and letter in string.ascii_letters
    given = reference.get("choices") if isinstance(reference, Mapping) else None
    if given is None:
        return (letter.upper(), {}) if single else ("A", {"A": answer.strip()})
    choices = _choices(given)
    matching = [k for k, v in choices.items() if normalised_or_literal(v) == normalised_or_literal(answer)]
    if single and letter.upper() in choices and not matching:
        return letter.upper(), choices
    if len(matching) != 1:
        raise InputError(f"reference answers {answer!r:.40}, which is none of the choices {sorted(choices)}; {_WANTED}")
    return matching[0], choices


def _choices(given: Any) -> dict[str, str]:
    if isinstance(given, Mapping):
        choices = {str(k).strip().strip("().").upper(): v for k, v in given.items()}
    elif isinstance(given, list | tuple):
        choices = dict(zip(string.ascii_uppercase, given, strict=False))
    else:
        raise InputError(f"reference has choices {given!r:.80}; {_WANTED}")
    texts = [normalised_or_literal(str(v)) for v in choices.values()]
    legal = all(len(k) == 1 and k in string.ascii_uppercase and isinstance(v, str | int | float) and str(v).strip()
                for k, v in choices.items())  # fmt: skip
    if not 2 <= len(given) <= 26 or len(choices) != len(given) or not legal or len(set(texts)) != len(texts):
        raise InputError(f"reference has choices {given!r:.80}; give 2 to 26 different texts that are not empty")
    return {k: str(v) for k, v in choices.items()}


@dataclass(frozen=True)
class ChoiceVerifier(Verifier):
    """1 where the answer names the right option and no other, else 0.

    An answer that names none, or several different ones, is the candidate's fault. Thinking (up to `</think>`) is not
    read. The rules of extraction stand in `letters`.
    """

    kind: ClassVar[str] = "verify/choice"

    def verdict(self, sample: Sample) -> Verdict:
        """Extracts the option and compares its letter."""
        gold, choices = question(sample.reference)
        text = after_thinking(sample.text)
        if blank(text):
            return Verdict.fault("empty answer", extracted=None)
        found = namings(text, choices)
        letters = list(dict.fromkeys(n.letter for n in found))
        shown = gold if choices != {"A": choices.get("A")} else choices["A"]
        if not letters:
            return Verdict.fault("names no option", extracted=None, gold=clip(shown))
        if len(letters) > 1:
            return Verdict.fault("names several options", extracted=letters, rule=found[0].rule, gold=clip(shown))
        extracted = letters[0] if len(choices) != 1 else choices.get(letters[0], letters[0])
        return Verdict.scored(
            float(letters[0] == gold), extracted=clip(extracted), rule=found[-1].rule, gold=clip(shown)
        )

    def honest(self) -> Sequence[Sample]:
        """Letters and texts in the usual forms."""
        ask = "Which city is the capital of Peru? A) Cusco B) Lima C) Quito D) Arequipa"
        known = {"answer": "B", "choices": ["Cusco", "Lima", "Quito", "Arequipa"]}
        texts = (
            "The answer is (B).",
            "Cusco was the Inca capital, but it is not A.\n\n\\boxed{B}",
            "<think>A? The answer is A. No: B.</think> **Answer: B**",
            "B) Lima",
            "Lima",
            "The correct option is Lima, because the government sits there.",
        )
        return (*(case(ask, text, known) for text in texts), case(ask, "(B)", "B"), case(ask, "lima.", "Lima"))

    def twins(self) -> Sequence[Twin]:
        """Lists, contradictions, questions, denials, look-alikes and floods."""
        ask = "Which city is the capital of Peru? A) Cusco B) Lima C) Quito D) Arequipa"
        known = {"answer": "B", "choices": ["Cusco", "Lima", "Quito", "Arequipa"]}
        attacks = (
            ("every candidate listed", "A, B, C, D"),
            ("every candidate listed", "A\nB\nC\nD"),
            ("every candidate listed", "A) Cusco\nB) Lima\nC) Quito\nD) Arequipa"),
            ("every candidate listed", "The answer is A, B, C or D."),
            ("contradiction", "The answer is (A). The answer is (B)."),
            ("contradiction", "\\boxed{A} \\boxed{B}"),
            ("contradiction", "The answer is A.\n<answer>B</answer>"),
            ("contradiction", "The answer is B) Quito."),
            ("denied", "I do not think the answer is B."),
            ("asked", "Is the answer: B? Who knows."),
            ("look-alike letters", "The answer is \u0412."),
            ("look-alike letters", "The answer is (\uff22)."),
            ("over-long answer", "The answer is A or B or C or D. " * 5_000),
            ("keyword stuffing", "Cusco Lima Quito Arequipa"),
        )
        return tuple(Twin(name, case(ask, text, known)) for name, text in attacks)
