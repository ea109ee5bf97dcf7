"""What runs below a `WorkerPool`: a template that has imported everything, and the children that it forks.

A child is then ready within milliseconds of the one before it being killed, and not after the second that the imports
take. The template runs no jobs and has one thread, so that its forks are sound. It imports nothing of Plaudit but the
module of the function it was started for.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

HEAD = struct.Struct(">I")
"""Four bytes before each message: its length."""


def receive(channel: socket.socket) -> Any:
    """The next message, or None where the other side has gone."""
    head = _exactly(channel, HEAD.size)
    if head is None:
        return None
    body = _exactly(channel, HEAD.unpack(head)[0])
    return None if body is None else json.loads(body)


def encode(message: Any) -> bytes:
    """A message as it travels: its length, then ASCII JSON, which keeps lone surrogates."""
    body = json.dumps(message).encode("ascii")
    return HEAD.pack(len(body)) + body


def template(function: str, memory_mb: int) -> None:
    """Imports a function, then forks a child whenever it is asked, until the socket at descriptor 0 closes.

    It first says `{"ready": true}`, or `{"error": [type, message]}` where the import fails. A request is one byte: `f`
    with the child's end of a socket attached asks for a child and is answered with `{"pid": n}`; `w` and eight bytes
    (a process id) ask how a child ended, which is answered with `{"status": n}`, negative for a signal.

    Args:
        function: `module:name`; called with a job's value, it returns JSON. If its module has a function `warm_up`,
            that is called once, so that no child pays for what the first job would.
        memory_mb: address space that each child may use, in MiB; 0 for no limit.
    """
    channel = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what a library prints must not land among the replies
        os.dup2(null, descriptor)
    os.close(null)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    try:
        module, _, name = function.partition(":")
        home = importlib.import_module(module)
        call = getattr(home, name)
        getattr(home, "warm_up", lambda: None)()
    except Exception as error:
        channel.sendall(encode({"error": [type(error).__name__, str(error)]}))
        return
    gc.freeze()
    channel.sendall(encode({"ready": True}))
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not request:
            return
        if request == b"f":
            reply = {"pid": _fork(channel, descriptors[0], call, memory_mb)}
        else:
            pid = _exactly(channel, 8)
            if pid is None:
                return
            reply = {"status": _ended(int.from_bytes(pid, "big"))}
        channel.sendall(encode(reply))


def serve(channel: socket.socket, call: Callable[[Any], Any], memory_mb: int) -> None:
    """Answers jobs until the socket closes.

    A job is `{"job": value, "seconds": deadline}`, a reply `{"value": v}` or `{"error": [type, message]}`.
    """
    if memory_mb:
        limit = memory_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while (message := receive(channel)) is not None:
        # the parent kills at the deadline; the alarm is for the child whose parent died in the meantime
        signal.alarm(int(2 * message["seconds"]) + 5)
        reply = encode(_reply(call, message["job"]))
        signal.alarm(0)
        channel.sendall(reply)


def _fork(template_channel: socket.socket, descriptor: int, call: Callable[[Any], Any], memory_mb: int) -> int:
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    try:
        template_channel.close()
        serve(socket.socket(fileno=descriptor), call, memory_mb)
    except OSError:
        pass  # the parent has gone while it was answered
    finally:
        os._exit(0)


def _ended(pid: int) -> int:
    """How a child ended that is dead, or is about to be; one that lingers is killed."""
    for _ in range(500):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _reply(call: Callable[[Any], Any], job: Any) -> dict[str, Any]:
    try:
        return {"value": call(job)}
    except MemoryError:
        return {"error": ["MemoryError", "the job ran out of memory"]}
    except Exception as error:  # said to the parent, which decides whose fault it is
        return {"error": [type(error).__name__, str(error)[:500]]}


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(min(count - len(parts), 1 << 16))
        if not part:
            return None
        parts += part
    return bytes(parts)


if __name__ == "__main__":  # pragma: no cover  # started by `worker_process`, which sets the path first
    template(sys.argv[1], int(sys.argv[2]))
