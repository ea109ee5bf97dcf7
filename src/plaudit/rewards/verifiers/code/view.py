"""What a box shows of the machine: the interpreter, its standard library, the shared libraries of both; no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plaudit.errors import UnsupportedError
from plaudit.rewards.verifiers.code.languages import LANGUAGES

_LOADED = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")


@dataclass(frozen=True, slots=True)
class View:
    """Files and folders that a box shows.

    Attributes:
        interpreter: path of the Python that runs inside.
        shown: pairs of where something is on the machine and where the box shows it, folders before their parts.
        hidden: folders among those that are empty inside: installed packages.
        devices: device files.
    """

    interpreter: str
    shown: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]
    devices: tuple[str, ...]


def machine_view() -> View:
    """The view for the running interpreter and the commands of all languages; found once a process."""
    return _view(tuple(sorted({x.command[0] for x in LANGUAGES.values() if x.command})))


@cache
def _view(commands: tuple[str, ...]) -> View:
    interpreter = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
    folders = dict.fromkeys(os.path.realpath(paths[k]) for k in ("stdlib", "platstdlib") if os.path.isdir(paths[k]))
    extensions = [str(p) for folder in folders for p in sorted(Path(folder, "lib-dynload").glob("*.so"))]
    libraries = shared_libraries([interpreter, *commands, *extensions])
    files = [interpreter, *commands, *libraries, *([] if not os.path.exists(_CACHE) else [_CACHE])]
    outside = [f for f in dict.fromkeys(files) if not any(f.startswith(folder + "/") for folder in folders)]
    shown = tuple((os.path.realpath(x), x) for x in (*folders, *outside))
    hidden = tuple(f"{folder}/{name}" for folder in folders for name in ("site-packages", "dist-packages"))
    return View(interpreter, shown, hidden, tuple(d for d in _DEVICES if os.path.exists(d)))


_CACHE = "/etc/ld.so.cache"


def shared_libraries(files: Iterable[str]) -> tuple[str, ...]:
    """The shared libraries that programs and extension modules load, as the system's own loader finds them.

    Args:
        files: programs and libraries.

    Returns:
        Paths, those that glibc opens only when a thread ends among them.

    Raises:
        UnsupportedError: if the machine has no `ldd`.
    """
    ldd = shutil.which("ldd", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if ldd is None:
        raise UnsupportedError("verify/code: this machine has no ldd, by which the box's libraries are found")
    done = subprocess.run([ldd, *files], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = dict.fromkeys(os.path.normpath(x) for x in _LOADED.findall(done.stdout))
    for folder in dict.fromkeys(os.path.dirname(f) for f in list(found)):
        late = os.path.join(folder, "libgcc_s.so.1")
        if os.path.exists(late):
            found.setdefault(late)
    return tuple(found)
