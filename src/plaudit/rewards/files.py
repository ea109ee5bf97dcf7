"""Scored and compared files: a reward beside its sample, a preference beside its pair."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.records.fields import RowError, completion_field, number
from plaudit.records.formats import completion_cell, prompt_cell, to_dict
from plaudit.records.reading import read
from plaudit.records.sample import Sample
from plaudit.records.writing import write
from plaudit.rewards.base import Floats, Outcome, PreferenceBatch, RewardBatch

COLUMNS = (
    "reward",
    "outcome",
    "std",
    "noise",
    "members",
    "aspects",
    "step_rewards",
    "token_rewards",
    "detail",
)
"""What a scored row has beside its sample's columns; the first two always."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Samples with their rewards, in the same order."""

    samples: tuple[Sample, ...]
    batch: RewardBatch


@dataclass(frozen=True, slots=True)
class Compared:
    """Pairs of samples with the preferences between them, in the same order."""

    first: tuple[Sample, ...]
    second: tuple[Sample, ...]
    batch: PreferenceBatch


def scored_rows(samples: Sequence[Sample], batch: RewardBatch) -> Iterator[dict[str, Any]]:
    """Rows of a scored file.

    Args:
        samples: n samples.
        batch: their n rewards.

    Yields:
        The sample's columns with `reward` (null where the outcome does not count), `outcome` (its lower-case
        name) and whichever of `COLUMNS` the batch has.

    Raises:
        ShapeError: if the two differ in length.
        InputError: if a sample's `meta` has one of the columns already.
    """
    if len(samples) != len(batch):
        raise ShapeError(f"scored rows: {len(samples)} samples and {len(batch)} rewards; they must be as many")
    check_columns(samples)
    for i, sample in enumerate(samples):
        yield {**to_dict(sample), **reward_cells(batch, i)}


def check_columns(samples: Sequence[Sample]) -> None:
    """Refuses samples whose own columns a scored file would overwrite: better before scoring than after it.

    Raises:
        InputError: naming the first such sample and its column.
    """
    for i, sample in enumerate(samples):
        taken = sorted(set(sample.meta) & set(COLUMNS))
        if taken:
            raise InputError(f"scored rows: sample {i} has {taken[0]!r} in its meta already; rename or remove it")


def write_scored(path: str | Path, samples: Sequence[Sample], batch: RewardBatch) -> int:
    """Writes a scored file atomically; returns the number of rows."""
    return write(path, scored_rows(samples, batch))


def read_scored(path: str | Path) -> Scored:
    """Reads what `write_scored` wrote.

    Raises:
        InputError: if a row has no outcome, one that is not known, or a reward that does not fit it.
    """
    records = read(path, kind="samples")
    samples, rows = [], []
    for at, sample in zip(records.numbers, records.rows, strict=True):
        assert isinstance(sample, Sample)
        cells = {name: sample.meta[name] for name in COLUMNS if name in sample.meta}
        try:
            _check(cells)
        except RowError as error:
            raise InputError(f"{path} row {at}: {error}") from error
        meta = {name: value for name, value in sample.meta.items() if name not in COLUMNS}
        samples.append(Sample(sample.prompt, sample.completion, sample.reference, sample.group, sample.steps, meta))
        rows.append(cells)
    return Scored(tuple(samples), batch_from_cells(rows))


def compared_rows(
    first: Sequence[Sample], second: Sequence[Sample], batch: PreferenceBatch
) -> Iterator[dict[str, Any]]:
    """Rows of a compared file: `prompt`, `first`, `second`, `probability` of the first, `outcome`.

    Args:
        first: n samples.
        second: n samples of the same prompts.
        batch: the n preferences.

    Raises:
        ShapeError: if the three differ in length.
        InputError: if the prompts of a pair differ.
    """
    if not len(first) == len(second) == len(batch.probability):
        counts = f"{len(first)} and {len(second)} samples, {len(batch.probability)} preferences"
        raise ShapeError(f"compared rows: {counts}; they must be as many")
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        if a.prompt != b.prompt:
            raise InputError(f"compared rows: pair {i} has two prompts; compare completions of one prompt")
        row: dict[str, Any] = {
            "prompt": prompt_cell(a.prompt, (a.completion, b.completion)),
            "first": completion_cell(a.completion),
            "second": completion_cell(b.completion),
        }
        yield row | preference_cells(batch, i)


def preference_cells(batch: PreferenceBatch, i: int) -> dict[str, Any]:
    """What a file or a log keeps of one preference: `probability`, `outcome` and the other columns it has."""
    row: dict[str, Any] = {
        "probability": _number(batch.probability[i]),
        "outcome": Outcome(int(batch.outcome[i])).name.lower(),
    }
    optional = {"tie": batch.tie, "std": batch.std}
    row.update({name: _number(values[i]) for name, values in optional.items() if values is not None})
    if batch.aspects:
        row["aspects"] = {name: _number(values[i]) for name, values in batch.aspects.items()}
    if batch.detail and batch.detail[i]:
        row["detail"] = json.loads(json.dumps(dict(batch.detail[i]), default=_plain))
    return row


