"""Questions that a causal language model answers with one word, and how likely each word is.

Differs from the papers: the wording is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.engine.tree import common_prefix
from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.sample import Conversation, content_hash
from plaudit.rewards.likelihood.language import LanguageModel


@dataclass(frozen=True, slots=True)
class Wording:
    """How the questions are put.

    Attributes:
        comparison: asks whether the second answer beats the first; holds {conversation}, {reference}, {candidate} and
            {instruction}.
        principle: asks whether an answer follows a principle; holds {conversation}, {candidate} and {principle}.
        yes: the answer that speaks for the candidate.
        no: the other one.

    Raises:
        InputError: if a part has no place.
    """

    comparison: str = (
        "{instruction}\n\nThe conversation:\n{conversation}\n\nAnswer 1:\n{reference}\n\nAnswer 2:\n{candidate}\n\n"
        "Is answer 2 better than answer 1? Say Yes or No."
    )
    principle: str = (
        "The conversation:\n{conversation}\n\nThe answer:\n{candidate}\n\nThe principle: {principle}\n\n"
        "Does the answer follow the principle? Say Yes or No."
    )
    yes: str = "Yes"
    no: str = "No"

    def __post_init__(self) -> None:
        needed = {"comparison": ("conversation", "reference", "candidate"),
                  "principle": ("conversation", "candidate", "principle")}  # fmt: skip
        for name, parts in needed.items():
            for part in parts:
                if "{" + part + "}" not in getattr(self, name):
                    raise InputError(f"wording: {name} has no place for {{{part}}}")
        if self.yes == self.no:
            raise InputError(f"wording: yes and no are both {self.yes!r}; give different words")

    def compare(self, prompt: Conversation, candidate: str, reference: str, instruction: str) -> Conversation:
        """The question whether a candidate beats a reference."""
        parts = {"conversation": said(prompt), "candidate": candidate, "reference": reference,
                 "instruction": instruction}  # fmt: skip
        return (Message("user", filled(self.comparison, parts).strip()),)

    def judge(self, prompt: Conversation, candidate: str, principle: str) -> Conversation:
        """The question whether a candidate follows a principle."""
        parts = {"conversation": said(prompt), "candidate": candidate, "principle": principle}
        return (Message("user", filled(self.principle, parts).strip()),)

    @property
    def fingerprint(self) -> str:
        """Hash of the texts."""
        return content_hash([self.comparison, self.principle, self.yes, self.no])


def filled(text: str, parts: dict[str, str]) -> str:
    """A text with its places filled, in one pass: braces in the parts stay as they are, whatever they say."""
    pieces = [text]
    for name in parts:
        pieces = [q for p in pieces for q in _split(p, "{" + name + "}")]
    return "".join(parts.get(p[1:-1], p) if p.startswith("{") else p for p in pieces)


def _split(piece: str, place: str) -> list[str]:
    rest = piece.split(place)
    return [x for i, part in enumerate(rest) for x in ((part,) if i == 0 else (place, part))]


def said(prompt: Conversation) -> str:
    """A conversation as text, a turn a paragraph; a single turn of the user's as it is."""
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].text
    return "\n".join(f"{m.role}: {m.text}" for m in prompt)


def answer_sequences(model: LanguageModel, question: Conversation, wording: Wording) -> tuple[NDArray[np.int32], ...]:
    """The rendered question with each of the two words, up to the first token in which they differ.

    Returns:
        Token ids that end with yes, and with no: equal but for the last.

    Raises:
        InputError: if the model's tokenizer cannot tell the words apart.
    """
    yes, no = (e.ids for e in model.encoder.encode_group(question, [wording.yes, wording.no]))
    at = common_prefix(yes, no)
    if at >= min(yes.size, no.size):
        raise InputError(
            f"{model.name}: its tokenizer renders {wording.yes!r} and {wording.no!r} alike; give other words"
        )
    return yes[: at + 1], no[: at + 1]


def answer_logits(model: LanguageModel, questions: Sequence[Conversation], wording: Wording) -> NDArray[np.float64]:
    """`log p(yes) - log p(no)` as the next token after each question, in nats, (n,).

    Both words are leaves of one tree: a question is run once.
    """
    if not questions:
        return np.zeros(0)
    sequences = [s for q in questions for s in answer_sequences(model, q, wording)]
    rows = model.logps(sequences, [np.array([s.size - 1]) for s in sequences])  # the words' own logits and no others
    last = np.concatenate(rows).reshape(-1, 2)
    return np.asarray(last[:, 0] - last[:, 1])
