"""The durable log: what was paid for once is never paid for again.

One JSON object a line, appended, each with a checksum and the fingerprint of whatever computed it. A record
is with the operating system when `put` returns, so SIGKILL loses nothing; it is on the disk after the next
`fsync`, which is batched, so a power cut loses at most the last batch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, final

from plaudit.errors import InputError, IntegrityError, PlauditError
from plaudit.runs.atomic import explained

_PREFIX = b'{"sum":"'
"""How every record begins."""


@final
class DurableLog:
    """An append-only store of JSON values by key, held by one process at a time.

    A key that is put again gets the later value. All methods may be called from several threads.
    """

    def __init__(
        self, path: str | Path, *, fingerprint: str, sync_every: int = 64, sync_seconds: float = 1.0,
        in_memory: bool = True,
    ) -> None:  # fmt: skip
        """Opens or makes the log and reads what it holds; a torn last line is cut off.

        Args:
            path: the file; its folder is made where it is missing.
            fingerprint: hash of weights, options and code that make the values; all records share it.
            sync_every: records after which the file is flushed to the disk.
            sync_seconds: seconds after which the next record flushes it.
            in_memory: whether values are held; else their places are, and a value is read from the file as JSON gives
                it back, record by record: for logs that outgrow the memory.

        Raises:
            IntegrityError: if the file is no log, a record is damaged before the last line, or has another fingerprint.
            PlauditError: if another process holds the log.
        """
        self.path = Path(path)
        self.fingerprint = fingerprint
        self.torn = 0
        """Bytes of a torn last line that were cut off when the log was opened."""
        self._values: dict[str, Any] | _Places = {} if in_memory else _Places(self._at)
        self._every, self._seconds = sync_every, sync_seconds
        self._pending, self._synced = 0, time.monotonic()
        self._mutex = threading.Lock()
        self._handle = _open_locked(self.path)
        try:
            self._size = self._load()
        except BaseException:
            self.close()
            raise

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return self._values.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def put(self, key: str, value: Any) -> None:
        """Appends one record.

        Args:
            key: content key, for example `Sample.key`.
            value: anything that JSON takes (NaN is kept as NaN).

        Raises:
            InputError: if the value is nothing that JSON takes.
            PlauditError: if the disk is full; the log is as it was before.
        """
        self._put({key: value}, {"key": key, "fingerprint": self.fingerprint, "value": value})

    def put_together(self, values: Mapping[str, Any]) -> None:
        """Appends what was computed together as one record: a kill leaves all of it or nothing.

        What is computed in one batch may depend in its last digits on what else was in it. Where a part of a batch
        were kept, the rest would be computed in another batch, and a run that was killed would differ from one that
        was not.

        Args:
            values: by content key; nothing is written where there are none.

        Raises:
            As `put`.
        """
        if values:
            self._put(dict(values), {"fingerprint": self.fingerprint, "values": dict(values)})

    def _put(self, values: dict[str, Any], record: dict[str, Any]) -> None:
        keys = ", ".join(map(repr, list(values)[:3])) + (", ..." if len(values) > 3 else "")
        try:
            line = _line(record)
        except (TypeError, ValueError) as error:
            raise InputError(f"log {self.path.name}: the value of key {keys} is no JSON: {error}") from error
        with self._mutex:
            if self._handle < 0:
                raise PlauditError(f"log {self.path.name}: closed, so key {keys} cannot be put")
            start = self._size
            self._append(line)
            if isinstance(self._values, dict):
                self._values.update(values)
            else:
                self._values.put(values, start, len(line))
            self._pending += len(values)
            if self._pending >= self._every or time.monotonic() - self._synced >= self._seconds:
                self._sync()

    def flush(self) -> None:
        """Forces what was put onto the disk."""
        with self._mutex:
            if self._handle >= 0 and self._pending:
                self._sync()

    def close(self) -> None:
        """Flushes and lets go of the file; a second call does nothing."""
        with self._mutex:
            if self._handle >= 0:
                handle, self._handle = self._handle, -1
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", -1)
        if handle >= 0:
            self._handle = -1
            os.close(handle)

    def _append(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except OSError as error:
            os.ftruncate(self._handle, self._size)  # a part of a line must not stay before the next one
            raise explained(error, self.path) from error
        self._size += len(line)

    def _sync(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise explained(error, self.path) from error
        self._pending, self._synced = 0, time.monotonic()

    def _at(self, start: int, length: int) -> dict[str, Any]:
        """The values of the record that lies there."""
        with self._mutex:
            if self._handle < 0:
                raise PlauditError(f"log {self.path.name}: closed, so nothing can be read from it")
            line = os.pread(self._handle, length, start)
        record = _record(line)
        if record is None:
            raise IntegrityError(f"log {self.path}: was changed while it was in use; restore the file")
        return _values_of(record)

    def _load(self) -> int:
        good = 0
        for values, start, length in _records(self.path, self.fingerprint):
            if isinstance(self._values, dict):
                self._values.update(values)
            else:
                self._values.put(values, start, length)
            good = start + length
        self.torn = os.fstat(self._handle).st_size - good
        if self.torn:
            os.ftruncate(self._handle, good)
        return good


RECENT = 4
"""Records that are kept after they were read, where values are not held: neighbours are asked for one after another."""


@final
class _Places:
    """Where values lie in the file, and the records that were read last.

    Args:
        read: from the place of a record to its values.
    """

    def __init__(self, read: Callable[[int, int], dict[str, Any]]) -> None:
        self._read = read
        self._places: dict[str, tuple[int, int]] = {}
        self._recent: dict[int, dict[str, Any]] = {}
        self._mutex = threading.Lock()

    def put(self, values: Mapping[str, Any], start: int, length: int) -> None:
        """Notes a record."""
        self._places.update(dict.fromkeys(values, (start, length)))

    def __getitem__(self, key: str) -> Any:
        start, length = self._places[key]
        with self._mutex:
            values = self._recent.pop(start, None)
        values = self._read(start, length) if values is None else values
        with self._mutex:
            self._recent[start] = values  # the newest last
            while len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]
        return values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return self[key] if key in self._places else default

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


def read_log(path: str | Path, *, fingerprint: str) -> dict[str, Any]:
    """What a log holds at this moment, by key; another process may be writing it.

    Args:
        path: the file.
        fingerprint: what its records must carry.

    Raises:
        IntegrityError: as `DurableLog`.
    """
    found: dict[str, Any] = {}
    for values, _, _ in _records(Path(path), fingerprint):
        found |= values
    return found


def _records(path: Path, fingerprint: str) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Values, place and length of each whole record, up to a torn last line."""
    good = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            record = _record(line)
            if record is None:
                if number == 1 and not _could_begin(line):  # a file of the user's must not be cut off as torn
                    raise IntegrityError(f"log {path}: is there already and is no log; name another file")
                if file.read(1):
                    raise IntegrityError(
                        f"log {path}: line {number} is damaged and is not the last one; "
                        "restore the file, or delete it to compute its records again"
                    )
                break
            _check(path, record["fingerprint"], fingerprint, number)
            yield _values_of(record), good, len(line)
            good += len(line)


