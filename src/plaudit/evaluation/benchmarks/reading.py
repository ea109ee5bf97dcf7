"""Items from published files: a file, a folder of files, or a hub id, through the readers of records.

The benchmarks' own packages are never imported: their pins break installations, and their loaders change.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.errors import InputError, MissingError, nearest
from plaudit.evaluation.benchmarks.items import Benchmark, Item, SourceRow
from plaudit.records.decoding import file_format, raw_rows
from plaudit.records.fields import RowError
from plaudit.records.hub import hub_rows, is_hub_id
from plaudit.records.reading import BrokenRow
from plaudit.runs.atomic import write_text

_FOLDERS = ("state.json", "dataset_dict.json")
"""What `datasets.save_to_disk` leaves: such a folder is one source, not a folder of files."""


@dataclass(frozen=True)
class BenchmarkItems:
    """The items of one benchmark.

    Attributes:
        items: in the files' order.
        broken: rows that could not be read and were set aside.
        data_hash: hash of the rows' content.
        sources: as they were named.
        repeated: items whose prompt, candidates and marks were read before: a file and its copy in another format,
            mostly. They count as often as they were read.
        notes: files and rows that were left out, and why.
    """

    items: tuple[Item, ...]
    broken: tuple[BrokenRow, ...]
    data_hash: str
    sources: tuple[str, ...]
    repeated: int = 0
    notes: tuple[str, ...] = ()


def read_items(
    benchmark: Benchmark, sources: Sequence[str | Path], *, skip_broken: str | Path | None = None
) -> BenchmarkItems:
    """Reads a benchmark's published files.

    Args:
        benchmark: which one.
        sources: files (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`, each also `.gz`), folders of such files, folders
            of `datasets`, or hub ids; `#split` picks a split, and of a folder the files and folders of that name.
        skip_broken: a file for broken rows, as JSON lines; without it the first one is an error.

    Raises:
        InputError: on a broken row or a damaged file, or if there is no row.
        MissingError: if a source is not there.
    """
    found: list[Item] = []
    broken: list[BrokenRow] = []
    notes: list[str] = []
    unused: Counter[str] = Counter()
    digest = hashlib.sha256(benchmark.name.encode())
    for source in map(str, sources):
        for name, place, number, cells, raw in _rows(source, benchmark, notes):
            try:
                if isinstance(cells, RowError):
                    raise cells
                item = benchmark.parse(SourceRow(cells, name, number, place))
            except RowError as error:
                needs = f"{error.reason}; {benchmark.name} needs {benchmark.columns}"
                bad = BrokenRow(number, error.field, error.value, needs, cells if raw is None else raw)
                if skip_broken is None:
                    where = name or source
                    raise InputError(
                        f"{where} row {number}: {bad.error} (mend the row, or set broken rows aside with --skip-broken)"
                    ) from error
                broken.append(bad)
            else:
                if isinstance(item, str):
                    unused[item] += 1
                else:
                    found.append(item)
                digest.update(json.dumps(cells, sort_keys=True, default=repr).encode() + b"\n")
    if skip_broken is not None:
        lines = [json.dumps({"row": b.row, "error": b.error, "raw": b.raw}, default=repr) + "\n" for b in broken]
        write_text(skip_broken, "".join(lines))
    if not found:
        first = f"; row {broken[0].row}: {broken[0].error}" if broken else ""
        raise InputError(f"{', '.join(map(str, sources))}: holds no row of {benchmark.name}{first}")
    items = tuple(benchmark.gather(found))
    distinct = {(i.cluster, i.subset, i.good, tuple(s.text for s in i.samples), repr(i.meta)) for i in items}
    more = len(items) - len(distinct)
    notes += [f"{n} rows are left out: {why}" for why, n in unused.items()]
    return BenchmarkItems(
        items, tuple(broken), digest.hexdigest()[:32], tuple(map(str, sources)), more, tuple(notes)
    )  # fmt: skip


NamedRow = tuple[str, str, int, "dict[str, Any] | RowError", Any]


def _rows(source: str, benchmark: Benchmark, notes: list[str]) -> Iterator[NamedRow]:
    name, _, split = source.rpartition("#") if "#" in source and not Path(source).exists() else (source, "", "")
    path = Path(name)
    if path.is_dir() and not any((path / f).exists() for f in _FOLDERS):
        for file in _files(path, split, benchmark, notes):
            yield from _file(file, file.relative_to(path).as_posix(), None)
    elif path.exists():
        yield from _file(path, split or path.name, split or None)
    elif is_hub_id(name) and file_format(path) is None and not path.parent.exists():
        for number, cells, raw in hub_rows(name, split or None):
            yield split or name.rpartition("/")[2], name, number, cells, raw
    else:
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = f"; {nearest(path.name, there)}" if 0 < len(there) <= 200 else ""
        raise MissingError(f"benchmark: there is no file or folder {name}{hint}")


def _files(folder: Path, split: str, benchmark: Benchmark, notes: list[str]) -> list[Path]:
    """The files of a folder that a benchmark reads: those of a split, or those that are published data."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and file_format(p) and not _hidden(p, folder))
    below = {p: p.relative_to(folder).as_posix() for p in files}
    wanted = benchmark.wanted or (lambda _: True)
    read = [p for p in files if (_of_split(below[p], split) if split else wanted(below[p]))]
    left = [below[p] for p in files if p not in read]
    told = ""
    if left and not split:
        names = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        told = f"{folder}: left out {names}, which {benchmark.name} does not read unless named"
        notes.append(told)
    if not read:
        what = f"file of rows of {benchmark.name} (json, jsonl, csv, tsv, parquet)"
        why = f" of the split {split!r}" if split else f"; {told}" if told else ""
        raise InputError(f"{folder}: the folder holds no {what}{why}")
    return read


def _of_split(path: str, split: str) -> bool:
    """Whether a file, or a folder above it, is named `split`, `split-00000-of-00001` or alike."""
    return any(part.partition(".")[0] == split or part.startswith(f"{split}-") for part in path.split("/"))


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(root).parts)


def _file(path: Path, name: str, split: str | None) -> Iterator[NamedRow]:
    keyed, place = _keyed(path), path.absolute().as_posix()
    if keyed is not None:
        for number, (key, row) in enumerate(keyed.items(), start=1):
            yield name, place, number, {"id": key, **row}, None
        return
    for number, cells, raw in raw_rows(path, split):
        yield name, place, number, cells, raw


def _keyed(path: Path) -> dict[str, Any] | None:
    """The rows of a JSON object of objects, by their keys; None for everything else, which the readers judge."""
    if path.is_dir() or file_format(path) != ".json":
        return None
    try:
        blob = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
        value = json.loads(blob)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError):
        return None  # the readers of records meet the same damage and say what it is
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        return value
    return None
