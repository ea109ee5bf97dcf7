"""Raw rows out of files: JSONL, JSON, CSV, Parquet, each also gzipped, and folders of the `datasets` library.

A reader yields numbered rows; a place that is no row at all (not JSON, not an object, not UTF-8) is yielded
as the error it is, so that the caller can stop, or set it aside and go on. Damage after which nothing can be
read (a truncated gzip) is raised.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from plaudit.errors import InputError, MissingError, nearest
from plaudit.records.fields import RowError, decoded, shortened

RawRow = tuple[int, dict[str, Any] | RowError, Any]
"""Row number (a line where the file has lines), the row or what is wrong with it, the raw text or None."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_TEXT_COLUMNS = ("prompt", "completion", "chosen", "rejected")


def file_format(path: Path) -> str | None:
    """The format by the file's name without `.gz`, or None where the name says none."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    return suffix if suffix in SUFFIXES else None


def raw_rows(path: Path, split: str | None = None) -> Iterator[RawRow]:
    """The rows of a file or of a folder written by `datasets`.

    Args:
        path: a file with one of the known endings, or the folder.
        split: which split of a folder that has several.

    Raises:
        InputError: if the format is not known or the file is damaged.
    """
    if path.is_dir():
        yield from _folder(path, split)
        return
    form = file_format(path)
    if form is None:
        raise InputError(f"read: {path} ends in none of {', '.join(SUFFIXES)} (each also .gz); rename or convert it")
    reader = _READERS[form]
    opener: Callable[[Path], IO[bytes]] = _gzip if path.name.endswith(".gz") else _plain
    last = 0
    try:
        with opener(path) as file:
            for item in reader(file, path):
                last = item[0]
                yield item
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"read: {path} is a damaged gzip file (after row {last}: {error}); fetch or write it again"
        ) from error
    except OSError as error:
        raise InputError(f"read: cannot read {path}: {error.strerror or error}") from error


def _plain(path: Path) -> IO[bytes]:
    return open(path, "rb")


def _gzip(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile reads like any binary file


def _jsonl(file: IO[bytes], _path: Path) -> Iterator[RawRow]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue  # a blank line is no row
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield (number, *_json_row(line))


def _json_row(line: bytes) -> tuple[dict[str, Any] | RowError, Any]:
    words = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return RowError("(line)", None, f"is not UTF-8 at byte {error.start}; save the file as UTF-8"), words
    except json.JSONDecodeError as error:
        return RowError("(line)", words, f"is not JSON: {error.msg} at column {error.colno}"), words
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting without end
        return RowError("(line)", words, f"is not JSON that can be read: {error}"), words
    if not isinstance(value, dict):
        return RowError("(line)", words, f"is a JSON {type(value).__name__}, not an object with columns"), words
    return value, None


def _json(file: IO[bytes], path: Path) -> Iterator[RawRow]:
    blob = file.read()
    try:
        value = json.loads(blob.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"read: {path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # many tools call JSON lines .json
            yield from _jsonl(io.BytesIO(blob), path)
            return
        if not blob.strip():
            return
        raise InputError(
            f"read: {path} is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    rows = value.get("data", value) if isinstance(value, dict) else value
    if isinstance(rows, dict) and _is_row(rows):
        rows = [rows]
    if not isinstance(rows, list):
        raise InputError(
            f"read: {path} holds a JSON {type(rows).__name__}; give a list of rows, or an object with data"
        )
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row, None
        else:
            yield number, RowError("(row)", row, f"is a JSON {type(row).__name__}, not an object"), row


def _is_row(value: dict[str, Any]) -> bool:
    return any(name in value for name in (*_TEXT_COLUMNS, "completions"))


def _csv(file: IO[bytes], path: Path, delimiter: str = ",") -> Iterator[RawRow]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputError(f"read: {path} has the column {twice[0]!r} more than once; rename one of them")
        start = reader.line_num + 1
        for cells in reader:
            number, start = start, reader.line_num + 1
            if cells:
                yield number, _csv_row(header, cells), cells
    except csv.Error as error:
        raise InputError(f"read: {path} is no CSV from line {reader.line_num} on: {error}") from error
    finally:
        lines.detach()


def _csv_row(header: list[str], cells: list[str]) -> dict[str, Any] | RowError:
    if len(cells) != len(header):
        return RowError("(line)", cells, f"has {len(cells)} cells for {len(header)} columns")
    if any("\udc80" <= c <= "\udcff" for cell in cells if not cell.isascii() for c in cell):
        return RowError("(line)", None, "is not UTF-8; save the file as UTF-8")
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        if cell or name in _TEXT_COLUMNS:  # CSV cannot tell an empty text from a missing value
            row[name] = unpacked(name, cell)
    return row


def _tsv(file: IO[bytes], path: Path) -> Iterator[RawRow]:
    return _csv(file, path, "\t")


def _parquet(file: IO[bytes], path: Path) -> Iterator[RawRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        source = file if isinstance(file, io.BufferedReader) else io.BytesIO(file.read())
        table = pyarrow.parquet.ParquetFile(source)
        packed = json.loads((table.schema_arrow.metadata or {}).get(b"plaudit.json", b"null"))
        yield from _batches(table.iter_batches(), table.schema_arrow, packed)
    except (pyarrow.ArrowException, ValueError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"read: {path} is no Parquet file that can be read: {first}") from error


def _batches(batches: Any, schema: Any, packed: list[str] | None) -> Iterator[RawRow]:
    """Rows of Arrow batches; `packed` are the columns that our own writer stored as JSON, None in others'."""
    special = any(word in str(schema) for word in ("timestamp", "date", "time", "decimal", "binary", "duration"))
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            cells = {name: value for name, value in row.items() if value is not None}
            if packed is not None:
                cells.update({name: json.loads(cells[name]) for name in packed if name in cells})
            else:
                cells = {name: unpacked(name, value) for name, value in cells.items()}
            yield number, {k: plain_value(v) for k, v in cells.items()} if special else cells, None


