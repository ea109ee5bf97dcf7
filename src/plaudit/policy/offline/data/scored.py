"""Completions with a score each, by prompt, whatever rows they come in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plaudit.errors import InputError
from plaudit.records.message import Message
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import Completion, Conversation, Sample


@dataclass(slots=True)
class ScoredList:
    """The completions of one prompt.

    Attributes:
        prompt: the conversation.
        completions: in the order of the rows.
        scores: one each, higher is better, finite.
        meta: of the first row.
    """

    prompt: Conversation
    completions: list[Completion] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    meta: Mapping[str, Any] = field(default_factory=dict)


def scored_lists(rows: Sequence[Any], *, who: str) -> list[ScoredList]:
    """The rows' completions and scores by prompt, in the order in which prompts first occur.

    Args:
        rows: ranked or rated rows, pairs with both scores, or samples with `reward` (as `plaudit score` writes them;
            a sample whose reward is null has none and is left out).
        who: begins messages.

    Raises:
        InputError: if a row has no score, or one that is not finite.
    """
    found: dict[Conversation, ScoredList] = {}
    for i, row in enumerate(rows):
        for completion, score in _scored(row):
            if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
                raise InputError(
                    f"{who}: row {i + 1} has the score {score!r}; give finite numbers: ranked or rated rows, pairs "
                    "with chosen_score and rejected_score, or samples with reward (plaudit score writes them)"
                )
            mine = found.setdefault(row.prompt, ScoredList(row.prompt, meta=row.meta))
            mine.completions.append(completion)
            mine.scores.append(float(score))
    return list(found.values())


def _scored(row: Any) -> list[tuple[Completion, Any]]:
    if isinstance(row, Ranked):
        return list(zip(row.completions, row.scores, strict=True))
    if isinstance(row, Pair):
        return [(row.chosen, row.chosen_score), (row.rejected, row.rejected_score)]
    if isinstance(row, Rated):
        return [(row.completion, row.score)]
    if isinstance(row, Sample):
        missing = "reward" in row.meta and row.meta["reward"] is None
        return [] if missing else [(row.completion, row.meta.get("reward"))]
    return [(getattr(row, "completion", ""), None)]


def told(prompt: Conversation, words: str) -> Conversation:
    """The prompt with words said by the system: behind what it says already, or as its first message."""
    if prompt and prompt[0].role == "system":
        first = Message("system", f"{prompt[0].text}\n\n{words}")
        return (first, *prompt[1:])
    return (Message("system", words), *prompt)
