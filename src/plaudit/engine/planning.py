"""Which groups share a row: rows are filled to a budget of distinct tokens, and a group is never divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from plaudit.engine.tree import Ids, Index, PrefixTree, common_prefix
from plaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class Row:
    """One packed row and where its sequences come from.

    Attributes:
        tree: the distinct tokens of the row.
        members: int64 (n,), for each sequence of the tree its index among all sequences that were planned.
        groups: the groups in this row, in the order of their sequences.
    """

    tree: PrefixTree
    members: Index
    groups: tuple[int, ...]


def plan_rows(groups: Sequence[Sequence[Sequence[int] | Ids]], *, budget: int) -> list[Row]:
    """Packs groups of sequences into rows of at most `budget` distinct tokens.

    Best-fit decreasing on the distinct tokens of each group. Two groups that begin alike are laid in one tree where
    they fall in the same row, so a row may hold fewer tokens than its groups counted alone. A group larger than the
    budget gets a row of its own.

    Args:
        groups: for each group its token sequences.
        budget: distinct tokens a row, at least 1.

    Returns:
        Rows; every sequence is a member of exactly one of them.

    Raises:
        InputError: if the budget is not positive, or a group or a sequence is empty.
    """
    check_budget("plan_rows", budget)
    arrays = [[np.ascontiguousarray(s, dtype=np.int32) for s in group] for group in groups]
    for g, group in enumerate(arrays):
        if not group:
            raise InputError(f"plan_rows: group {g} has no sequences; every group needs at least one")
        for i, ids in enumerate(group):
            if not ids.size:
                raise InputError(
                    f"plan_rows: sequence {i} of group {g} is empty; every sequence needs at least one token"
                )
    first = np.concatenate([[0], np.cumsum([len(g) for g in arrays])]).astype(np.int64)
    sizes = [distinct_tokens(group) for group in arrays]
    rows = []
    for chosen in best_fit(sizes, budget):
        members = np.concatenate([np.arange(first[g], first[g + 1]) for g in chosen])
        rows.append(Row(PrefixTree.build([s for g in chosen for s in arrays[g]]), members, tuple(chosen)))
    return rows


def plan_sequences(sequences: Sequence[Sequence[int] | Ids], *, budget: int) -> list[Row]:
    """Packs sequences that belong to no group into rows of at most `budget` distinct tokens.

    Rows are filled in sorted order, so that sequences which begin alike meet in one row; a sequence longer than the
    budget gets a row of its own.

    Args:
        sequences: token ids.
        budget: distinct tokens a row, at least 1.

    Returns:
        Rows; every sequence is a member of exactly one of them, and a group of its own.

    Raises:
        InputError: if the budget is not positive, or a sequence is empty.
    """
    check_budget("plan_sequences", budget)
    arrays = [np.ascontiguousarray(s, dtype=np.int32) for s in sequences]
    for i, ids in enumerate(arrays):
        if not ids.size:
            raise InputError(f"plan_sequences: sequence {i} is empty; every sequence needs at least one token")
    rows: list[list[int]] = []
    total = 0
    for i in sorted(range(len(arrays)), key=lambda i: arrays[i].tobytes()):
        added = arrays[i].size - (common_prefix(arrays[rows[-1][-1]], arrays[i]) if rows else 0)
        if rows and total + added <= budget:
            rows[-1].append(i)
            total += added
        else:
            rows.append([i])
            total = arrays[i].size
    return [Row(PrefixTree.build([arrays[i] for i in row]), np.array(row), tuple(row)) for row in rows]


def check_budget(who: str, budget: int) -> None:
    """Refuses a row that may hold nothing.

    Raises:
        InputError: if the budget is not positive.
    """
    if budget < 1:
        raise InputError(f"{who}: budget is {budget}; give the distinct tokens that a row may hold, at least 1")


def distinct_tokens(group: Sequence[Ids]) -> int:
    """Tokens of a group's prefix tree, without building it: sorted neighbours share their common prefix.

    `sum(len) - sum(lcp of sorted neighbours)`; exact for any sequences.
    """
    if len(group) == 1:
        return int(group[0].size)
    ordered = sorted(group, key=lambda a: a.tobytes())
    total = sum(int(a.size) for a in ordered)
    return total - sum(common_prefix(a, b) for a, b in pairwise(ordered))


def best_fit(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `sizes` in bins of at most `budget`, larger first, each into the fullest bin that still takes it."""
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    bins: list[list[int]] = []
    room = np.zeros(0, dtype=np.int64)
    for i in order:
        fits = np.flatnonzero(room >= sizes[i])
        if fits.size:
            b = int(fits[room[fits].argmin()])
            bins[b].append(i)
            room[b] -= sizes[i]
        else:
            bins.append([i])
            room = np.append(room, max(budget - sizes[i], 0))
    return [sorted(b) for b in bins]
