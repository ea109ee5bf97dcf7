"""Where a number comes from: versions, commit, machine, seed, command and data, as one JSON object."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = (
    "plaudit",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "numpy",
    "scipy",
    "scikit-learn",
    "tokenizers",
)


def provenance(
    *,
    seed: int | None = None,
    data: Mapping[str, str] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is needed to make a result again.

    Args:
        seed: the seed that everything random came from.
        data: name of a data set to its content hash.
        configuration: the options in force, defaults included.

    Returns:
        A JSON object with `command`, `versions`, `platform`, `commit` (of the folder that the command was run
        in; None outside a repository), `seed`, `data`, `configuration` and `time` (UTC).
    """
    return {
        "command": command_line(sys.argv),
        "versions": versions(),
        "platform": platform.platform(),
        "commit": commit(Path.cwd()),
        "seed": seed,
        "data": dict(data or {}),
        "configuration": dict(configuration or {}),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number, without importing them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def command_line(argv: list[str]) -> str:
    """The command as one would type it; the program by its name, not by where it is installed."""
    return shlex.join([Path(argv[0]).name if argv and argv[0] else "python", *argv[1:]])


def commit(folder: Path) -> str | None:
    """The commit that a folder's repository is at, with `+changes` where tracked files differ from it.

    Args:
        folder: any folder; the repository around it counts.

    Returns:
        The hash, or None where there is no repository, no commit or no git.
    """
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return head + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
