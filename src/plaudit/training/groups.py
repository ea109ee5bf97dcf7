"""What a trainer sees: the completions of one prompt, tokenised alike, and which of them are preferred to which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from plaudit.engine.rendering import Encoded, Encoder, NoRoomError
from plaudit.engine.tree import Ids
from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import Completion, content_hash
from plaudit.training.aspects import READERS, Table, aspect_table
from plaudit.training.columns import Column, completion_columns, margin_of, pair_columns
from plaudit.training.identity import kind_of
from plaudit.training.methods import Labels

TrainingRow = Pair | Ranked | Rated
"""What a fit can learn from."""

RATED: tuple[Labels, ...] = ("values", "aspects")
"""Labels that rated rows have, and that a list without any preference may have too."""


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
        prompts: tokens of each sequence that are its prompt.
        columns: further numbers of the pairs, float32 (m,), or of the sequences, (n,), by name; see
            `plaudit.training.columns`.
        aspects: float32 (n, k), ratings of each sequence's aspects, NaN where there is none; None where the fit reads
            none. Preferences by aspect stand in the row of the sequence that was chosen.
    """

    sequences: tuple[Ids, ...]
    better: np.ndarray[tuple[int], np.dtype[np.int64]]
    worse: np.ndarray[tuple[int], np.dtype[np.int64]]
    margin: np.ndarray[tuple[int], np.dtype[np.float32]]
    weight: np.ndarray[tuple[int], np.dtype[np.float32]]
    cut: tuple[int, ...] = ()
    values: np.ndarray[tuple[int], np.dtype[np.float32]] | None = None
    prompts: tuple[int, ...] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    aspects: Table | None = None

    @property
    def n_pairs(self) -> int:
        """Pairs in this group."""
        return int(self.better.size)

    @property
    def key(self) -> str:
        """Hash of everything that a fit reads of this group."""
        labels: list[Any] = [x.tolist() for x in (self.better, self.worse, self.margin, self.weight)]
        if self.values is not None:
            labels.append(self.values.tolist())
        labels += [values.tolist() for _, values in sorted(self.columns.items())]
        if self.aspects is not None:
            labels.append(self.aspects.tolist())
        return content_hash([[s.tolist() for s in self.sequences], labels])


def encode_groups(
    rows: Iterable[TrainingRow], encoder: Encoder, *, weights: Sequence[float] | None = None,
    labels: Labels = "pairs", columns: Sequence[str] = (), aspects: Sequence[str] = (),
) -> list[Group]:  # fmt: skip
    """Tokenises rows into groups.

    A pair becomes a group of two with one preference; a ranked row becomes one group in which every completion with a
    higher score is preferred to every one with a lower score. The margin is the row's, else the difference of scores,
    else 0. Rated rows of one prompt that follow one another become one group, so that their prompt is run once; rows
    whose `tools` or `chat_template_kwargs` differ have different prompts, as they have in scoring.

    Args:
        rows: pairs and ranked rows; with `values` or `aspects` as labels also rated rows.
        encoder: renders and truncates; the members of a group are truncated alike.
        weights: of each row's pairs, default 1.
        labels: what the fit reads: `pairs`; the `order` of each list; `values`, the raters' numbers; `aspects`, their
            numbers by aspect; `aspect-preferences`, a probability a pair and aspect.
        columns: further columns that it reads; with `tied`, completions of equal score are pairs too.
        aspects: the aspects' names, where they are read.

    Raises:
        InputError: if a row gives no preference (all scores tied), lacks the numbers that `values` or `aspects` need,
            has scores or a margin that are not finite, or is of another kind.
    """
    groups: list[Group] = []
    rated: list[tuple[int, Rated]] = []
    for i, row in enumerate(rows):
        if isinstance(row, Rated) and labels in RATED:
            if rated and rendered_prompt(rated[-1][1]) != rendered_prompt(row):
                groups.append(_rated_group(rated, encoder, labels, columns, aspects))
                rated = []
            rated.append((i, row))
            continue
        weight = 1.0 if weights is None else float(weights[i])
        group = _group(row, encoder, weight, i, labels, columns)
        if labels in READERS:
            group = replace(group, aspects=aspect_table(row, aspects, index=i, labels=labels))
        groups.append(group)
    return [*groups, *([_rated_group(rated, encoder, labels, columns, aspects)] if rated else [])]


def rendered_prompt(row: Any) -> tuple[Any, ...]:
    """What a template makes the beginning of a row's sequences of: its conversation, tools and template arguments."""
    return row.prompt, row.meta.get("tools"), row.meta.get("chat_template_kwargs")


def _encoded(encoder: Encoder, row: TrainingRow, completions: Sequence[Completion], index: int) -> list[Encoded]:
    try:
        return encoder.encode_group(
            row.prompt, completions, tools=row.meta.get("tools"), kwargs=row.meta.get("chat_template_kwargs")
        )
    except NoRoomError as error:
        raise InputError(f"row {index + 1}: {error}") from error


def _rated_group(
    rows: Sequence[tuple[int, Rated]], encoder: Encoder, labels: Labels, columns: Sequence[str], aspects: Sequence[str]
) -> Group:
    for i, row in rows:
        if labels == "values" and (row.score is None or not math.isfinite(row.score)):
            raise InputError(f"row {i + 1}: score is {row.score}; a rated row needs a finite score")
    encoded = _encoded(encoder, rows[0][1], [row.completion for _, row in rows], rows[0][0])
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    values, table = None, None
    if labels == "values":
        values = np.array([row.score for _, row in rows], dtype=np.float32)
    else:
        table = np.concatenate([aspect_table(row, aspects, index=i) for i, row in rows])
    found = [completion_columns(columns, row, index=i) for i, row in rows]
    return Group(
        tuple(e.ids for e in encoded), nothing, nothing, none, none, tuple(e.cut for e in encoded), values,
        tuple(e.prompt_length for e in encoded), aspects=table,
        columns={name: np.concatenate([part[name] for part in found]) for name in found[0]},
    )  # fmt: skip


