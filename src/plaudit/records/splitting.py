"""Splits in which no prompt stands on two sides: a model that has seen the prompt is no stranger to it.

The distinct prompts are ordered by a hash of prompt and seed and cut by the fractions. The order of the rows
in the file does not matter, and a few more rows move only the prompts next to a cut.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from plaudit.errors import InputError
from plaudit.records.rows import Row
from plaudit.records.sample import content_hash

R = TypeVar("R", bound=Row)


class Fold(NamedTuple):
    """One fold of a cross-validation, as positions in the rows."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def prompt_key(row: Row) -> str:
    """Hash of a row's prompt: equal for rows that ask the same."""
    return content_hash([message.to_dict() for message in row.prompt])


def by_prompt(rows: Sequence[R]) -> list[list[R]]:
    """The rows of each prompt, in the order in which prompts first occur."""
    groups: dict[str, list[R]] = {}
    for row in rows:
        groups.setdefault(prompt_key(row), []).append(row)
    return list(groups.values())


def split_by_prompt(rows: Sequence[R], fractions: Mapping[str, float], *, seed: int = 0) -> dict[str, list[R]]:
    """Rows in named parts, every prompt in one part only.

    Args:
        rows: rows of any kind; their order is kept within each part.
        fractions: part to its share of the distinct prompts; positive, with sum 1.
        seed: another seed gives another split.

    Returns:
        Part to its rows, in the order of `fractions`.

    Raises:
        InputError: if a fraction is not positive, the sum is not 1, or a part would be empty.
    """
    bad = [name for name, share in fractions.items() if not share > 0]
    if bad or not math.isclose(sum(fractions.values()), 1.0, abs_tol=1e-6):
        given = ", ".join(f"{name}={share:g}" for name, share in fractions.items())
        raise InputError(f"split: fractions must be positive and sum to 1, got {given or 'none'}")
    keys = [prompt_key(row) for row in rows]
    order = _shuffled(keys, seed)
    part: dict[str, str] = {}
    total, start = 0.0, 0
    for name, share in fractions.items():
        total += share
        end = round(total * len(order))
        if end <= start:
            raise InputError(f"split: {len(order)} distinct prompts leave none for {name}; give it a larger fraction")
        part.update(dict.fromkeys(order[start:end], name))
        start = end
    parts: dict[str, list[R]] = {name: [] for name in fractions}
    for row, key in zip(rows, keys, strict=True):
        parts[part[key]].append(row)
    return parts


def folds_by_prompt(rows: Sequence[Row], k: int, *, seed: int = 0) -> list[Fold]:
    """The k folds of a cross-validation, every prompt tested in one fold and trained on in the others.

    Args:
        rows: rows of any kind.
        k: at least 2 and at most the number of distinct prompts.
        seed: another seed gives other folds.

    Raises:
        InputError: if there are fewer than two prompts, or k is out of range.
    """
    keys = [prompt_key(row) for row in rows]
    order = _shuffled(keys, seed)
    if len(order) < 2:
        raise InputError(
            f"folds: the {len(keys)} rows have {len(order)} distinct prompt{'' if order else 's'}, and a prompt is "
            "not divided; give rows of at least 2 prompts"
        )
    if not 2 <= k <= len(order):
        raise InputError(f"folds: k is {k}; with {len(order)} distinct prompts it must be from 2 to {len(order)}")
    fold = {key: i % k for i, key in enumerate(order)}
    number = [fold[key] for key in keys]
    return [
        Fold(
            tuple(i for i, n in enumerate(number) if n != at),
            tuple(i for i, n in enumerate(number) if n == at),
        )
        for at in range(k)
    ]


def _shuffled(keys: Sequence[str], seed: int) -> list[str]:
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
