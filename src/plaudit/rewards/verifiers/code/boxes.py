"""A box with a zygote in it, as the process outside holds it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import PlauditError
from plaudit.rewards.verifiers.code.view import View, machine_view

MODES = ("bwrap", "direct", "unsafe")
_MODULES = ("wire", "seccomp", "confine", "launch", "serve", "proxies", "units", "pytest_words", "trial", "zygote")
_START = """
import json, os, sys, types
fd, control, role = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
parts, at = [], 0
while part := os.pread(fd, 1 << 20, at):
    parts.append(part); at += len(part)
told = json.loads(b"".join(parts))
box = types.ModuleType("guest"); box.__path__ = []; sys.modules["guest"] = box
def load(name):
    module = types.ModuleType("guest." + name); module.__package__ = "guest"
    sys.modules["guest." + name] = module; setattr(box, name, module)
    exec(compile(told["modules"][name], "<guest/" + name + ">", "exec"), module.__dict__)
    return module
if role == "launch":
    load("confine")
    load("launch").main(told["config"], [*told["command"], sys.argv[1], sys.argv[2], "zygote"], control)
else:
    for name in told["modules"]: load(name)
    os.close(fd)
    sys.modules["guest.zygote"].main(told["config"]["mode"] != "unsafe", told["config"]["nobody"], control)
"""
_FLAGS = ("-s", "-S", "-P", "-B")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
START_SECONDS = 30.0
WATCH_SECONDS = 0.05
Job = dict[str, Any]


class BoxError(PlauditError, RuntimeError):
    """A box could not be made, or has broken down; the message says how."""


class MemoryFault(BoxError):  # a fault of the candidate's, by which its box had to be ended
    """The processes of a run together held more memory than they may."""


def anonymous_file(content: bytes = b"") -> int:
    """A file descriptor of a file without a name, at its beginning."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("plaudit", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _payload(mode: str, view: View) -> bytes:
    folder = Path(__file__).with_name("guest")
    config = {
        "mode": mode,
        "nobody": os.geteuid() == 0 and mode != "unsafe",
        "environment": _ENVIRONMENT,
        "bwrap": shutil.which("bwrap") or "",
        "view": view.shown,
        "hidden": view.hidden,
        "devices": view.devices,
    }
    modules = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}
    command = [view.interpreter, *_FLAGS, "-c", _START]
    return json.dumps({"config": config, "modules": modules, "command": command}).encode()


class Box:
    """One box: started at once, used for one run at a time, ended by `close`.

    Args:
        mode: `bwrap`, `direct`, or `unsafe` (no isolation at all).

    Raises:
        BoxError: if the machine does not let it be made, with the machine's reason.
    """

    def __init__(self, mode: str) -> None:
        self.mode, self.owner = mode, os.getpid()
        view = machine_view() if mode != "unsafe" else View(sys.executable, (), (), ())
        payload = anonymous_file(_payload(mode, view))
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = (payload, theirs.fileno())
        try:
            command = [view.interpreter, *_FLAGS, "-c", _START, *map(str, fds), "launch"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=fds, env=_ENVIRONMENT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.control.close()
            raise BoxError(f"the interpreter does not start: {error}") from error
        finally:
            theirs.close()
            os.close(payload)
        self._greet()

    def _greet(self) -> None:
        try:
            hello = self._receive(time.monotonic() + START_SECONDS)
        except BaseException:
            self.close()
            raise
        if "ready" not in hello:
            self.close()
            raise BoxError(str(hello.get("failed", "no greeting")))

    def run(self, job: Job, fds: Sequence[int]) -> Mapping[str, Any]:
        """Has the zygote do one job.

        Args:
            job: see `guest.zygote`.
            fds: what the job's processes read and write.

        Returns:
            `late`, `cpu` (seconds), `seconds`, and `status`: exit codes by role, None where the run was ended by us.

        Raises:
            MemoryFault: if the run's processes together needed too much; the box is gone then.
            BoxError: if the box broke down; it is gone then.
        """
        try:
            socket.send_fds(self.control, [json.dumps(job).encode()], list(fds))
            answer = self._receive(time.monotonic() + 6 * job["timeout"] + 10, watched=job)
        except OSError as error:
            self.close()
            raise BoxError(f"the box is gone: {error}") from error
        except BaseException:  # an interrupt leaves a run in it, and a later answer would be taken for another's
            self.close()
            raise
        if "failed" in answer:
            self.close()
            raise BoxError(str(answer["failed"]))
        return answer

    def _receive(self, deadline: float, *, watched: Job | None = None) -> dict[str, Any]:
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while not poll.poll(1000 * (WATCH_SECONDS if watched else 1.0)):
            if time.monotonic() > deadline:
                raise BoxError("the box does not answer")
            if watched and resident(self.process.pid) > watched["resident"]:
                raise MemoryFault("its processes together held too much memory")
        body = self.control.recv(1 << 16)
        if not body:
            raise BoxError("the box has ended")
        try:
            found: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise BoxError(f"the box answers {body[:80]!r}") from error
        return found

    def close(self, *, patience: float = 0.0) -> None:
        """Ends the box and everything in it; a second call does nothing.

        Args:
            patience: seconds in which an idle box may end by itself: its processor time then counts as ours.
        """
        self.control.close()
        if self.owner == os.getpid() and self.process.returncode is None:
            if patience:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def forget(self) -> None:
        """In a forked child: gives up the parent's box without ending it."""
        with contextlib.suppress(OSError):
            self.control.close()
        self.process.returncode = 0  # not ours to wait for


def resident(pid: int) -> int:
    """Bytes that the descendants of a process hold in memory beyond what the smallest interpreter of a box holds.

    Pages that a forked process shares with the zygote are counted for each and taken off again as a share.
    Where the system does not tell, 0.
    """
    total, waiting, seen = 0, [pid], 0
    while waiting and seen < 512:
        seen += 1
        one = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            total += max(_pages(one) * _PAGE - _SHARED, 0)
            for task in os.listdir(f"/proc/{one}/task")[:64]:
                waiting += [int(x) for x in Path(f"/proc/{one}/task/{task}/children").read_text().split()]
    return total


_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARED = 24 << 20


def _pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def libc_has_namespaces() -> bool:
    """Whether this is a system with namespaces at all."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "unshare")