def _values_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """By key: a record has one, or what was computed together."""
    values: dict[str, Any] = record["values"] if "values" in record else {record["key"]: record["value"]}
    return values


def _check(path: Path, found: str, wanted: str, number: int) -> None:
    if found != wanted:
        raise IntegrityError(
            f"log {path}: line {number} was written under fingerprint {found!r}, and this "
            f"run's is {wanted!r} (other weights, options or code); "
            "write to another place, or delete the log"
        )


def _open_locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise explained(error, path) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise PlauditError(
            f"log {path}: another process is writing it; wait until it ends, or write to another place"
        ) from error
    return handle


def _line(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
    return f'{{"sum":"{_checksum(body)}",{body[1:]}\n'.encode("ascii")


def _could_begin(line: bytes) -> bool:
    """Whether a line may be what a kill (a part of a record) or a power cut (zero bytes) left of a first record."""
    begun = line[: len(_PREFIX)].rstrip(b"\0")
    return _PREFIX.startswith(begun)


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, or None where the line is torn or damaged."""
    start = len(_PREFIX) + 16
    if not line.endswith(b"}\n") or not line.startswith(_PREFIX) or line[start : start + 2] != b'",':
        return None
    body = "{" + line[start + 2 : -1].decode("ascii", "replace")
    if line[len(_PREFIX) : start].decode("ascii", "replace") != _checksum(body):
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:16]
