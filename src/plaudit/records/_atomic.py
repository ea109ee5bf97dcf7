"""Files and folders that are there whole or not at all, whatever kills the process.

A file is written beside its target under a hidden name, flushed to the disk, and renamed over the target. A
full disk leaves the old file as it was and takes the half-written one away.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from plaudit.errors import InputError, PlauditError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends without an error.

    Args:
        path: the target; its folder is made where it is missing. An existing file keeps its permissions.

    Yields:
        The temporary file, open for writing.

    Raises:
        PlauditError: if the disk is full or refuses the write; the old file is untouched.
        InputError: if the target is a folder or may not be written.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"write: {target} is a folder; name a file")
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            # mkstemp makes private files; a result should be readable like any other file of the user's
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replaces a file's contents atomically.

    Args:
        path: the target.
        data: the whole new contents.

    Raises:
        PlauditError: as `replacing`.
    """
    with replacing(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Replaces a text file atomically, in UTF-8.

    Args:
        path: the target.
        text: the whole new contents; lone surrogates are written as `?`, which UTF-8 cannot hold.

    Raises:
        PlauditError: as `replacing`.
    """
    write_bytes(path, text.encode("utf-8", "replace"))


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, mark: str = "") -> Iterator[Path]:
    """An empty folder that takes the place of `path` when the block ends without an error.

    Where the system can exchange two names at once (Linux), there is no instant without a whole folder at
    `path`; elsewhere the old folder is set aside first, and an interruption in between leaves it under a
    name that ends in `.old`.

    Args:
        path: the target folder; its old contents are replaced as a whole.
        mark: a file that a folder of this kind has; one with other contents and without it is not replaced. By default
            any folder is.

    Yields:
        The temporary folder to fill.

    Raises:
        InputError: if a folder of another kind stands there.
        PlauditError: if the disk is full; the old folder is untouched.
    """
    target = Path(path)
    if not target.name or target.name == "..":  # `.`, or a root: it has no name to be exchanged by
        target = Path(os.path.abspath(target))
    check_replaceable(target, mark=mark)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in sorted(temporary.rglob("*")):
            _sync_path(file)
        _put_folder(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: str | Path, *, mark: str = "") -> None:
    """Refuses a place where a folder would take something else's place: before the work, not after it.

    Args:
        path: where a folder is to be written.
        mark: a file that a folder of this kind has.

    Raises:
        InputError: if a file stands there, or a folder that holds something and has no such file.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise InputError(f"write: {target} is a file, and a folder is to be written there; name another path")
    if mark and target.is_dir() and any(target.iterdir()) and not (target / mark).is_file():
        raise InputError(
            f"write: {target} is no such folder as is to be written there (it has no {mark}), and what it holds would "
            "be lost; name another path"
        )


def explained(error: OSError, target: Path) -> PlauditError:
    """What the system said about a write, as one line with the fix.

    Args:
        error: the system's error.
        target: what was being written.

    Returns:
        The error to raise; a `PlauditError` is returned as it is.
    """
    if isinstance(error, PlauditError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlauditError(
            f"write: no space left on the disk while writing {target}; "
            "what was there before is untouched: free some space and run the command again"
        )
    return InputError(f"write: cannot write {target}: {error.strerror or error}; choose a place that can be written")


def _put_folder(new: Path, target: Path) -> None:
    if not target.exists():
        os.rename(new, target)
    elif not _exchange(new, target):
        aside = target.with_name(f".{target.name}.{os.getpid()}.old")
        os.rename(target, aside)
        os.rename(new, target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two names in one step where the kernel can (renameat2 with RENAME_EXCHANGE)."""
    if not sys.platform.startswith("linux"):
        return False
    at_fdcwd, rename_exchange = -100, 2
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(call(at_fdcwd, os.fsencode(first), at_fdcwd, os.fsencode(second), rename_exchange) == 0)


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder; the rename is done all the same
        _sync_path(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
