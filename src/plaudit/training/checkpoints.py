"""Checkpoints that count only when they are whole: `complete.json`, written last, holds the hash of every file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from plaudit.runs.atomic import write_text

MARK = "complete.json"


def seal(folder: Path, *, key: str) -> None:
    """Marks a checkpoint as complete.

    Args:
        folder: holds everything of the checkpoint.
        key: hash of configuration and data; another key's checkpoints are never resumed from.
    """
    files = {p.relative_to(folder).as_posix(): _hash(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    files.pop(MARK, None)
    write_text(folder / MARK, json.dumps({"key": key, "files": files}, indent=1, sort_keys=True))


def is_complete(folder: Path, *, key: str) -> bool:
    """Whether the checkpoint has its mark, belongs to `key`, and every file still has its hash."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no mark, or torn: what a kill leaves
        return False
    if not isinstance(mark, dict) or mark.get("key") != key or not mark.get("files"):
        return False
    return all((folder / name).is_file() and _hash(folder / name) == h for name, h in mark["files"].items())


def newest_complete(folder: Path, *, key: str) -> Path | None:
    """The complete checkpoint with the most steps; every other one of the folder is removed.

    Torn folders go, so that the trainer's own rotation, which counts them, never removes a whole one in their favour.
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        if not path.is_dir():
            continue
        step = path.name.rpartition("-")[2]
        if step.isdigit() and is_complete(path, key=key):
            found.append((int(step), path))
        else:
            shutil.rmtree(path)
    return max(found)[1] if found else None


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
