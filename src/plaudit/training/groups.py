"""What a trainer sees: the completions of one prompt, tokenised alike, and which of them are preferred to which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from plaudit.engine.rendering import Encoder
from plaudit.engine.tree import Ids
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import Completion, content_hash
from plaudit.training.methods import Labels

TrainingRow = Pair | Ranked | Rated
"""What a fit can learn from."""


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
        values: float32 (n,), a number a sequence: its rating, or anything that orders the list; None where the fit
            reads pairs alone.
    """

    sequences: tuple[Ids, ...]
    better: np.ndarray[tuple[int], np.dtype[np.int64]]
    worse: np.ndarray[tuple[int], np.dtype[np.int64]]
    margin: np.ndarray[tuple[int], np.dtype[np.float32]]
    weight: np.ndarray[tuple[int], np.dtype[np.float32]]
    cut: tuple[int, ...] = ()
    values: np.ndarray[tuple[int], np.dtype[np.float32]] | None = None

    @property
    def n_pairs(self) -> int:
        """Pairs in this group."""
        return int(self.better.size)

    @property
    def key(self) -> str:
        """Hash of everything that a fit reads of this group."""
        labels = [x.tolist() for x in (self.better, self.worse, self.margin, self.weight)]
        if self.values is not None:
            labels.append(self.values.tolist())
        return content_hash([[s.tolist() for s in self.sequences], labels])


def encode_groups(
    rows: Iterable[TrainingRow], encoder: Encoder, *, weights: Sequence[float] | None = None, labels: Labels = "pairs"
) -> list[Group]:
    """Tokenises rows into groups.

    A pair becomes a group of two with one preference; a ranked row becomes one group in which every completion with a
    higher score is preferred to every one with a lower score (margin: the difference of scores is not used). Rated rows
    of one prompt that follow one another become one group, so that their prompt is run once.

    Args:
        rows: pairs and ranked rows; with `labels="values"` also rated rows.
        encoder: renders and truncates; the members of a group are truncated alike.
        weights: of each row's pairs, default 1.
        labels: what the fit reads: `pairs`; the `order` of each list; `values`, the raters' numbers.

    Raises:
        InputError: if a row gives no preference (all scores tied), lacks the numbers that `values` needs, has
            scores or a margin that are not finite, or is of another kind.
    """
    groups: list[Group] = []
    rated: list[tuple[int, Rated]] = []
    for i, row in enumerate(rows):
        if isinstance(row, Rated) and labels == "values":
            if rated and rated[-1][1].prompt != row.prompt:
                groups.append(_rated_group(rated, encoder))
                rated = []
            rated.append((i, row))
            continue
        weight = 1.0 if weights is None else float(weights[i])
        groups.append(_group(row, encoder, weight, i, labels))
    return [*groups, *([_rated_group(rated, encoder)] if rated else [])]


def _rated_group(rows: Sequence[tuple[int, Rated]], encoder: Encoder) -> Group:
    for i, row in rows:
        if row.score is None or not math.isfinite(row.score):
            raise InputError(f"row {i + 1}: score is {row.score}; a rated row needs a finite score")
    first = rows[0][1]
    encoded = encoder.encode_group(
        first.prompt, [row.completion for _, row in rows],
        tools=first.meta.get("tools"), kwargs=first.meta.get("chat_template_kwargs"),
    )  # fmt: skip
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    values = np.array([row.score for _, row in rows], dtype=np.float32)
    return Group(tuple(e.ids for e in encoded), nothing, nothing, none, none, tuple(e.cut for e in encoded), values)


def _preferences(row: Pair | Ranked, index: int, labels: Labels) -> tuple[list[int], list[int], list[float]]:
    """Better, worse and margin of each preference of a row."""
    if isinstance(row, Pair):
        return [0], [1], [0.0 if row.margin is None else row.margin]
    if len(row.scores) != len(row.completions) or not all(math.isfinite(s) for s in row.scores):
        raise InputError(
            f"row {index + 1}: scores {list(row.scores)} for {len(row.completions)} completions; "
            "give one finite score each"
        )
    order = [(i, j) for i, a in enumerate(row.scores) for j, b in enumerate(row.scores) if a > b]
    if not order and labels != "values":
        raise InputError(f"row {index + 1}: all {len(row.scores)} completions have the same score; nothing to learn")
    return [i for i, _ in order], [j for _, j in order], [0.0] * len(order)


def _values(row: Pair | Ranked, index: int, labels: Labels) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
    if labels == "pairs":
        return None
    if isinstance(row, Ranked):
        return np.array(row.scores, dtype=np.float32)
    given = (row.chosen_score, row.rejected_score)
    if None in given and labels == "values":
        raise InputError(
            f"row {index + 1}: this objective learns from ratings, and the pair has none; "
            "give chosen_score and rejected_score, or use bradley-terry"
        )
    return np.array((1.0, 0.0) if None in given else given, dtype=np.float32)


def _group(row: TrainingRow, encoder: Encoder, weight: float, index: int, labels: Labels) -> Group:
    if not isinstance(row, Pair | Ranked):
        raise InputError(
            f"row {index + 1}: a {type(row).__name__} row holds no preference; convert it to pairs or ranked rows first"
        )
    completions: Sequence[Completion] = (row.chosen, row.rejected) if isinstance(row, Pair) else row.completions
    better, worse, margin = _preferences(row, index, labels)
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
        values=_values(row, index, labels),
    )
