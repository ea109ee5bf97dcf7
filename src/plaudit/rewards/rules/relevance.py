"""Relevance to the prompt, and the R3 mixture that keeps it from being hacked [78].

Differs from the paper: the retriever's embedding is by spelling unless a model is named; whether a prompt is
open-ended is said by the row (a reference makes it closed) instead of by a classifier; relevance below 0 counts 0, and
length stops counting at `most_words`, so that the reward has bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.rules.embedding import Embedder, open_embedder
from plaudit.rewards.rules.repetition import distinct_share
from plaudit.rewards.rules.segments import segments
from plaudit.rewards.verdicts import SampleReward, Verdict


def r3(relevance: float, words: int, distinct: float, *, open_ended: bool, scale: float = 1.0) -> float:
    """`relevance * words/100 * distinct` for open-ended prompts, `scale * relevance * distinct` for the others.

    Args:
        relevance: of the answer to the prompt (open-ended) or to the reference (closed), at least 0.
        words: of the answer.
        distinct: distinct trigrams among all trigrams.
        open_ended: whether length informs.
        scale: brings the closed prompts into the range of the open-ended ones.

    Source: Kim et al. 2024, "R3" [78].
    """
    return relevance * distinct * (words / 100 if open_ended else scale)


@final
@dataclass(frozen=True)
class RelevanceReward(SampleReward):
    """Cosine of the embeddings of prompt and completion, not below 0. A copy of the prompt is most relevant: see R3."""

    model: str = ""
    """Folder, hub id or `package:NAME/FOLDER` of a transformers model; empty: by spelling."""

    kind: ClassVar[str] = "rule/relevance"

    def options(self) -> dict[str, Any]:
        """With what the model is in place of where it lies."""
        return {**super().options(), "model": open_embedder(self.model).fingerprint}

    def verdict(self, sample: Sample) -> Verdict:
        """Compares the completion with the last user turn."""
        if not segments(sample.text):
            return Verdict.fault("no words")
        return Verdict.scored(_relevance(open_embedder(self.model), _asked(sample), sample.text))


@final
@dataclass(frozen=True)
class R3Reward(SampleReward):
    """Relevance, length and the absence of repetition: `r3`. With a reference, relevance is to that.

    The row's meta may say `open_ended: true`, which makes a prompt open-ended although it has a reference.
    """

    model: str = ""
    """Folder, hub id or `package:NAME/FOLDER` of a transformers model; empty: by spelling."""
    most_words: int = 300
    """Words beyond which length earns nothing more."""
    scale: float = 1.0
    """Of the relevance to a reference, to bring closed prompts into the range of open-ended ones."""

    kind: ClassVar[str] = "rule/r3"

    def __post_init__(self) -> None:
        if self.most_words < 1:
            raise InputError(f"{self.kind}: most_words is {self.most_words}; give at least 1")
        if not 0 < self.scale < math.inf:
            raise InputError(f"{self.kind}: scale is {self.scale}; give a number above 0")

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """From 0 to the larger of `most_words / 100` and `scale`."""
        return 0.0, max(self.most_words / 100, self.scale)

    def options(self) -> dict[str, Any]:
        """With what the model is in place of where it lies."""
        return {**super().options(), "model": open_embedder(self.model).fingerprint}

    def verdict(self, sample: Sample) -> Verdict:
        """Relevance to the prompt or to the reference, times what keeps it honest."""
        words = segments(sample.text.lower())
        if not words:
            return Verdict.fault("no words")
        if sample.reference is not None and not isinstance(sample.reference, str):
            raise InputError(f"reference is {sample.reference!r:.80}; give a text, or none for an open-ended prompt")
        open_ended = sample.reference is None or sample.meta.get("open_ended") is True
        against = _asked(sample) if open_ended else str(sample.reference)
        relevance = _relevance(open_embedder(self.model), against, sample.text)
        distinct = distinct_share(words, 3)
        counted = min(len(words), self.most_words)
        value = r3(relevance, counted, distinct, open_ended=open_ended, scale=self.scale)
        aspects = {"relevance": relevance, "length": counted / 100, "distinct": distinct}
        return Verdict.scored(value, aspects=aspects, open_ended=open_ended)


def _asked(sample: Sample) -> str:
    return next((turn.text for turn in reversed(sample.prompt) if turn.role == "user"), "")


def _relevance(embed: Embedder, first: str, second: str) -> float:
    return min(1.0, max(0.0, float(embed(first).mean @ embed(second).mean)))
