"""What a trainer sees: the completions of one prompt, tokenised alike, and which of them are preferred to which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from plaudit.engine.rendering import Encoder
from plaudit.engine.tree import Ids
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Completion, content_hash


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one prompt and the preferences between them.

    Attributes:
        sequences: token ids of each completion with its prompt.
        better: int64 (m,), index of the preferred sequence of each pair.
        worse: int64 (m,).
        margin: float32 (m,), zero where unknown.
        weight: float32 (m,).
        cut: tokens that truncation removed from each sequence.
    """

    sequences: tuple[Ids, ...]
    better: np.ndarray[tuple[int], np.dtype[np.int64]]
    worse: np.ndarray[tuple[int], np.dtype[np.int64]]
    margin: np.ndarray[tuple[int], np.dtype[np.float32]]
    weight: np.ndarray[tuple[int], np.dtype[np.float32]]
    cut: tuple[int, ...] = ()

    @property
    def n_pairs(self) -> int:
        """Pairs in this group."""
        return int(self.better.size)

    @property
    def key(self) -> str:
        """Hash of everything that a fit reads of this group."""
        labels = (self.better, self.worse, self.margin, self.weight)
        return content_hash([[s.tolist() for s in self.sequences], [x.tolist() for x in labels]])


def encode_groups(
    rows: Iterable[Pair | Ranked], encoder: Encoder, *, weights: Sequence[float] | None = None
) -> list[Group]:
    """Tokenises rows into groups.

    A pair becomes a group of two with one preference; a ranked row becomes one group in which every completion with a
    higher score is preferred to every one with a lower score (margin: the difference of scores is not used).

    Args:
        rows: pairs and ranked rows.
        encoder: renders and truncates; the members of a group are truncated alike.
        weights: of each row's pairs, default 1.

    Raises:
        InputError: if a row gives no preference (all scores tied), has scores or a margin that are not finite, or is
            of another kind.
    """
    groups = []
    for i, row in enumerate(rows):
        weight = 1.0 if weights is None else float(weights[i])
        groups.append(_group(row, encoder, weight, i))
    return groups


def _group(row: Pair | Ranked, encoder: Encoder, weight: float, index: int) -> Group:
    if isinstance(row, Pair):
        completions: Sequence[Completion] = (row.chosen, row.rejected)
        better, worse = [0], [1]
        margin = [0.0 if row.margin is None else row.margin]
    elif isinstance(row, Ranked):
        completions = row.completions
        if len(row.scores) != len(completions) or not all(math.isfinite(s) for s in row.scores):
            raise InputError(
                f"row {index + 1}: scores {list(row.scores)} for {len(completions)} completions; "
                "give one finite score each"
            )
        order = [(i, j) for i, a in enumerate(row.scores) for j, b in enumerate(row.scores) if a > b]
        if not order:
            raise InputError(
                f"row {index + 1}: all {len(row.scores)} completions have the same score; nothing to learn"
            )
        better, worse = [i for i, _ in order], [j for _, j in order]
        margin = [0.0] * len(order)
    else:
        raise InputError(
            f"row {index + 1}: a {type(row).__name__} row holds no preference; convert it to pairs or ranked rows first"
        )
    if not all(math.isfinite(m) for m in margin):
        raise InputError(f"row {index + 1}: margin {margin} is not finite")
    encoded = encoder.encode_group(
        row.prompt,
        completions,
        tools=row.meta.get("tools"),
        kwargs=row.meta.get("chat_template_kwargs"),
    )
    return Group(
        sequences=tuple(e.ids for e in encoded),
        better=np.array(better, dtype=np.int64),
        worse=np.array(worse, dtype=np.int64),
        margin=np.array(margin, dtype=np.float32),
        weight=np.full(len(better), weight, dtype=np.float32),
        cut=tuple(e.cut for e in encoded),
    )