def preferences_from_cells(rows: Sequence[Mapping[str, Any]]) -> PreferenceBatch:
    """The inverse of `preference_cells`, over n pairs."""
    aspects = {name: None for row in rows for name in row.get("aspects", {})}
    return PreferenceBatch(
        probability=_column(rows, "probability"),
        outcome=np.array([Outcome[row["outcome"].upper()] for row in rows], dtype=np.int8),
        tie=_optional(rows, "tie"),
        std=_optional(rows, "std"),
        aspects={name: _column([row.get("aspects", {}) for row in rows], name) for name in aspects},
        detail=tuple(row.get("detail", {}) for row in rows),
    )


def read_compared(path: str | Path) -> Compared:
    """Reads a compared file.

    Raises:
        InputError: names the row, the field and the reason where one cannot be read.
    """
    records = read(path, kind="prompts")
    first, second, rows = [], [], []
    for at, row in zip(records.numbers, records.rows, strict=True):
        cells = row.meta
        try:
            first.append(Sample(row.prompt, completion_field(cells, "first")))
            second.append(Sample(row.prompt, completion_field(cells, "second")))
            _check({"reward": cells.get("probability"), "outcome": cells.get("outcome")}, "probability")
        except RowError as error:
            raise InputError(f"{path} row {at}: {error}") from error
        rows.append(cells)
    return Compared(tuple(first), tuple(second), preferences_from_cells(rows))


def reward_cells(batch: RewardBatch, i: int) -> dict[str, Any]:
    """What a file or a log keeps of one sample's reward: `reward`, `outcome` and the other columns it has."""
    row: dict[str, Any] = {
        "reward": _number(batch.reward[i]),
        "outcome": Outcome(int(batch.outcome[i])).name.lower(),
    }
    for name, values in (("std", batch.std), ("noise", batch.noise)):
        if values is not None:
            row[name] = _number(values[i])
    if batch.members is not None:
        row["members"] = [_number(x) for x in batch.members[i]]
    if batch.aspects:
        row["aspects"] = {name: _number(values[i]) for name, values in batch.aspects.items()}
    if batch.steps is not None:
        row["step_rewards"] = [_number(x) for x in batch.steps[i]]
    if batch.tokens is not None:
        row["token_rewards"] = [[int(start), int(end), _number(x)] for start, end, x in batch.tokens[i]]
    if batch.detail and batch.detail[i]:
        row["detail"] = json.loads(json.dumps(dict(batch.detail[i]), default=_plain))
    return row


def _plain(value: Any) -> Any:
    """What JSON does not take, as what it does: a reward's own explanation must not cost the reward."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _check(cells: Mapping[str, Any], name: str = "reward") -> None:
    known = [outcome.name.lower() for outcome in Outcome]
    outcome = cells.get("outcome")
    if outcome not in known:
        hint = nearest(outcome, known) if isinstance(outcome, str) else f"one of {', '.join(known)}"
        raise RowError("outcome", outcome, f"is no outcome; {hint}")
    reward, counts = cells.get("reward"), Outcome[outcome.upper()].counts
    if counts != (reward is not None):
        raise RowError(name, reward, f"must be {'a number' if counts else 'null'} where the outcome is {outcome}")
    if reward is not None:
        number(name, reward)


def batch_from_cells(rows: Sequence[Mapping[str, Any]]) -> RewardBatch:
    """The inverse of `reward_cells`, over n samples."""
    members = None
    if any("members" in row for row in rows):
        width = max(len(row.get("members", ())) for row in rows)
        members = np.array([_floats(row.get("members", [None] * width)) for row in rows])
    aspects = {name: None for row in rows for name in row.get("aspects", {})}
    return RewardBatch(
        reward=_column(rows, "reward"),
        outcome=np.array([Outcome[row["outcome"].upper()] for row in rows], dtype=np.int8),
        std=_optional(rows, "std"),
        noise=_optional(rows, "noise"),
        members=members,
        aspects={name: _column([row.get("aspects", {}) for row in rows], name) for name in aspects},
        steps=_ragged(rows, "step_rewards"),
        tokens=_ragged(rows, "token_rewards", width=3),
        detail=tuple(row.get("detail", {}) for row in rows),
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return _floats([row.get(name) for row in rows])


def _optional(rows: Sequence[Mapping[str, Any]], name: str) -> Floats | None:
    return _column(rows, name) if any(name in row for row in rows) else None


def _ragged(rows: Sequence[Mapping[str, Any]], name: str, width: int = 0) -> tuple[Floats, ...] | None:
    if not any(name in row for row in rows):
        return None
    shape = (-1, width) if width else (-1,)
    return tuple(
        _floats([x for item in row.get(name, []) for x in (item if width else [item])]).reshape(shape) for row in rows
    )


def _floats(values: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([math.nan if x is None else float(x) for x in values], dtype=np.float64)


def _number(x: Any) -> float | None:
    value = float(x)
    return value if math.isfinite(value) else None
