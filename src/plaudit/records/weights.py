"""What rows weigh: by a column of theirs, and so that the length of completions says nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, nearest
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import completion_text


def length_balance(pairs: Sequence[Pair], *, bins: int = 6) -> Float[np.ndarray, " n"]:
    """Weights under which length says nothing about the label.

    Pairs are put into bins by how much the two completions differ in length (words). Within a bin with c pairs whose
    longer completion was chosen and r whose shorter one was, each pair weighs `(c + r) / (2 c)` or `(c + r) / (2 r)`:
    both kinds then weigh the same. Pairs of equal length keep weight 1, and so do bins that hold one kind only.

    This removes what length alone predicts, an annotator's bias together with any true worth of length.

    Args:
        pairs: n pairs.
        bins: of the absolute difference of length, at its quantiles.

    Returns:
        Weights with mean 1 over every balanced bin.
    """
    gap = np.array([len(completion_text(p.chosen).split()) - len(completion_text(p.rejected).split()) for p in pairs])
    weight = np.ones(len(pairs))
    uneven = np.flatnonzero(gap)
    if not uneven.size:
        return weight
    size = np.abs(gap[uneven])
    edges = np.unique(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, size, side="left")
    for b in np.unique(where):
        members = uneven[where == b]
        longer = gap[members] > 0
        c, r = int(longer.sum()), int((~longer).sum())
        if c and r:
            weight[members] = np.where(longer, (c + r) / (2 * c), (c + r) / (2 * r))
    return weight


def row_values(rows: Sequence[Pair | Ranked | Rated], column: str, *, who: str) -> list[Any]:
    """The value of every row, from its unknown columns or `annotator`.

    Args:
        rows: pairs and ranked rows.
        column: its name.
        who: begins the message.

    Raises:
        InputError: naming the first row without a value.
    """
    found = []
    for i, row in enumerate(rows):
        value = row.annotator if column == "annotator" and isinstance(row, Pair) else row.meta.get(column)
        if value is None:
            known = sorted({str(key) for key in row.meta})
            hint = f"; {nearest(column, known)}" if known else "; give every row one"
            raise InputError(f"{who}: row {i + 1} has no value in the column {column!r}{hint}")
        found.append(value)
    return found


def row_weights(rows: Sequence[Pair | Ranked | Rated], column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The numbers of a column as weights, (n,).

    Raises:
        InputError: naming the first row whose value is no number of at least 0; or if all of them are 0.
    """
    values = row_values(rows, column, who="row_weight")
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise InputError(f"row_weight: row {i + 1} has {column!r} {value!r}; give a number of at least 0")
    found = np.array(values, dtype=np.float64)
    if not found.any():
        raise InputError(f"row_weight: column {column!r} is 0 in all {len(rows)} rows; there is nothing to learn")
    return found


def weights_of(
    rows: Sequence[Pair | Ranked | Rated], *, column: str = "", by_length: bool = False
) -> Float[np.ndarray, " n"] | None:
    """What each row weighs in a fit, the product of both where both are asked for; None where all weigh alike.

    Args:
        rows: n rows.
        column: whose numbers weigh them, see `row_weights`; empty for none.
        by_length: whether they are balanced by length, see `length_balance`.

    Raises:
        InputError: as `row_weights`; or if rows other than pairs are to be balanced.
    """
    if not column and not by_length:
        return None
    found = row_weights(rows, column) if column else np.ones(len(rows))
    if by_length:
        used = np.flatnonzero(found)  # rows of weight 0 are left out of the fit, and of what is balanced
        pairs = [row for row, weight in zip(rows, found, strict=True) if weight and isinstance(row, Pair)]
        if len(pairs) != len(used):
            raise InputError("balance='length' needs pairs; convert ranked rows first (plaudit data convert)")
        found[used] *= length_balance(pairs)
    return found
