"""Completions with the tokens that a policy sampled, so that they are trained on as they were sampled.

A text does not say which tokens it was sampled as: another division of the same letters, a token that decodes to
nothing, or a completion that the limit cut off and that therefore has no end, become other tokens when the text is
tokenised again. Rows carry them in the column `sampled_tokens`, as JSON: the vocabulary's hash, and texts with ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from plaudit.engine.rendering import Encoder
from plaudit.records.sample import Completion, Conversation, completion_text, content_hash
from plaudit.rewards.likelihood.spans import Located

SAMPLED = "sampled_tokens"
"""The column."""
Ids = tuple[int, ...]


def vocabulary_hash(tokenizer: Any) -> str:
    """Hash of which token has which id: ids mean the same wherever it is the same."""
    return content_hash(sorted(tokenizer.get_vocab().items()))[:16]


def sampled_column(completions: Iterable[tuple[str, Sequence[int]]], vocabulary: str) -> dict[str, Any]:
    """What the column holds.

    Args:
        completions: texts, each with the ids that it was sampled as, the end of the sequence included where it came.
        vocabulary: see `vocabulary_hash`.
    """
    return {"vocabulary": vocabulary, "completions": [[text, [int(i) for i in ids]] for text, ids in completions]}


def joined_columns(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of completions of one policy as one; empty without any."""
    if not columns:
        return {}
    return {**columns[0], "completions": [one for column in columns for one in column["completions"]]}


def has_sampled(metas: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a row of these carries ids."""
    return any(_is_column(meta.get(SAMPLED)) for meta in metas)


def sampled_ids(
    completions: Sequence[Completion], metas: Sequence[Mapping[str, Any]], *, vocabulary: str
) -> tuple[Ids | None, ...]:
    """For each completion of a prompt the ids that it was sampled as.

    Args:
        completions: n.
        metas: n, of the rows that they are from.
        vocabulary: of the tokenizer that reads them.

    Returns:
        None where the row does not say, or says it of another vocabulary: there the text is what is known. Where a
        text was sampled in several ways, each is taken in turn.
    """
    found: list[Ids | None] = []
    used: Counter[Ids] = Counter()
    for completion, meta in zip(completions, metas, strict=True):
        column, text = meta.get(SAMPLED), completion_text(completion)
        known = column["completions"] if _is_column(column) and column["vocabulary"] == vocabulary else []
        ways = [tuple(int(i) for i in ids) for said, ids in known if said == text]
        taken = min(ways, key=lambda ids: used[ids], default=None)
        if taken is not None:
            used[taken] += 1
        found.append(taken)
    return tuple(found)


def located_as_sampled(
    encoder: Encoder, prompt: Conversation, ids: Ids, *, tools: Any = None, kwargs: Any = None
) -> Located | None:
    """A prompt with the ids that were sampled after it, all of which count; characters are not laid over them.

    Returns:
        None where that is longer than the template's `max_length`.
    """
    before = encoder.encode_prompt(prompt, tools=tools, kwargs=kwargs)
    if before.size + len(ids) > encoder.template.max_length:
        return None
    whole = np.concatenate([before, np.array(ids, dtype=np.int32)]).astype(np.int32)
    return Located(whole, np.arange(before.size, whole.size), np.zeros((len(ids), 2), dtype=np.int64))


def _is_column(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and set(value) == {"vocabulary", "completions"}


__all__ = [
    "SAMPLED", "has_sampled", "joined_columns", "located_as_sampled", "sampled_column", "sampled_ids",
    "vocabulary_hash",
]  # fmt: skip
