"""Pairs without labels as a policy learns from them that also judges: with the questions which of the two is better.

Behind the two completions of a pair stand four sequences: the question with the first as the candidate, answered yes
and answered no, and the same with the second. Of each only the answer counts, and the question is run once.

Differs from the paper: the wording is that of `plaudit.rewards.likelihood`, so that the judge that comes of it is asked
as `likelihood/yes` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Completion, Conversation, completion_text
from plaudit.rewards.likelihood.language import LanguageModel
from plaudit.rewards.likelihood.questions import Wording, answer_sequences
from plaudit.rewards.likelihood.spans import Located
from plaudit.rewards.likelihood.yes import INSTRUCTION, fitting, said_of
from plaudit.training.policies.encoding import PolicyGroup

ANSWERS = 4
"""Sequences behind the two completions: yes and no, in both orders."""


def unlabelled_pairs(rows: Sequence[Any]) -> list[Pair]:
    """Pairs in which nothing is said of which is better: what a policy that judges itself begins from.

    Args:
        rows: pairs, whose labels are not read; else ranked rows, samples, or rated or unpaired rows: the completions of
            a prompt in twos, as they come, a last one without a partner left out.

    Raises:
        InputError: if there is no pair of different completions.
    """
    found, waiting = list[Pair](), dict[Conversation, Completion]()
    for row in rows:
        if isinstance(row, Pair):
            found.append(row)
            continue
        completions = row.completions if isinstance(row, Ranked) else (getattr(row, "completion", None),)
        for completion in completions:
            if completion is None:
                raise InputError(f"scir: a {type(row).__name__.lower()} row has no completion; give pairs or samples")
            first = waiting.pop(row.prompt, None)
            if first is None:
                waiting[row.prompt] = completion
            else:
                found.append(Pair(row.prompt, first, completion, meta=row.meta))
    different = [p for p in found if completion_text(p.chosen) != completion_text(p.rejected)]
    if not different:
        raise InputError("scir: no prompt has two different completions; sample at least two of each prompt")
    return different


def with_judgements(
    groups: Sequence[PolicyGroup], rows: Sequence[Pair], language: LanguageModel, *, wording: Wording | None = None,
    instruction: str = INSTRUCTION,
) -> list[PolicyGroup]:  # fmt: skip
    """The groups with the questions which of the two is better, see the module.

    Args:
        groups: as encoded from the rows, one a row.
        rows: pairs.
        language: the policy, which is asked.
        wording: of the questions.
        instruction: the criteria.

    Raises:
        InputError: if a question does not fit within `max_length`.
    """
    put, found = wording or Wording(), []
    for i, (group, row) in enumerate(zip(groups, rows, strict=True)):
        both = said_of(row.chosen), said_of(row.rejected)
        asked: list[Located] = []
        for candidate, other in (both, both[::-1]):
            question = put.compare(row.prompt, candidate, other, instruction)
            if not fitting(language, question):
                raise InputError(
                    f"scir: row {i + 1}: the question which of the two is better is longer than max_length "
                    f"{language.template.max_length}; raise max_length, or leave the row out"
                )
            for ids in answer_sequences(language, question, put):
                at = np.array([ids.size - 1], dtype=np.int64)
                asked.append(Located(ids, at, np.zeros((1, 2), dtype=np.int64), False))
        nothing = np.full(ANSWERS, np.nan)
        found.append(
            replace(
                group, located=(*group.located, *asked), wanted=np.concatenate([group.wanted, nothing]),
                mismatched=np.concatenate([group.mismatched, np.ones(ANSWERS, dtype=bool)]),
                reference=np.zeros(len(group.located) + ANSWERS), scores=np.concatenate([group.scores, nothing]),
            )
        )  # fmt: skip
    return found
