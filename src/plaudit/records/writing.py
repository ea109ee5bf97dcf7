"""Writing records: JSON lines (also gzipped) and Parquet, each file whole or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from plaudit.errors import InputError
from plaudit.records._atomic import replacing
from plaudit.records.formats import to_dict
from plaudit.records.rows import Row

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


def write(path: str | Path, rows: Iterable[Row | Mapping[str, Any]]) -> int:
    """Writes rows; what stood in the file before is replaced once all of them are on the disk.

    Args:
        path: ends in `.jsonl`, `.jsonl.gz` or `.parquet`.
        rows: typed rows, or dictionaries that are already as a file holds them.

    Returns:
        How many rows were written.

    Raises:
        InputError: if the ending is another, there is no row, or a value is nothing that JSON can hold.
        PlauditError: if the disk is full; the old file is untouched.
    """
    target = check_target(path)
    cells = (dict(row) if isinstance(row, Mapping) else to_dict(row) for row in rows)
    if target.name.endswith(".parquet"):
        return _write_parquet(target, list(cells))
    with replacing(target) as file:
        if not target.name.endswith(".gz"):
            return _write_lines(target, file, cells)
        # no name and no time in the header: the same rows give the same bytes
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            return _write_lines(target, packed, cells)


def check_target(path: str | Path) -> Path:
    """The path, where records can be written to it: better asked before hours of work than after them.

    Raises:
        InputError: if it has another ending, or is a folder.
    """
    target = Path(path)
    if not target.name.endswith(ENDINGS):
        raise InputError(f"write: {target} ends in none of {', '.join(ENDINGS)}; choose one of them")
    if target.is_dir():
        raise InputError(f"write: {target} is a folder; name a file")
    return target


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON in UTF-8; text that UTF-8 cannot hold (lone surrogates) is escaped.

    Raises:
        InputError: if a value is nothing that JSON can hold.
    """
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(row) + "\n").encode("ascii")
    except (TypeError, ValueError) as error:
        raise InputError(f"write: a row holds what JSON cannot: {error}") from error


def _write_lines(target: Path, file: IO[bytes] | gzip.GzipFile, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for row in rows:
        file.write(json_line(row))
        count += 1
    if not count:
        raise InputError(f"write: there is no row to write to {target}; an empty file could not be read back")
    return count


def _write_parquet(target: Path, rows: list[dict[str, Any]]) -> int:
    """Columns of lists, objects or mixed types are stored as JSON text, and the file's metadata says which.

    Lists of `role` and `content` alone stay what they are, so that other tools read them as messages.
    """
    import pyarrow
    import pyarrow.parquet

    if not rows:
        raise InputError(f"write: there is no row to write to {target}; an empty file could not be read back")
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays, packed = [], []
    for name in names:
        values = [row[name] for row in rows if name in row]
        if not _uniform(values):
            packed.append(name)
            cells = [json.dumps(row[name]) if name in row else None for row in rows]
        else:
            cells = [row.get(name) for row in rows]
        try:
            arrays.append(pyarrow.array(cells))
        except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError):
            if name not in packed:
                packed.append(name)
            arrays.append(pyarrow.array([json.dumps(row[name]) if name in row else None for row in rows]))
    table = pyarrow.Table.from_arrays(arrays, names=names)
    table = table.replace_schema_metadata({"plaudit.json": json.dumps(packed)})
    with replacing(target) as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")
    return len(rows)


def _uniform(values: list[Any]) -> bool:
    """Whether Arrow keeps every value as it is: one scalar type, or plain messages, no null among them."""
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        return False
    kind = kinds.pop()
    if kind in (str, bool, int, float):
        return True
    return kind is list and all(_is_messages(value) for value in values)


def _is_messages(value: list[Any]) -> bool:
    return bool(value) and all(
        isinstance(m, dict) and list(m) == ["role", "content"] and all(type(v) is str for v in m.values())
        for m in value
    )
