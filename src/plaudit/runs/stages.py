"""A job in stages: what is finished stays finished, what changed is done again with all that depends on it.

A stage is finished when its `done.json` is there, which is written last and holds the hash of the inputs and
of every output file. A kill at any instant leaves either a finished stage or one that runs again; an
unfinished stage with the same inputs finds its folder as it left it, so that what it logged is not lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from plaudit.errors import InputError, PlauditError
from plaudit.records.sample import content_hash
from plaudit.runs.atomic import explained, write_text


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a finished stage left.

    Attributes:
        name: the stage.
        value: the JSON value that it returned.
        digest: hash of inputs, outputs and value: what dependents are keyed by.
        outputs: file (relative to the run folder) to SHA-256.
        seconds: how long it ran when it ran.
        skipped: whether it was finished already.
    """

    name: str
    value: Any
    digest: str
    outputs: Mapping[str, str]
    seconds: float
    skipped: bool


@final
class Stages:
    """The stages of one run folder, held by one process at a time."""

    def __init__(self, folder: str | Path, *, emit: Callable[[str], None] | None = print) -> None:
        """Takes the run folder.

        Args:
            folder: the run folder; made where it is missing.
            emit: gets one line a stage; None for silence.

        Raises:
            PlauditError: if another process is at work in the folder.
        """
        self.folder = Path(folder)
        self._emit = emit
        self._results: dict[str, StageResult] = {}
        self._lock = _take(self.folder)
        _sweep(self.folder)

    def run(
        self,
        name: str,
        call: Callable[[Path], Any],
        *,
        inputs: Any,
        after: Sequence[str] = (),
        outputs: Sequence[str] = (),
        headline: Callable[[Any], str] | None = None,
    ) -> StageResult:
        """Runs a stage, or finds that it is finished.

        Args:
            name: letters, digits, `-` and `_`; also its folder under `stages/`.
            call: gets the stage's folder, returns a JSON value; `result` gives it to later stages.
            inputs: JSON value of everything that the stage depends on apart from earlier stages: options,
                data hashes, seeds, the version of the code where it matters.
            after: stages whose results it uses; they must have been run on this object.
            outputs: files and folders, relative to the run folder, that it writes outside its own folder.
            headline: makes the main figure for the line that is printed.

        Returns:
            The result, with `skipped` True where nothing had to be done.

        Raises:
            InputError: if the name is unfit, a stage in `after` has not been run, or an output is missing.
        """
        if not name.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"stage {name!r}: a name has letters, digits, - and _ only")
        missing = [stage for stage in after if stage not in self._results]
        if missing:
            raise InputError(f"stage {name}: it comes after {', '.join(missing)}, which has not been run")
        key = content_hash({"inputs": inputs, "after": {stage: self._results[stage].digest for stage in after}})
        found = self._finished(name, key)
        if isinstance(found, str):
            found = self._execute(name, key, call, outputs, found)
        self._results[name] = found
        self._report(found, headline)
        return found

    def result(self, name: str) -> Any:
        """The JSON value of a stage: one that was run or skipped here, or a finished one on the disk."""
        if name in self._results:
            return self._results[name].value
        done = _read_json(self._path(name) / "done.json")
        if done is None:
            raise InputError(f"stage {name}: not finished in {self.folder}; run the recipe first")
        return done["value"]

    def close(self) -> None:
        """Lets go of the folder; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_lock", -1) >= 0:
            self.close()

    def _path(self, name: str) -> Path:
        return self.folder / "stages" / name

    def _finished(self, name: str, key: str) -> StageResult | str:
        """The result of a finished stage, or why it has to run."""
        done = _read_json(self._path(name) / "done.json")
        if done is None:
            return "new"
        if done.get("key") != key:
            return "its inputs changed"
        for file, digest in done["outputs"].items():
            if _file_hash(self.folder / file) != digest:
                return f"its output {file} is missing or was changed"
        return StageResult(name, done["value"], done["digest"], done["outputs"], done["seconds"], skipped=True)

    def _execute(
        self, name: str, key: str, call: Callable[[Path], Any], outputs: Sequence[str], reason: str
    ) -> StageResult:
        folder = self._path(name)
        started = _read_json(folder / "started.json")
        finished = (folder / "done.json").exists()
        if finished or started is None or started.get("key") != key:
            # What another input left here, or a finished stage whose outputs were edited, must not be
            # mistaken for this run's work. The mark goes first: after a kill in the middle of the clearing
            # it is missing, and the clearing starts again.
            (folder / "started.json").unlink(missing_ok=True)
            for path in (folder, *(self.folder / output for output in outputs)):
                _remove(path)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "started.json", json.dumps({"key": key}) + "\n")
        if self._emit is not None and reason != "new":
            self._emit(f"  {name}: runs again, {reason}")
        clock = time.monotonic()
        value = json.loads(json.dumps(call(folder)))
        seconds = time.monotonic() - clock
        hashes = self._hashes(name, outputs)
        digest = content_hash({"key": key, "outputs": hashes, "value": value})
        done = {
            "name": name,
            "key": key,
            "digest": digest,
            "outputs": hashes,
            "seconds": seconds,
            "value": value,
        }
        write_text(folder / "done.json", json.dumps(done, indent=1) + "\n")
        return StageResult(name, value, digest, hashes, seconds, skipped=False)

    def _hashes(self, name: str, outputs: Sequence[str]) -> dict[str, str]:
        files: list[Path] = []
        own = ("started.json", "done.json")
        files += [f for f in _files(self._path(name)) if f.name not in own or f.parent != self._path(name)]
        for output in outputs:
            path = self.folder / output
            if not path.exists():
                raise InputError(f"stage {name}: it ended without writing its output {output}")
            files += _files(path)
        found = {file.relative_to(self.folder).as_posix(): _file_hash(file) for file in sorted(set(files))}
        return {name: digest for name, digest in found.items() if digest is not None}

    def _report(self, result: StageResult, headline: Callable[[Any], str] | None) -> None:
        if self._emit is None:
            return
        figure = headline(result.value) if headline is not None else ""
        when = "finished before" if result.skipped else f"{result.seconds:.1f} s"
        self._emit(f"{'-' if result.skipped else '+'} {result.name:<12} {figure:<48} {when}")


def _take(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise explained(error, folder) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise PlauditError(
            f"run {folder}: another process is at work in it; wait for it or use another --out"
        ) from error
    return handle


def _sweep(folder: Path) -> None:
    """Removes what a kill in the middle of an atomic write left, which can be as large as a model.

    Whoever holds the folder's lock is its only writer.
    """
    for path in [p for p in folder.rglob(".*.tmp") if p.exists()]:
        _remove(path)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def _file_hash(path: Path) -> str | None:
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is none or it is torn: then it does not count as written."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
