"""From the columns that hosts pass around to samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.records.sample import Sample, content_hash, conversation

Text = str | Sequence[Mapping[str, Any]]


def samples_from_columns(
    who: str,
    prompts: Sequence[Text],
    completions: Sequence[Text],
    columns: Mapping[str, Sequence[Any]],
    *,
    reference: str,
    needed: bool,
) -> list[Sample]:
    """Samples of aligned columns; those that are neither prompt nor reference become `meta`.

    Completions of one prompt get one `group`.

    Args:
        who: whose error it is.
        prompts: n texts or lists of messages.
        completions: n of the same.
        columns: name to n values.
        reference: the column with the gold answers.
        needed: whether the reward is of no use without references.

    Raises:
        InputError: if the column of references is needed and not there.
        ShapeError: if a column has another length than the prompts.
    """
    if needed and reference not in columns:
        raise InputError(
            f"{who}: the data set has no column {reference!r} with the gold answers; "
            f"{nearest(reference, columns)} (say which with reference=...)"
        )
    for name, column in {"completions": completions, **columns}.items():
        if len(column) != len(prompts):
            raise ShapeError(f"{who}: {name} has {len(column)} entries for {len(prompts)} prompts")
    found = []
    for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        turns = conversation(prompt)
        found.append(
            Sample(
                turns,
                completion if isinstance(completion, str) else conversation(completion),
                columns[reference][i] if reference in columns else None,
                content_hash([turn.to_dict() for turn in turns]),
                meta={name: column[i] for name, column in columns.items() if name != reference},
            )
        )
    return found
