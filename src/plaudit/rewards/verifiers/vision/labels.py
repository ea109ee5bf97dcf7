"""Classification: the name of a class, which an empty answer cannot pass [188].

Differs from the paper: its code accepts when either text holds the other, so that an empty answer, or one that
lists every class, is right. Here the answer must be the name, or hold it as whole words and no other class's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import after_thinking

LONGEST = 2000
"""Characters of the part that names the class: who needs more names everything."""


def normalised(label: str) -> str:
    """Compatibility forms, lower case, words separated by single spaces; `_`, `-` and punctuation count as spaces."""
    text = unicodedata.normalize("NFKC", label).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", text).split())


def named_classes(text: str, classes: Sequence[str]) -> list[str]:
    """Which classes a text names as whole words; a name inside a longer one that is named counts only as the longer.

    Args:
        text: normalised.
        classes: normalised names.
    """
    rest, found = f" {text} ", []
    for name in sorted(set(classes), key=lambda c: (-len(c), c)):
        if f" {name} " in rest:
            found.append(name)
            rest = rest.replace(f" {name} ", " | ")
    return found


@final
@dataclass(frozen=True)
class ClassVerifier(Verifier):
    """1 where the answer names the true class and no other.

    Reference: the class, a list of its names, or `{"label": name or names, "classes": [all names]}`. With `classes`
    the answer may be a sentence that names the class; without, it must be the name alone.

    Source: Liu et al. 2025, "Visual-RFT" [188].
    """

    tag: str = "answer"
    """The answer is read from the last such tag where there is one."""

    kind: ClassVar[str] = "verify/class"

    def verdict(self, sample: Sample) -> Verdict:
        """Compares normalised names."""
        names, classes = _reference(sample.reference)
        answer = self._answer(after_thinking(sample.text))
        if not answer:
            return Verdict.fault("no answer")
        if len(answer) > LONGEST:
            return Verdict.fault(f"an answer of {len(answer)} characters, over {LONGEST}")
        if answer in names:
            return Verdict.scored(1.0, extracted=answer)
        found = named_classes(answer, [*classes, *names]) if classes else []
        if len(set(found) - set(names)) and set(found) & set(names):
            return Verdict.fault("names several classes", extracted=found)
        return Verdict.scored(float(bool(found) and set(found) <= set(names)), extracted=found or answer[:100])

    def _answer(self, text: str) -> str:
        opening, closing = f"<{self.tag}>", f"</{self.tag}>"
        end = text.rfind(closing)
        start = text.rfind(opening, 0, max(end, 0))
        inner = text[start + len(opening) : end] if start >= 0 else text
        return normalised(inner[: 4 * LONGEST])

    def honest(self) -> Sequence[Sample]:
        """The name in several spellings, and in a sentence."""
        first = case("Which bird?", "Blue_Jay", "blue jay")
        classes = {"label": "blue jay", "classes": ["jay", "blue jay", "crow"]}
        sentence = replace(first, completion="<answer>It is a blue jay.</answer>", reference=classes)
        return (first, replace(first, completion="<answer> blue-jay </answer>"), sentence)

    def twins(self) -> Sequence[Twin]:
        """The empty answer that the paper's code accepts, lists, and parts of the name."""
        classes = {"label": "blue jay", "classes": ["jay", "blue jay", "crow"]}
        texts = {
            "empty answer": "<answer></answer>",
            "every candidate listed": "<answer>blue jay, crow, jay</answer>",
            "contradiction": "It is a crow. It is a blue jay.",
            "part of the name": "blue",
            "unicode look-alike": "blue j\u0430y",  # a Cyrillic letter
            "over-long answer": "blue jay " * 2000 + "crow",
            "negation of all": "_",
        }
        attacks = [Twin(attack, case("Which?", text, classes)) for attack, text in texts.items()]
        return (*attacks, Twin("superset of the name", case("Which?", "blue jay or crow", "blue jay")))


def _reference(reference: Any) -> tuple[list[str], list[str]]:
    label = reference.get("label") if isinstance(reference, Mapping) else reference
    classes = reference.get("classes", []) if isinstance(reference, Mapping) else []
    labels = [label] if isinstance(label, str) else label
    for given in (labels, classes):
        if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(x, str) for x in given):
            raise InputError(f"reference is {reference!r:.80}; give the class's name, or label and classes")
    names = [normalised(name) for name in labels or []]
    if not names or not all(names):
        raise InputError(f"reference is {reference!r:.80}; the class's name must have a letter or a digit")
    return names, [normalised(name) for name in classes]
