"""Rows as a causal language model learns from them: token ids, which of them count, and what is known of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from plaudit.engine.tree import common_prefix
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated, Unpaired
from plaudit.records.sample import Completion, Conversation, content_hash
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.spans import Located, locate_group
from plaudit.training.columns import pair_columns
from plaudit.training.groups import rendered_prompt
from plaudit.training.identity import kind_of
from plaudit.training.policies.sampled import has_sampled, located_as_sampled, sampled_ids, vocabulary_hash

PolicyRow = Pair | Ranked | Unpaired | Rated
"""What the objectives of causal models can learn from."""
Column = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """The completions of one prompt.

    Attributes:
        located: each completion with its prompt, and the tokens that count.
        better: int64 (m,), index of the preferred completion of each pair.
        worse: int64 (m,).
        wanted: float64 (n,), 1 or 0, NaN where there is no label.
        mismatched: bool (n,), True for a completion of another prompt, which serves a baseline only.
        reference: float64 (n,), summed log-probability of the counted tokens under the reference; zeros without one.
        reference_tokens: float32 (k_i,) a completion, the same token by token; empty without a reference.
        start_tokens: float32 (k_i,) a completion, the same under the policy before its first step; empty without.
        token_rewards: float32 (k_i,) a completion, a reward for each counted token; empty without.
        scores: float64 (n,), how good each completion is said to be; NaN where that is not said.
        columns: by name a number for each of the m pairs, see `plaudit.training.columns`.
    """

    located: tuple[Located, ...]
    better: np.ndarray[tuple[int], np.dtype[np.int64]]
    worse: np.ndarray[tuple[int], np.dtype[np.int64]]
    wanted: Column
    mismatched: np.ndarray[tuple[int], np.dtype[np.bool_]]
    reference: Column
    reference_tokens: tuple[np.ndarray[Any, np.dtype[np.float32]], ...] = ()
    start_tokens: tuple[np.ndarray[Any, np.dtype[np.float32]], ...] = ()
    token_rewards: tuple[np.ndarray[Any, np.dtype[np.float32]], ...] = ()
    scores: Column = field(default_factory=lambda: np.zeros(0))
    columns: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]] = field(default_factory=dict)

    @property
    def sequences(self) -> tuple[Any, ...]:
        """Token ids of each completion with its prompt."""
        return tuple(one.ids for one in self.located)

    @property
    def key(self) -> str:
        """Hash of everything that a fit reads of this group but the reference's numbers, which follow from it."""
        rows = [[one.ids.tolist(), one.counted.tolist()] for one in self.located]
        labels = [x.tolist() for x in (self.better, self.worse, self.wanted, self.mismatched, self.scores)]
        return content_hash([rows, labels, {name: column.tolist() for name, column in self.columns.items()}])


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of one prompt before they are tokenised."""

    prompt: Conversation
    completions: tuple[Completion, ...]
    pairs: tuple[tuple[int, int], ...]
    wanted: tuple[float, ...]
    meta: Any
    first: int
    scores: tuple[float, ...]
    metas: tuple[Any, ...]


def encode_policy_groups(
    rows: Sequence[PolicyRow], model: LanguageModel, *, labels: bool, mismatch: bool = False, answers: bool = False,
    columns: Sequence[str] = (), weighted: bool = False,
) -> list[PolicyGroup]:  # fmt: skip
    """Tokenises rows into groups; completions whose sampled ids a row carries (`sampled_tokens`) keep those.

    A pair is a group of two; a ranked row one of as many as it has, each with a higher score preferred to each with a
    lower. With `labels`, a pair's chosen is wanted and its rejected is not; unpaired rows of one prompt (with its
    tools and template arguments) that follow one another are one group; the scores of a ranked row must be 0 and 1.

    Args:
        rows: of the kinds above.
        model: renders; longer conversations lose their beginning.
        labels: whether the objective reads labels; else pairs.
        mismatch: whether each group gets a completion of the next other prompt, for KTO's baseline.
        answers: whether only the first token in which two completions differ counts.
        columns: what is read of pairs besides, see `plaudit.training.columns`.
        weighted: whether the label of an unpaired row is multiplied by its own number `weight`.

    Raises:
        InputError: if a row lacks a weight where one is read, or it is out of range.
        InputError: if a row holds nothing that the objective reads, or its completion is longer than the model takes.
    """
    asked = _asked(rows, labels, weighted)
    carried = has_sampled([meta for row in asked for meta in row.metas])
    vocabulary = vocabulary_hash(model.tokenizer) if carried else ""
    others = _next_prompts([row.prompt for row in asked]) if mismatch else [-1] * len(asked)
    found = []
    for i, row in enumerate(asked):
        extra = (asked[others[i]].completions[0],) if others[i] >= 0 else ()
        metas = (*row.metas, *((asked[others[i]].metas[0],) if extra else ()))
        located = _located(model, row, [*row.completions, *extra], metas, vocabulary)
        whole = [one for one in located if one is not None and one.counted.size]
        if len(whole) < len(located):
            raise InputError(
                f"row {row.first + 1}: a completion is longer than max_length {model.template.max_length}, or has no "
                "token; raise max_length, or leave the row out"
            )
        n, given = len(located), rows[row.first]
        read = pair_columns(columns, given, row.pairs, index=row.first) if isinstance(given, Pair | Ranked) else {}
        found.append(
            PolicyGroup(
                tuple(_answer_only(whole) if answers else whole),
                np.array([a for a, _ in row.pairs], dtype=np.int64),
                np.array([b for _, b in row.pairs], dtype=np.int64),
                np.array([*row.wanted, *[math.nan] * len(extra)]), np.arange(n) >= len(row.completions), np.zeros(n),
                scores=np.array([*row.scores, *[math.nan] * len(extra)]), columns=read,
            )
        )  # fmt: skip
    return found


def _located(
    model: LanguageModel, row: _Asked, completions: Sequence[Completion], metas: Sequence[Any], vocabulary: str
) -> list[Located | None]:
    """A group's completions as token ids: those that were sampled where the rows carry them, else tokenised."""
    tools, kwargs = row.meta.get("tools"), row.meta.get("chat_template_kwargs")
    known = sampled_ids(completions, metas, vocabulary=vocabulary) if vocabulary else (None,) * len(completions)
    texts = [c for c, ids in zip(completions, known, strict=True) if ids is None]
    read = iter(locate_group(model.encoder, row.prompt, texts, tools=tools, kwargs=kwargs) if texts else [])
    return [
        next(read) if ids is None else located_as_sampled(model.encoder, row.prompt, ids, tools=tools, kwargs=kwargs)
        for ids in known
    ]


