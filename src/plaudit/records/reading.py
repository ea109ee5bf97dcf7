"""Reading records: whatever the source, typed rows or one clear line that says what is wrong.

No row is dropped silently: a broken one stops the command, or is written to a side file and counted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from plaudit.errors import InputError, MissingError, nearest
from plaudit.records._atomic import replacing
from plaudit.records.decoding import RawRow, file_format, raw_rows
from plaudit.records.detection import detect, renames
from plaudit.records.fields import RowError
from plaudit.records.formats import COLUMNS, NEEDED, Kind, parse, to_dict
from plaudit.records.hub import hub_rows, is_hub_id
from plaudit.records.rows import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that could not be read.

    Attributes:
        row: its number: the line in a file of lines, the position (from 1) elsewhere.
        field: the column.
        value: what stands there, shortened; None where the column is missing.
        reason: why it cannot be read.
        raw: the row as it stood.
    """

    row: int
    field: str
    value: str | None
    reason: str
    raw: Any

    @property
    def error(self) -> str:
        """Field, value and reason in one line."""
        return f"{self.field}{'' if self.value is None else f' = {self.value}'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of one source.

    Attributes:
        rows: the rows that could be read, in order.
        kind: their format.
        source: where they came from, as the user named it.
        n_broken: rows that could not be read and were set aside.
        data_hash: hash of the rows' content, the same whatever file format they were read from.
        numbers: the row number of each row in its source.
        broken: the rows that were set aside.
    """

    rows: tuple[Row, ...]
    kind: Kind
    source: str
    n_broken: int
    data_hash: str
    numbers: tuple[int, ...] = ()
    broken: tuple[BrokenRow, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def read(
    source: str | Path,
    *,
    kind: Kind | None = None,
    skip_broken: str | Path | None = None,
    split: str | None = None,
    whole: bool = False,
) -> Records:
    """Reads records from a file, a folder of `datasets`, or the hub.

    Args:
        source: `.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet` (each also `.gz`), a folder that
            `datasets.save_to_disk` wrote, or a hub id `owner/name`; `#split` at the end picks a split.
        kind: the format; by default the columns tell.
        skip_broken: a file for the broken rows, as JSON lines of `row`, `error`, `raw`. Without it the first
            broken row is an error.
        split: the split, instead of `#split`.
        whole: for a file from which a command sets nothing aside: the message of a broken row does not offer it.

    Raises:
        InputError: on a broken row, an empty source, columns that fit no format, or a damaged file.
        MissingError: if the source is not there.
    """
    advice = "mend the row" if whole else "mend the row, or set broken rows aside with --skip-broken FILE"
    found = _scanned(source, kind, split, stop=advice if skip_broken is None else "")
    if skip_broken is not None:
        _write_broken(Path(skip_broken), found.broken)
    if not found.rows:
        first = found.broken[0]
        raise InputError(f"{source}: all {found.n_broken} rows are broken; row {first.row}: {first.error}")
    return found


def scan(source: str | Path, *, kind: Kind | None = None, split: str | None = None) -> Records:
    """Reads records and keeps the broken rows beside them: what `data check` looks at.

    Args:
        source: as in `read`.
        kind: as in `read`.
        split: as in `read`.

    Raises:
        InputError: if the source is empty or damaged, or its columns fit no format.
        MissingError: if the source is not there.
    """
    return _scanned(source, kind, split, stop="")


def _scanned(source: str | Path, kind: Kind | None, split: str | None, *, stop: str) -> Records:
    """What `scan` does; `stop` is what to do about the first broken row, where that is an error."""
    if kind is not None and kind not in COLUMNS:
        raise InputError(f"read: kind {kind!r} is not known; {nearest(kind, COLUMNS)}")
    raw = _open(str(source), split)
    head = list(itertools.islice(raw, 1000))
    if not head:
        raise InputError(f"{source}: is empty; it has no row")
    chosen = kind or _detected(str(source), head)
    return _collect(str(source), chosen, itertools.chain(head, raw), stop)


def _collect(source: str, kind: Kind, raw: Iterable[RawRow], stop: str) -> Records:
    rows: list[Row] = []
    numbers: list[int] = []
    broken: list[BrokenRow] = []
    digest = hashlib.sha256(kind.encode())
    for number, row, words in raw:
        try:
            if isinstance(row, RowError):
                raise row
            typed = parse(row, kind)
        except RowError as error:
            reason = error.reason
            if error.value is None and isinstance(row, dict):
                reason = f"{reason}; {kind} need {NEEDED[kind]}{renames(row)}"
            bad = BrokenRow(
                number,
                error.field,
                error.value,
                reason,
                words if isinstance(row, RowError) else row,
            )
            if stop:
                raise InputError(f"{source} row {number}: {bad.error} ({stop})") from error
            broken.append(bad)
        else:
            rows.append(typed)
            numbers.append(number)
            digest.update(_canonical(typed))
    return Records(tuple(rows), kind, source, len(broken), digest.hexdigest()[:32], tuple(numbers), tuple(broken))


def data_hash(rows: Iterable[Row], kind: Kind) -> str:
    """Hash of rows: equal to `Records.data_hash` of a file that holds just these."""
    digest = hashlib.sha256(kind.encode())
    for row in rows:
        digest.update(_canonical(row))
    return digest.hexdigest()[:32]


def _canonical(row: Row) -> bytes:
    return json.dumps(to_dict(row), sort_keys=True, separators=(",", ":"), default=repr).encode("ascii") + b"\n"


def _detected(source: str, head: list[RawRow]) -> Kind:
    objects = [row for _, row, _ in head if not isinstance(row, RowError)]
    if not objects:
        number, error, _ = head[0]
        raise InputError(f"{source} row {number}: {error} (no row of this file can be read)")
    try:
        return detect(objects)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def read_parsed(
    source: str | Path, read_row: Callable[[Mapping[str, Any]], T], *, skip_broken: str | Path | None = None
) -> tuple[list[T], tuple[BrokenRow, ...]]:
    """Rows of a file that is of none of the record formats, and those that cannot be read.

    Args:
        source: `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet`, each also `.gz`.
        read_row: a row from its columns; raises `RowError` where it cannot be used.
        skip_broken: a file for the rows that cannot be read; without it the first is an error.

    Raises:
        InputError: if a row cannot be read and `skip_broken` is None.
        MissingError: if there is no such file.
    """
    rows: list[T] = []
    broken: list[BrokenRow] = []
    for number, row, raw in _open(str(source), None):
        try:
            if isinstance(row, RowError):
                raise row
            rows.append(read_row(row))
        except RowError as error:
            if skip_broken is None:
                advice = "mend the row, or set broken rows aside with --skip-broken FILE"
                raise InputError(f"{source} row {number}: {error} ({advice})") from error
            stood = raw if isinstance(row, RowError) else row
            broken.append(BrokenRow(number, error.field, error.value, error.reason, stood))
    if skip_broken is not None:
        _write_broken(Path(skip_broken), tuple(broken))
    return rows, tuple(broken)


def _open(source: str, split: str | None) -> Iterator[RawRow]:
    name = source
    if not Path(source).exists() and "#" in source:
        name, _, suffix = source.rpartition("#")
        if split is not None and split != suffix:
            raise InputError(f"read: {source} names the split {suffix}, and --split names {split}; give one")
        split = suffix
    path = Path(name)
    if path.exists():
        return raw_rows(path, split)
    if is_hub_id(name) and file_format(path) is None and not path.parent.exists():
        return hub_rows(name, split)
    there = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] if path.parent.is_dir() else []
    hint = f"; {nearest(path.name, there)}" if 0 < len(there) <= 200 else ""
    raise MissingError(f"read: there is no file {name}{hint}")


def _write_broken(path: Path, broken: tuple[BrokenRow, ...]) -> None:
    with replacing(path) as file:
        for bad in broken:
            row = {"row": bad.row, "error": bad.error, "raw": bad.raw}
            file.write(json.dumps(row, default=repr).encode("ascii") + b"\n")
