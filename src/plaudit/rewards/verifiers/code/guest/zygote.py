"""The zygote: it never meets a candidate's text, and forks a process in namespaces of its own for each run.

One job comes at a time, as a JSON message with file descriptors; texts travel in those descriptors, straight to
the process that needs them, so that no candidate inherits a byte of another's program or of any tests.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

# relative: the package has another name inside the box
from . import confine, proxies, pytest_words, seccomp, serve, trial, units

_PRELOADED = (  # what most programs import; more would make every fork dearer, since its pages are copied
    "ast bisect cmath collections collections.abc copy dataclasses datetime decimal fractions functools heapq "
    "itertools json math numbers operator random re statistics string types typing"
).split()
STRETCH = 5.0
"""Times its seconds that a run may take on the clock while it still waits for the processor."""
SHARE = 0.2
"""Share of the time that a run must have computed to be held to be waiting for the processor, not sleeping."""
Job = dict[str, Any]


class Zygote:
    """Answers jobs until the other side is gone.

    Args:
        control: socket on which jobs come.
        boxed: whether this process is in a box, and each run gets namespaces of its own.
    """

    def __init__(self, control: socket.socket, boxed: bool) -> None:
        self.control, self.boxed = control, boxed
        self.filter = seccomp.program() if boxed else None
        self.self_fd = os.pidfd_open(os.getpid()) if boxed else -1
        self.wake, wake = os.pipe()
        for fd in (self.wake, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.poll = select.poll()
        self.poll.register(self.wake, select.POLLIN)
        self.poll.register(control, select.POLLIN)

    def loop(self) -> None:
        """Answers jobs until the end of the stream."""
        while True:
            body, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 8)
            if not body:
                return
            try:
                answer = self.run(json.loads(body), fds)
            except OSError as error:
                answer = {"failed": str(error)[:300]}
            finally:
                for fd in fds:
                    os.close(fd)
            self.control.send(json.dumps(answer).encode())

    def run(self, job: Job, fds: list[int]) -> Job:
        """One job: its processes are started, waited for until the deadline, and killed."""
        start, alive = time.monotonic(), dict[int, str]()
        try:
            if job["kind"] == "stdio":
                program, stdin, stdout, stderr = fds
                child = self.fork(job, _stdio(job), {0: stdin, 1: stdout, 2: stderr, 3: program})
                alive[child] = "candidate"
            else:
                alive = self.pair(job, fds)
            return self.wait(alive, start, job)
        finally:
            for pid in alive:
                self.kill(pid)

    def pair(self, job: Job, fds: list[int]) -> dict[int, str]:
        """The candidate and its tests, each in a box of its own, and two pipes between them."""
        program, tests, verdict, output = fds
        asked, answered = os.pipe(), os.pipe()
        alive: dict[int, str] = {}
        try:
            null = os.open("/dev/null", os.O_RDWR)
            seen = {0: null, 1: output, 2: output, 3: program, 4: asked[0], 5: answered[1]}
            alive[self.fork(job, lambda: serve.main(3, 4, 5), seen)] = "candidate"
            seen = {0: null, 1: null, 2: null, 3: tests, 4: answered[0], 5: asked[1], 6: verdict}
            roomy = {**job, "memory": job["memory"] + (512 << 20)}
            alive[self.fork(roomy, lambda: trial.main(3, 4, 5, 6), seen, trusted=True)] = "tests"
            os.close(null)
        except OSError:
            for pid in alive:
                self.kill(pid)
            raise
        finally:
            for fd in (*asked, *answered):
                os.close(fd)
        return alive

    def fork(self, job: Job, work: Callable[[], None], fds: dict[int, int], *, trusted: bool = False) -> int:
        """Starts `work` in a process that sees the given descriptors and no others."""
        if self.boxed:
            confine.unshare(confine.PID)
        pid = confine.fork()
        if pid == 0:
            code = 125
            try:
                self.shut_in(job, fds, trusted)
                work()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException as error:  # the last frame of a forked process: it must not return into the loop
                with contextlib.suppress(BaseException):
                    sys.stderr.write(f"{type(error).__name__}: {error}\n")
                    sys.stderr.flush()
            finally:
                os._exit(code & 255)
        if self.boxed:
            confine.rejoin(self.self_fd)
        if pid < 0:
            raise OSError("no process can be started")
        return pid

    def shut_in(self, job: Job, fds: dict[int, int], trusted: bool) -> None:
        """Everything between the fork and the first untrusted byte.

        The candidate gets a process, mount and IPC namespace and a temporary folder of its own. The network's is
        the box's: it has no interface and no process in it can make a socket, so one run leaves nothing there for the
        next, and making one anew would cost as much as all the others. The tests stay in the box's namespaces, where
        nothing can be written.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if self.boxed and not trusted:
            confine.unshare(confine.MOUNT | confine.IPC)
            confine.empty_tmp(job["tmp_mb"])
            os.chdir("/tmp")
        _arrange(fds)
        confine.limit(CPU=math.ceil(job["cpu"]) + 1, AS=job["memory"], FSIZE=job["max_output"], NOFILE=64)
        if self.boxed:  # the machine counts a user's processes everywhere, a box its own
            confine.limit(NPROC=job["processes"])
        confine.drop_privileges(boxed=self.boxed, filter_code=self.filter)

    def wait(self, alive: dict[int, str], start: float, job: Job) -> Job:
        """Waits until the tests (or the program itself) have ended, no longer than the deadline."""
        answer: Job = {"late": False, "cpu": 0.0, "status": {}}
        last = "candidate" if job["kind"] == "stdio" else "tests"
        while last in alive.values():
            left = start + job["timeout"] - time.monotonic()
            if left <= 0:
                if not self.starved(alive, start, job, answer["cpu"]):
                    answer["late"] = True
                    break
                left = 0.05
            ready = {fd for fd, _ in self.poll.poll(left * 1000 + 1)}
            if self.control.fileno() in ready:  # nothing is sent during a run: the other side is gone
                sys.exit(0)
            if self.wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake, 512)
            for pid in list(alive):
                self.reap(pid, alive, answer, os.WNOHANG)
        for pid in list(alive):
            self.kill(pid)
            answer["status"].setdefault(alive[pid], None)
            self.reap(pid, alive, answer, 0, told=False)
        answer["seconds"] = time.monotonic() - start
        return answer

    def starved(self, alive: dict[int, str], start: float, job: Job, spent: float) -> bool:
        """Whether a run that has had its time computes, but has not been given the processor for that time.

        It then goes on: no longer than `STRETCH` times its seconds, until it has had them as processor time. What
        sleeps or waits gets no more.
        """
        passed = time.monotonic() - start
        if passed >= STRETCH * job["timeout"]:
            return False
        with contextlib.suppress(OSError):
            spent += sum(time.clock_gettime((~pid << 3) | 2) for pid in alive)  # Linux's number of a process's clock
            return bool(SHARE * passed <= spent < job["cpu"])
        return False

    def reap(self, pid: int, alive: dict[int, str], answer: Job, flags: int, *, told: bool = True) -> None:
        """Collects a child if it has ended: its exit status and its processor time."""
        found, status, usage = os.wait4(pid, flags)
        if not found:
            return
        role = alive.pop(pid)
        if told:
            answer["status"][role] = os.waitstatus_to_exitcode(status)
        answer["cpu"] += usage.ru_utime + usage.ru_stime
        if not alive:
            self.kill_strays()

    def kill(self, pid: int) -> None:
        """Kills a run: as the first process of its namespace it takes all others with it."""
        with contextlib.suppress(ProcessLookupError):
            if self.boxed:
                os.kill(pid, signal.SIGKILL)
            else:
                os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)  # it may have left its group

    def kill_strays(self) -> None:
        """Without namespaces: kills what a run has left behind and what has come to this process."""
        if self.boxed:
            return
        with contextlib.suppress(OSError, ChildProcessError):
            while strays := _children():
                for pid in strays:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]