def plain_value(value: Any) -> Any:
    """Dates and decimals as JSON can hold them, in the words that they print as; bytes (images) in base64."""
    if isinstance(value, dict):
        return {k: plain_value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain_value(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def unpacked(name: str, value: Any) -> Any:
    """A cell that cannot hold lists, with the messages that its text is the JSON of.

    Text that merely looks like JSON stays text, because a prompt may ask about it.
    """
    if name not in _TEXT_COLUMNS or not isinstance(value, str):
        return value
    found = decoded(value)
    messages = isinstance(found, list) and found and all(isinstance(m, dict) and "role" in m for m in found)
    return found if messages else value


def _folder(path: Path, split: str | None) -> Iterator[RawRow]:
    """Rows of `Dataset.save_to_disk` or `DatasetDict.save_to_disk`, straight from its Arrow files."""
    import pyarrow

    folder = _split_folder(path, split)
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        files = [folder / entry["filename"] for entry in state["_data_files"]]
    except FileNotFoundError as error:
        raise InputError(
            f"read: {path} is a folder, and not one that datasets.save_to_disk wrote; name a file in it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"read: {folder} has a broken state.json ({shortened(str(error))}); save it again") from error
    number = 0
    for file in files:
        try:
            with pyarrow.memory_map(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
                for _, row, raw in _batches(stream, stream.schema, None):
                    number += 1
                    yield number, row, raw
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"read: {file} cannot be read: {str(error).splitlines()[0]}") from error


def _split_folder(path: Path, split: str | None) -> Path:
    index = path / "dataset_dict.json"
    if not index.exists():
        return path
    splits = json.loads(index.read_text(encoding="utf-8"))["splits"]
    return path / chosen_split(str(path), splits, split)


def chosen_split(source: str, splits: list[str], split: str | None) -> str:
    """The split to read.

    Raises:
        MissingError: if the one that is asked for is not there.
        InputError: if there are several and none is asked for.
    """
    if split is None:
        if len(splits) == 1:
            return splits[0]
        raise InputError(f"read: {source} has the splits {', '.join(splits)}; name one, as in {source}#{splits[0]}")
    if split not in splits:
        raise MissingError(f"read: {source} has no split {split!r}; {nearest(split, splits)}")
    return split


_READERS: dict[str, Callable[[IO[bytes], Path], Iterator[RawRow]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
