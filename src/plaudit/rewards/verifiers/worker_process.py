"""The processes of a `WorkerPool`, seen from their parent: the template, and the children that it forks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from plaudit.errors import UnsupportedError
from plaudit.rewards.verifiers.worker_child import HEAD, encode, receive

STARTUP = 120.0
"""Seconds in which a template must have imported what it needs; counted for no job."""
OUTSIDE = frozenset((-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT))
"""Exit statuses of a process that something outside has killed."""
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from plaudit.rewards.verifiers.worker_child import template; "
    "template(sys.argv[2], int(sys.argv[3]))"
)


class ChildError(RuntimeError):
    """No child can be started: what its function's module needs is missing or broken."""


class TemplateGoneError(RuntimeError):
    """The template has died; another one must be started."""


@dataclass(slots=True)
class Task:
    """A job with its place among the results, and how often its child was killed from outside."""

    index: int
    job: Any
    kills: int = 0


class Template:
    """A process that has imported a function and forks children on demand; safe to use from several threads.

    Args:
        function: `module:name` of what the children run.
        memory_mb: address space of each child in MiB; 0 for no limit.

    Raises:
        ChildError: if the function cannot be imported.
        TemplateGoneError: if the process dies before it is ready.
    """

    def __init__(self, function: str, memory_mb: int) -> None:
        if os.name != "posix" or not sys.executable:
            raise UnsupportedError("worker pool: needs a POSIX system and a Python interpreter that it can start")
        self.channel, theirs = socket.socketpair()
        self.lock = threading.Lock()
        path = json.dumps([p or os.getcwd() for p in sys.path])
        # one hash seed for all, so that no verdict depends on the order of a set
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYTHONHASHSEED": "0"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, path, function, str(memory_mb)],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        self.channel.settimeout(STARTUP)
        try:
            said = self._answer()
        except BaseException:
            how = self._end()
            if how not in OUTSIDE:
                raise ChildError(f"the interpreter ended while it was starting ({how})") from None
            raise
        if "error" in said:
            self.stop()
            raise ChildError(": ".join(said["error"]))
        self.channel.settimeout(30.0)

    def fork(self) -> Worker:
        """A new child.

        Raises:
            TemplateGoneError: if the template is dead.
        """
        ours, theirs = socket.socketpair()
        try:
            with self.lock, theirs:
                try:
                    socket.send_fds(self.channel, [b"f"], [theirs.fileno()])
                except OSError as error:
                    raise TemplateGoneError from error
                pid = self._answer()["pid"]
        except BaseException:
            ours.close()
            raise
        return Worker(self, pid, ours)

    def status(self, pid: int) -> int:
        """How a child of this template ended; where nobody knows any more, as if it had been killed from outside."""
        try:
            with self.lock:
                self.channel.sendall(b"w" + pid.to_bytes(8, "big"))
                return int(self._answer()["status"])
        except (OSError, TemplateGoneError):
            return -signal.SIGKILL

    def stop(self) -> None:
        """Kills and buries the template; its children live on until their sockets close."""
        self.channel.close()
        self.process.kill()
        self.process.wait()

    def _end(self) -> int:
        """How a template that does not answer ended; as if killed, where it only hangs."""
        try:
            status = self.process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        self.stop()
        return status

    def forget(self) -> None:
        """In a forked copy of the parent: lets go of a process that is not ours."""
        self.channel.close()
        self.process.returncode = 0  # we cannot wait for it, and must not be warned that we did not

    def _answer(self) -> Any:
        try:
            said = receive(self.channel)
        except OSError as error:
            raise TemplateGoneError from error
        if said is None:
            raise TemplateGoneError
        return said


class Worker:
    """One child with its socket; used by one thread at a time.

    Args:
        template: that forked it, and alone can say how it ended.
        pid: its process.
        channel: our end of its socket.
    """

    def __init__(self, template: Template, pid: int, channel: socket.socket) -> None:
        self.template, self.pid, self.channel = template, pid, channel
        # a process id may be given to another process once its own has gone; a descriptor of it may not
        self.descriptor = _descriptor(pid)
        channel.settimeout(10.0)
        self.buffer = bytearray()
        self.task: Task | None = None
        self.deadline = float("inf")
        self.cpu = 0.0

    def send(self, task: Task, seconds: float) -> bool:
        """Gives an idle child a job; False where it is found dead."""
        self.task, self.cpu = task, cpu_seconds(self.pid)
        try:
            self.channel.sendall(encode({"job": task.job, "seconds": seconds}))
        except OSError:
            return False
        self.deadline = time.monotonic() + seconds
        return True

    def read(self) -> Any:
        """The next message if it is complete, None if it is not; raises EOFError where the child is gone."""
        try:
            part = self.channel.recv(1 << 16)
        except OSError:
            part = b""
        if not part:
            raise EOFError
        self.buffer += part
        if len(self.buffer) < HEAD.size:
            return None
        size = HEAD.unpack(self.buffer[: HEAD.size])[0] + HEAD.size
        if len(self.buffer) < size:
            return None
        message = json.loads(bytes(self.buffer[HEAD.size : size]))
        del self.buffer[:size]
        return message

    def stop(self) -> int:
        """Kills and buries the child; its exit status, negative for a signal."""
        self.kill()
        return self.buried()

    def kill(self) -> None:
        """Kills the child if it lives."""
        try:
            if self.descriptor >= 0:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was faster

    def buried(self) -> int:
        """The exit status of a child that is dead, or about to be because its socket is closed."""
        status = self.template.status(self.pid)
        self.forget()
        return status

    def forget(self) -> None:
        """Closes what we hold of it."""
        self.channel.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _descriptor(pid: int) -> int:
    """A descriptor of a process; -1 where the system has none, or the process is gone."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process has used; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