def _arrange(fds: dict[int, int]) -> None:
    """Puts descriptors where they belong and closes all others."""
    high = {to: os.dup2(fd, 32 + to, inheritable=False) for to, fd in fds.items()}
    for to, fd in high.items():
        os.dup2(fd, to, inheritable=to <= 2)
    os.closerange(max(fds) + 1, os.sysconf("SC_OPEN_MAX"))


def _stdio(job: Job) -> Callable[[], None]:
    return lambda: serve.run_script(3, job.get("command"))


def rehearse() -> None:
    """Does once what every run does, on a text of our own.

    Caches are filled and code is specialised before the first fork: a child that did it would copy the pages.
    """
    read, write = os.pipe()
    tests = "import math\n\ndef check(candidate):\n    assert candidate([1]) == 2\n    assert abs(candidate(2)) < 3\n"
    for _ in range(12):
        space: dict[str, Any] = {}
        text = "def f(x):\n    return [x, 1.5, 'a', (1,), {1: 2}]\n"
        exec(compile(text, serve.NAME, "exec", dont_inherit=True, optimize=0), space)
        server, link = serve.Server(space, read, write), proxies.Link(read, write, "tests", finite=True)
        serve.defines(text, "f")
        for question in (
            {"op": "global", "a": ["f"]},
            {"op": "call", "a": [{"t": "ref", "v": 0}, [3]]},
            {"op": "call"},
        ):
            server.answer(question)
            reply = link.receive()
            with contextlib.suppress(TypeError):
                link._raise(reply["raise"]) if "raise" in reply else link.decode(reply["ok"])
            link.encode([proxies.Proxy(link, 0, "function"), 1.0, "x", {2: (3,)}])
        server.kinds()
        made = units.Units(tests, "check")
        exec(compile(made.tree, "<tests>", "exec", dont_inherit=True), {})
        units.Units("assert f(1) == 2\nassert f(2) == 3").shadowing(["f"], frozenset())
        pytest_words.module()
        json.loads(json.dumps({"a": [1, None, "b", 2.5]}))
    os.close(read)
    os.close(write)
    random.seed(0)


def main(boxed: bool, nobody: bool, control: int) -> None:
    """Loads what programs commonly import, says hello, and answers jobs."""
    for name in _PRELOADED:
        __import__(name)
    # made once, before any fork: a child that makes its own copies some hundred pages for them
    os.environ.clear()
    os.environ.update(HOME="/tmp", TMPDIR="/tmp", LANG="C.UTF-8", PYTHONHASHSEED="0")
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)
    confine.note_users(nobody)
    if not boxed:
        confine.adopt_orphans()
    rehearse()
    confine.warm_up()
    confine.limit(CORE=0, MEMLOCK=0, MSGQUEUE=0, RTPRIO=0, NICE=0)
    if boxed and (long := seccomp.program(zygote=True)) is not None:
        confine.install_filter(long)
    channel = socket.socket(fileno=control)
    zygote = Zygote(channel, boxed)
    gc.disable()  # a collection in a child would touch, and so copy, pages; the candidate's turns it on again
    gc.collect()
    gc.freeze()  # forked children then copy fewer pages
    channel.send(b'{"ready": true}')
    zygote.loop()
