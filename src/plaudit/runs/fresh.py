"""A folder that a command makes, and takes away again where it fails before anything was finished in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

WORK = ("done.json", "complete.json", "features.npz", "reference.npz", "model", "*.log")
"""What is worth keeping: finished stages, whole checkpoints, encoded features, a reference's numbers, saved models,
paid rewards."""


@contextlib.contextmanager
def vacating(folder: str | Path) -> Iterator[None]:
    """Removes a folder that was not there before, where the block fails and left no work in it.

    Bad input then leaves nothing half-written. An interruption is no failure: the same command goes on.

    Args:
        folder: the folder, which the block may make; with it go parents that were not there either.
    """
    path = Path(folder)
    missing = [p for p in (path, *path.parents) if not p.exists()]
    try:
        yield
    except Exception:
        if missing and path.is_dir() and not any(_worth(p) for name in WORK for p in path.rglob(name)):
            shutil.rmtree(missing[-1])
        raise


def _worth(path: Path) -> bool:
    return path.is_dir() or path.stat().st_size > 0
