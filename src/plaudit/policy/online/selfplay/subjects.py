"""What conjectures are about: how a policy is asked for one, what it said, and what a proof makes use of."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Conversation, content_hash, conversation


@final
@dataclass(frozen=True, slots=True)
class Proved:
    """A statement with a right proof.

    Attributes:
        statement: as a prover is asked.
        proof: the text of one right proof.
        rate: share of right proofs.
    """

    statement: PromptOnly
    proof: str
    rate: float


@final
@dataclass(frozen=True, slots=True)
class Conjecture:
    """A statement that the policy made.

    Attributes:
        statement: as a prover is asked.
        asked: the prompt that it answers.
        bare: the same without a lemma.
        said: the text in which it stood.
        lemma: that it was to make use of; empty for none.
        sampled: the column with the tokens that it was sampled as, see `plaudit.training.policies.sampled`; empty
            where they are not known.
    """

    statement: PromptOnly
    asked: Conversation
    bare: Conversation
    said: str
    lemma: str
    sampled: Mapping[str, Any] = field(default_factory=dict)


class Subject(Protocol):
    """A field of problems whose solutions a reward can check, and whose form can be read off a text."""

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def ask(self, seed: Proved, lemma: str) -> Conversation:
        """The prompt for a conjecture from a proved statement and a lemma (empty for none)."""
        ...

    def read(self, text: str) -> PromptOnly | None:
        """The statement in a text, with the reference that the reward needs; None where it is none."""
        ...

    def lemmas(self, statement: PromptOnly, proof: str) -> Sequence[str]:
        """What a proof makes use of; may be empty."""
        ...

    def embedding(self, statements: Sequence[PromptOnly]) -> NDArray[np.float64]:
        """(n, d), near where statements are alike."""
        ...


@final
@dataclass(frozen=True, slots=True)
class TextSubject:
    """Statements that are texts, read by a pattern: for rewards that judge a proof by the prompt alone, or a reference.

    Embeddings are counts of hashed character trigrams, of unit length.

    Raises:
        InputError: if a pattern is none, or lacks the group `statement`; if the template names something else.
    """

    template: str = "A theorem and its proof:\n{statement}\n{proof}\nState another one that uses {lemma}."
    """The prompt for a conjecture; may use `{statement}`, `{proof}` and `{lemma}`."""
    pattern: str = r"(?s)\s*(?P<statement>\S.*?)\s*"
    """Of the whole completion: its group `statement` is the conjecture, `reference` (if there is one) the reference."""
    lemma: str = r"\b(?:lemma|theorem)\s+(\w+)"
    """What is found in a proof is a lemma: the first group, or all of it."""
    none: str = "whatever you like"
    """What `{lemma}` is where there is none."""
    prompt: str = "{statement}"
    """How a prover is asked for a proof."""
    width: int = field(default=256)
    """Of the embeddings."""

    def __post_init__(self) -> None:
        for name in ("pattern", "lemma"):
            try:
                made = re.compile(getattr(self, name))
            except re.error as error:
                raise InputError(f"self-play: {name} {getattr(self, name)!r} is no pattern: {error}") from error
            if name == "pattern" and "statement" not in made.groupindex:
                raise InputError(f"self-play: pattern {self.pattern!r} has no group (?P<statement>...)")
        for name, known in (("template", ("statement", "proof", "lemma")), ("prompt", ("statement",))):
            try:
                getattr(self, name).format(**dict.fromkeys(known, ""))
            except (KeyError, IndexError, ValueError) as error:
                raise InputError(
                    f"self-play: {name} cannot be filled in ({error}); it may use {', '.join(known)} in braces"
                ) from error
        if self.width < 1:
            raise InputError(f"self-play: width is {self.width}; give at least 1")

    @property
    def fingerprint(self) -> str:
        """Of all of its texts."""
        return content_hash([self.template, self.pattern, self.lemma, self.none, self.prompt, self.width])

    def ask(self, seed: Proved, lemma: str) -> Conversation:
        """See `Subject`."""
        said = seed.statement.prompt[-1].text
        return conversation(self.template.format(statement=said, proof=seed.proof, lemma=lemma or self.none))

    def read(self, text: str) -> PromptOnly | None:
        """See `Subject`."""
        found = re.fullmatch(self.pattern, text)
        if found is None or not found["statement"]:
            return None
        reference = found["reference"] if "reference" in found.re.groupindex else None
        return PromptOnly(conversation(self.prompt.format(statement=found["statement"])), reference)

    def lemmas(self, statement: PromptOnly, proof: str) -> Sequence[str]:
        """See `Subject`; in the order in which they stand."""
        del statement
        found = [m.group(1) if m.re.groups else m.group() for m in re.finditer(self.lemma, proof)]
        return [*dict.fromkeys(x for x in found if x)]

    def embedding(self, statements: Sequence[PromptOnly]) -> NDArray[np.float64]:
        """See `Subject`."""
        return trigrams([statement.prompt[-1].text for statement in statements], width=self.width)


def trigrams(texts: Sequence[str], *, width: int = 256) -> NDArray[np.float64]:
    """Counts of hashed character trigrams, of unit length: near where texts are alike.

    Args:
        texts: n of them.
        width: numbers a text, at least 1.

    Returns:
        (n, width), none of them below 0.
    """
    found = np.zeros((len(texts), width))
    for row, inside in zip(found, texts, strict=True):
        text = f"^{inside}$"
        for i in range(max(1, len(text) - 2)):
            row[zlib.crc32(text[i : i + 3].encode()) % width] += 1
    size = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(size > 0, size, 1.0))


__all__ = ["Conjecture", "Proved", "Subject", "TextSubject", "trigrams"]