def _preferences(row: Pair | Ranked, index: int, labels: Labels, ties: bool) -> list[tuple[int, int]]:
    """Better and worse of each preference of a row; where ties count, those of equal score too."""
    if isinstance(row, Pair):
        return [(0, 1)]
    if len(row.scores) != len(row.completions) or not all(math.isfinite(s) for s in row.scores):
        raise InputError(
            f"row {index + 1}: scores {list(row.scores)} for {len(row.completions)} completions; "
            "give one finite score each"
        )
    scores = list(enumerate(row.scores))
    order = [(i, j) for i, a in scores for j, b in scores if a > b or (ties and a == b and i < j)]
    if not order and labels not in RATED:
        raise InputError(
            f"row {index + 1}: all {len(row.scores)} completions have the same score; nothing to learn: leave it out"
        )
    return order


def _values(row: Pair | Ranked, index: int, labels: Labels) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
    if labels == "pairs" or labels in READERS:
        return None
    if isinstance(row, Ranked):
        return np.array(row.scores, dtype=np.float32)
    given = (row.chosen_score, row.rejected_score)
    if None in given and labels == "values":
        raise InputError(
            f"row {index + 1}: this objective learns from ratings, and the pair has none; "
            "give chosen_score and rejected_score, or use bradley-terry"
        )
    known = row.chosen_score is not None and row.rejected_score is not None
    # what was chosen is the label: scores that say the reverse, or nothing (another judge's), leave the order as it is
    silent = known and labels == "order" and row.chosen_score <= row.rejected_score  # type: ignore[operator]
    return np.array(given if known and not silent else (1.0, 0.0), dtype=np.float32)


def _group(
    row: TrainingRow, encoder: Encoder, weight: float, index: int, labels: Labels, columns: Sequence[str]
) -> Group:
    if not isinstance(row, Pair | Ranked):
        raise InputError(
            f"row {index + 1}: {kind_of(row)} row holds no preference; convert it to pairs or ranked rows first"
        )
    completions: Sequence[Completion] = (row.chosen, row.rejected) if isinstance(row, Pair) else row.completions
    pairs = _preferences(row, index, labels, "tied" in columns)
    margin = [margin_of(row, a, b) or 0.0 for a, b in pairs]
    if not all(math.isfinite(m) for m in margin):
        raise InputError(f"row {index + 1}: margin {margin} is not finite")
    encoded = _encoded(encoder, row, completions, index)
    return Group(
        sequences=tuple(e.ids for e in encoded),
        better=np.array([a for a, _ in pairs], dtype=np.int64),
        worse=np.array([b for _, b in pairs], dtype=np.int64),
        margin=np.array(margin, dtype=np.float32),
        weight=np.full(len(pairs), weight, dtype=np.float32),
        cut=tuple(e.cut for e in encoded),
        values=_values(row, index, labels),
        prompts=tuple(e.prompt_length for e in encoded),
        columns=pair_columns(columns, row, pairs, index=index) | completion_columns(columns, row, index=index),
    )


def equal_ratings(groups: Sequence[Group], labels: Labels) -> str:
    """What to say of ratings that are all equal, each aspect's where there are several; empty where some differ.

    Args:
        groups: of the training data.
        labels: what the objective reads; of others than ratings there is nothing to say.
    """
    ratings = [g.aspects if labels == "aspects" else g.values for g in groups]
    given = [x.reshape(len(x), -1) for x in ratings if x is not None]
    if labels not in RATED or not given:
        return ""
    table = np.concatenate(given)
    known = np.isfinite(table)
    low, high = (fold(np.where(known, table, edge), axis=0) for fold, edge in ((np.min, np.inf), (np.max, -np.inf)))
    if not known.any() or (low < high).any():
        return ""
    return f"all {int(known.sum())} ratings are {low[0]:g}" if len(low) == 1 else "no aspect's ratings differ"


def standardised(groups: Sequence[Group]) -> tuple[list[Group], float, float]:
    """Groups whose values have mean 0 and deviation 1 over all that are finite; the mean, and the deviation.

    A head begins near 0: on a scale of 1 to 5 it would spend its first hundreds of steps on the mean alone. Where all
    values are equal they keep their unit.
    """
    values = np.concatenate([g.values for g in groups if g.values is not None] or [np.zeros(0, dtype=np.float32)])
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return list(groups), 0.0, 1.0
    mean, deviation = float(finite.mean()), float(finite.std()) or 1.0
    moved = [
        g if g.values is None else replace(g, values=((g.values - mean) / deviation).astype(np.float32)) for g in groups
    ]
    return moved, mean, deviation


def standardised_aspects(groups: Sequence[Group]) -> tuple[list[Group], dict[str, list[float]]]:
    """Groups whose aspects each have mean 0 and deviation 1 over what is known; the way back, `centres` and `spreads`.

    An aspect whose ratings are all equal keeps its unit.
    """
    table = np.concatenate([g.aspects for g in groups if g.aspects is not None]).astype(np.float64)
    centre, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    spread[spread == 0] = 1.0
    moved = [
        g if g.aspects is None else replace(g, aspects=((g.aspects - centre) / spread).astype(np.float32))
        for g in groups
    ]
    return moved, {"centres": centre.tolist(), "spreads": spread.tolist()}
