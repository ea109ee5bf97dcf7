"""Samples that a reward has scored, as rated rows: what they are compared by on their way to pairs and rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from plaudit.errors import InputError
from plaudit.records.fields import RowError, number, numbers_by_name
from plaudit.records.rows import Rated
from plaudit.records.sample import Sample, content_hash
from plaudit.records.splitting import by_prompt

SAMPLED = "sampled_tokens"
"""Column with the tokens that completions were sampled as: texts with their ids, all those of a prompt in one."""


def rated_by_reward(rows: Sequence[Sample]) -> list[Rated]:
    """Samples with their column `reward` as the score, None where it is missing or null; a reference stays as `meta`.

    Raises:
        InputError: if a reward is no finite number.
    """
    found = []
    for i, row in enumerate(rows):
        meta = {name: value for name, value in row.meta.items() if name != "reward"}
        if row.reference is not None:
            meta["reference"] = row.reference
        reward = row.meta.get("reward")
        try:
            score = None if reward is None else number("reward", reward)
        except RowError as error:
            raise InputError(f"convert: sample {i + 1}: {error}") from error
        found.append(Rated(row.prompt, row.completion, score, meta=meta))
    return found


def with_aspects(row: Rated) -> Rated:
    """The row with the aspects that its `meta` holds."""
    meta = dict(row.meta)
    aspects = meta.pop("aspects", None) or {}
    return replace(row, aspects=numbers_by_name("aspects", aspects), meta=meta)


def together(rows: Sequence[Rated]) -> list[Rated]:
    """The rows by prompt, each with the sampled tokens of all completions of its prompt.

    Where they are of several vocabularies each row keeps its own.
    """
    found: list[Rated] = []
    for group in by_prompt(rows):
        columns = [row.meta[SAMPLED] for row in group if isinstance(row.meta.get(SAMPLED), Mapping)]
        said = [one for column in columns for one in column.get("completions", ())]
        joined = {SAMPLED: {**columns[0], "completions": said}} if columns else {}
        one_vocabulary = len({column.get("vocabulary") for column in columns}) == 1
        found += [replace(row, meta={**row.meta, **joined}) if one_vocabulary else row for row in group]
    return found


def agreed(rows: Sequence[Rated]) -> list[Rated]:
    """The rows of one prompt with what all of them say of it, without what each says of its completion."""
    shared = [name for name in rows[0].meta if len({content_hash(row.meta.get(name)) for row in rows}) == 1]
    return [replace(row, meta={name: rows[0].meta[name] for name in shared}) for row in rows]
