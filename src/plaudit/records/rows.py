"""The rows of preference data, one type a format: what the readers make and the writers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plaudit.records.sample import Completion, Conversation, Sample


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of one prompt, the first preferred.

    Attributes:
        margin: how much better, in the units of the annotators' scale; None where unknown.
    """

    prompt: Conversation
    chosen: Completion
    rejected: Completion
    margin: float | None = None
    chosen_score: float | None = None
    rejected_score: float | None = None
    annotator: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def samples(self) -> tuple[Sample, Sample]:
        """Chosen and rejected as samples; a column `reference` of the pair is the reference of both."""
        reference = self.meta.get("reference")
        return (
            Sample(self.prompt, self.chosen, reference, meta=self.meta),
            Sample(self.prompt, self.rejected, reference, meta=self.meta),
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """Several completions of one prompt with a score each (higher is better).

    Attributes:
        scores: higher is better. Where the row gave `ranks` (1 is best), these are the negated ranks.
    """

    prompt: Conversation
    completions: tuple[Completion, ...]
    scores: tuple[float, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rated:
    """One completion with a score, or with a number for each aspect."""

    prompt: Conversation
    completion: Completion
    score: float | None = None
    aspects: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unpaired:
    """One completion that is wanted (True) or not (False)."""

    prompt: Conversation
    completion: Completion
    label: bool
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stepwise:
    """A solution in steps, each judged right or wrong (or with a number)."""

    prompt: Conversation
    completions: tuple[str, ...]
    labels: tuple[float, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptOnly:
    """A prompt to be answered."""

    prompt: Conversation
    reference: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)


Row = Sample | Pair | Ranked | Rated | Unpaired | Stepwise | PromptOnly