def with_reference(
    groups: Sequence[PolicyGroup], logps: Sequence[np.ndarray[Any, np.dtype[np.float32]]]
) -> list[PolicyGroup]:
    """The groups with what the reference says of their sequences' counted tokens, in their order."""
    found, start = [], 0
    for group in groups:
        mine = tuple(logps[start : start + len(group.located)])
        sums = np.array([part.sum(dtype=np.float64) for part in mine])
        found.append(replace(group, reference=sums, reference_tokens=mine))
        start += len(group.located)
    return found


def with_start(
    groups: Sequence[PolicyGroup], logps: Sequence[np.ndarray[Any, np.dtype[np.float32]]]
) -> list[PolicyGroup]:
    """The groups with what the policy says of their sequences' counted tokens before its first step."""
    found, start = [], 0
    for group in groups:
        found.append(replace(group, start_tokens=tuple(logps[start : start + len(group.located)])))
        start += len(group.located)
    return found


def _next_prompts(prompts: Sequence[Conversation]) -> list[int]:
    """For each group the next one (the first again after the last) that asks something else; -1 where none does."""
    n = len(prompts)
    found = [-1] * n
    for i in reversed(range(2 * n)):  # twice round: the first pass from the end only fills in what the last group needs
        here, after = i % n, (i + 1) % n
        found[here] = after if prompts[after] != prompts[here] else found[after]
    return found


def _answer_only(located: Sequence[Located]) -> list[Located]:
    """Two sequences cut behind the first token in which they differ, which alone counts."""
    at = common_prefix(located[0].ids, located[1].ids)
    here, nowhere = np.array([at], dtype=np.int64), np.zeros((1, 2), dtype=np.int64)
    return [Located(one.ids[: at + 1], here, nowhere, one.cut) for one in located]


def _asked(rows: Sequence[PolicyRow], labels: bool, weighted: bool = False) -> list[_Asked]:
    found: list[_Asked] = []
    for i, row in enumerate(rows):
        if isinstance(row, Unpaired) and labels:
            last, before = (found[-1], rows[i - 1]) if found else (None, row)
            wanted = (float(row.label) * (_weight(row, i) if weighted else 1.0),)
            if last is not None and rendered_prompt(before) == rendered_prompt(row) and not last.pairs:
                found[-1] = replace(
                    last, completions=(*last.completions, row.completion), wanted=last.wanted + wanted,
                    scores=(*last.scores, math.nan), metas=(*last.metas, row.meta),
                )  # fmt: skip
            else:
                found.append(_Asked(row.prompt, (row.completion,), (), wanted, row.meta, i, (math.nan,), (row.meta,)))
        elif isinstance(row, Pair):
            scores = tuple(math.nan if x is None else x for x in (row.chosen_score, row.rejected_score))
            found.append(
                _Asked(
                    row.prompt, (row.chosen, row.rejected), ((0, 1),), (1.0, 0.0), row.meta, i, scores, (row.meta,) * 2
                )
            )
        elif isinstance(row, Ranked):
            found.append(_ranked(row, i, labels))
        else:
            raise InputError(
                f"row {i + 1}: {kind_of(row)} row holds no {'label' if labels else 'preference'}; "
                f"give pairs, ranked rows{' or unpaired rows' if labels else ''}"
            )
    return found


def _weight(row: Unpaired, index: int) -> float:
    weight = row.meta.get("weight")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise InputError(f"row {index + 1}: weight is {weight!r}; give each row a number from 0 to 1")
    return float(weight)


def _ranked(row: Ranked, index: int, labels: bool) -> _Asked:
    pairs = tuple((i, j) for i, a in enumerate(row.scores) for j, b in enumerate(row.scores) if a > b)
    if labels and not set(row.scores) <= {0.0, 1.0}:
        raise InputError(
            f"row {index + 1}: scores {list(row.scores)} are no labels; give 0 and 1, or convert the row to pairs"
        )
    if not labels and not pairs:
        raise InputError(
            f"row {index + 1}: all {len(row.scores)} completions have the same score; nothing to learn: leave it out"
        )
    wanted = row.scores if labels else (math.nan,) * len(row.completions)
    metas = (row.meta,) * len(row.completions)
    return _Asked(row.prompt, row.completions, pairs, tuple(wanted), row.meta, index, row.scores, metas)
