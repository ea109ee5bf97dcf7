"""Ratings of several aspects: which there are in the rows, and those of a row's completions as a table.

| row | gives the aspects of its completions as |
| --- | --- |
| rated | `aspects`: name to number |
| pair | `chosen_aspects` and `rejected_aspects`: name to number each |
| ranked | `aspects`: a list, name to number for each completion |

A pair may say in place of ratings how probable it is that chosen is the better one in each aspect:
`aspect_preferences`, name to a number from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated

Table = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def completion_aspects(row: Pair | Ranked | Rated, *, index: int) -> list[Mapping[str, float]]:
    """Name to number for each completion of a row.

    Args:
        row: where they come from.
        index: of the row, for messages.

    Raises:
        InputError: if a completion has none, or a number is not finite.
    """
    given: Any
    if isinstance(row, Rated):
        given = [row.aspects]
    elif isinstance(row, Pair):
        given = [row.meta.get("chosen_aspects"), row.meta.get("rejected_aspects")]
    else:
        given = row.meta.get("aspects")
    n = len(row.completions) if isinstance(row, Ranked) else 1 if isinstance(row, Rated) else 2
    if not isinstance(given, Sequence) or len(given) != n or not all(isinstance(x, Mapping) and x for x in given):
        raise InputError(
            f"row {index + 1}: this objective learns from aspects, and not every completion of the row has some; "
            "give rated rows with aspects (name to number), or pairs with chosen_aspects and rejected_aspects"
        )
    for aspects in given:
        for name, value in aspects.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"row {index + 1}: aspect {name!r} is {value!r}; give a number, or leave it out")
    return list(given)


def pair_preferences(row: Pair | Ranked | Rated, *, index: int) -> list[Mapping[str, float]]:
    """Name to the probability that chosen is better, as what is said of chosen; nothing is said of rejected.

    Args:
        row: where they come from.
        index: of the row, for messages.

    Raises:
        InputError: if the row is no pair, has none, or a number is no probability.
    """
    given = row.meta.get("aspect_preferences") if isinstance(row, Pair) else None
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"row {index + 1}: this objective learns from preferences by aspect, and the row has aspect_preferences "
            f"{given!r}; give pairs with name to the probability that chosen is the better one in it"
        )
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(
                f"row {index + 1}: aspect_preferences of {name!r} is {value!r}; give a probability, 0 to 1, or leave "
                "it out"
            )
    return [given, {}]


READERS: Mapping[str, Callable[..., list[Mapping[str, float]]]] = {
    "aspects": completion_aspects, "aspect-preferences": pair_preferences,
}  # fmt: skip
"""Kind of labels to `(row, *, index) -> name to number for each completion`."""


def aspect_names(rows: Sequence[Pair | Ranked | Rated], *, labels: str = "aspects") -> tuple[str, ...]:
    """The aspects' names, in the order in which they first appear.

    Args:
        rows: where they come from.
        labels: which numbers are read, a key of `READERS`.

    Raises:
        InputError: as that reader.
    """
    seen: dict[str, None] = {}
    for i, row in enumerate(rows):
        for aspects in READERS[labels](row, index=i):
            seen.update(dict.fromkeys(aspects))
    return tuple(seen)


def aspect_table(
    row: Pair | Ranked | Rated, names: Sequence[str], *, index: int, labels: str = "aspects"
) -> Table:  # fmt: skip
    """Numbers of a row's completions, (completions, aspects); NaN where an aspect has none.

    Args:
        row: where they come from.
        names: of the columns.
        index: of the row, for messages.
        labels: which numbers are read, a key of `READERS`.

    Raises:
        InputError: as that reader.
    """
    found = READERS[labels](row, index=index)
    return np.array([[x.get(name, math.nan) for name in names] for x in found], dtype=np.float32)
