"""A pool of child processes that can be killed: for jobs that may loop, explode or crash, from any thread.

A signal-based time-out works in the main thread only, and an interpreter cannot be stopped in the middle of an
integer power; a process can. Who is to blame is then decided with care, because a candidate's explosion is worth
the floor while the machine's trouble must not be:

- A child that is killed from outside (SIGKILL, SIGTERM, SIGHUP, SIGINT: an operator, the kernel under memory
  pressure) says nothing about its job, which runs again on a fresh child, up to `KILLS` times.
- A child that crashes (SIGSEGV, SIGABRT, SIGBUS, an exit) or overruns its deadline is suspect. The job runs once
  more, alone; if that fails too, a canary of known cost runs. If the canary passes in time, the job is the cause,
  else the machine is.
- A job that used processor time for as long as its deadline allows was given its time: it is the cause at once.
"""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from weakref import WeakSet

from plaudit.errors import InputError
from plaudit.rewards.verifiers.worker_process import (
    OUTSIDE,
    ChildError,
    Task,
    Template,
    TemplateGoneError,
    Worker,
    cpu_seconds,
)

__all__ = ["ChildError", "Died", "Done", "Overran", "Raised", "Result", "WorkerPool"]

Cause = Literal["job", "machine"]
KILLS = 25
"""How often a job is given to a fresh child because the last one was killed from outside."""
PATIENCE = 300.0
"""Seconds for which a template that dies before it is ready, time after time, is started again."""


@dataclass(frozen=True, slots=True)
class Done:
    """The job returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The job's function raised."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Overran:
    """The job did not end within its deadline, and who is to blame."""

    seconds: float
    cause: Cause


@dataclass(frozen=True, slots=True)
class Died:
    """The job's child died, of which signal or exit, and who is to blame."""

    how: str
    cause: Cause


Result = Done | Raised | Overran | Died


class WorkerPool:
    """Children that run one function; started when they are needed, replaced when they die.

    `run` may be called from several threads at once; they share the children. A forked process starts with an
    empty pool. The children are forked from a template that has imported the function, so that the next one is there
    within milliseconds; the template itself is started again when it dies.

    Args:
        function: `module:name`; called with one JSON value, it returns one.
        workers: children at most, at least 1.
        memory_mb: address space of each, in MiB; 0 for no limit.
        canary: a job of milliseconds, which tells a slow machine from a slow job.
    """

    def __init__(self, function: str, *, workers: int, memory_mb: int = 0, canary: Any = None) -> None:
        if workers < 1:
            raise InputError(f"worker pool: workers is {workers}; give at least 1")
        self.function, self.workers, self.memory_mb, self.canary = function, workers, memory_mb, canary
        self._renew()
        _POOLS.add(self)

    def _renew(self) -> None:
        self._slots = threading.Semaphore(self.workers)
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._template: Template | None = None
        self._idle: list[Worker] = []
        self._all: list[Worker] = []

    def run(self, jobs: Sequence[Any], *, seconds: float) -> list[Result]:
        """Runs jobs on all free children, in any order; their results in the jobs' order.

        Args:
            jobs: JSON values.
            seconds: deadline of each, by the clock on the wall; the start of a child is not counted.

        Raises:
            ChildError: if a child cannot be started because the function cannot be imported.
        """
        results: list[Result | None] = [None] * len(jobs)
        suspects = []
        for task, result in _Round(self, [Task(i, job) for i, job in enumerate(jobs)], seconds, self.workers).run():
            if _is_suspect(result):
                suspects.append(task)
            else:
                results[task.index] = result
        for task in suspects:
            results[task.index] = self._alone(task, seconds)
        return [r for r in results if r is not None]

    def _alone(self, task: Task, seconds: float) -> Result:
        """Second and last try of a suspect job, and the canary if that fails too."""
        again = self._single(task.job, seconds)
        if not _is_suspect(again):
            return again
        canary = self._single(self.canary, seconds)
        cause: Cause = "job" if isinstance(canary, Done) else "machine"
        if isinstance(again, Overran):
            return Overran(seconds, cause)
        return Died(again.how if isinstance(again, Died) else "unknown", cause)

    def _single(self, job: Any, seconds: float) -> Result:
        return _Round(self, [Task(0, job)], seconds, 1).run()[0][1]

    def take(self, *, wait: bool) -> Worker | None:
        """A child of one's own; None where none is free and one does not wait.

        Raises:
            ChildError: if the function cannot be imported.
            TemplateGoneError: if every template died for `PATIENCE` seconds before it was ready.
        """
        if not self._slots.acquire(blocking=wait):
            return None
        try:
            with self._lock:
                if self._idle:
                    return self._idle.pop()
            made = self._forked()
        except BaseException:
            self._slots.release()
            raise
        with self._lock:
            self._all.append(made)
        return made

    def _forked(self) -> Worker:
        end = time.monotonic() + PATIENCE
        while True:
            with self._starting:
                try:
                    if self._template is None:
                        self._template = Template(self.function, self.memory_mb)
                    return self._template.fork()
                except TemplateGoneError:
                    if self._template is not None:
                        self._template.stop()
                        self._template = None
                    if time.monotonic() > end:
                        raise

    def give_back(self, worker: Worker, *, alive: bool) -> None:
        """Returns a child, or its place if it is dead."""
        with self._lock:
            if alive:
                self._idle.append(worker)
            else:
                self._all.remove(worker)
        self._slots.release()

    def pids(self) -> list[int]:
        """Process ids of the living children, and last that of the template that they are forked from."""
        with self._lock:
            template = self._template
            return [w.pid for w in self._all] + ([template.process.pid] if template is not None else [])

    def close(self) -> None:
        """Kills all children that are not at work, and the template if none is; the pool can be used again."""
        with self._starting, self._lock:
            idle, self._idle = self._idle, []
            self._all = [w for w in self._all if w not in idle]
            for worker in idle:
                worker.stop()
            if not self._all and self._template is not None:
                self._template.stop()
                self._template = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _kill(self) -> None:
        for worker in self._all:
            worker.kill()
            worker.forget()
        if self._template is not None:
            self._template.stop()

    def _forget(self) -> None:
        for worker in self._all:
            worker.forget()
        if self._template is not None:
            self._template.forget()
        self._renew()


class _Round:
    """One call's jobs on the children that it holds, until each has a result."""

    def __init__(self, pool: WorkerPool, tasks: list[Task], seconds: float, most: int) -> None:
        self.pool, self.waiting, self.seconds = pool, deque(tasks), seconds
        self.most = min(most, len(tasks))
        self.missing = len(tasks)
        self.results: list[tuple[Task, Result]] = []
        self.held: dict[int, Worker] = {}

    def run(self) -> list[tuple[Task, Result]]:
        with selectors.DefaultSelector() as self.selector:
            try:
                while self.missing:
                    self._staff()
                    self._step()
            finally:
                for worker in list(self.held.values()):
                    self._release(worker)
        return self.results

    def _staff(self) -> None:
        """Takes children while there are jobs for them; gives back those that have none."""
        for worker in list(self.held.values()):
            if worker.task is None and self.waiting:
                self._employ(worker)
        while self.waiting and len(self.held) < self.most:
            try:
                taken = self.pool.take(wait=not self.held)
            except TemplateGoneError:
                self._give_up("the template died while starting")
                break
            if taken is None:
                break
            self.held[taken.channel.fileno()] = taken
            self.selector.register(taken.channel, selectors.EVENT_READ, taken)
            self._employ(taken)
        for worker in list(self.held.values()):
            if worker.task is None and not self.waiting:
                self._release(worker)

    def _step(self) -> None:
        """Waits for the next message, death or deadline."""
        busy = [w for w in self.held.values() if w.task is not None]
        if not busy:
            return
        until = min(w.deadline for w in busy) - time.monotonic()
        # another thread may give a child back meanwhile: look again soon if this call could use one
        most = 0.05 if self.waiting and len(self.held) < self.most else 3600.0
        for key, _ in self.selector.select(min(max(until, 0.0), most)):
            self._heard(key.data)
        now = time.monotonic()
        for worker in busy:
            if worker.channel.fileno() in self.held and worker.task is not None and worker.deadline <= now:
                self._late(worker)

    def _heard(self, worker: Worker) -> None:
        try:
            message = worker.read()
        except EOFError:
            self._dead(worker)
            return
        if message is None:
            return
        task, worker.task = worker.task, None
        assert task is not None  # a child speaks only when it is asked
        if "value" in message:
            self._settle(task, Done(message["value"]))
        else:
            self._settle(task, Raised(*message["error"]))
            if message["error"][0] == "MemoryError":  # its heap is in pieces
                self._discard(worker)
                return
        self._employ(worker)

    def _employ(self, worker: Worker) -> None:
        if self.waiting and not worker.send(self.waiting.popleft(), self.seconds):
            self._dead(worker)

    def _dead(self, worker: Worker) -> None:
        task = worker.task
        status = self._discard(worker, gone=True)
        how = signal.Signals(-status).name if status < 0 else f"exit {status}"
        if task is None:  # it was idle: no job of ours is concerned
            return
        if status in OUTSIDE:
            task.kills += 1
            if task.kills < KILLS:
                self.waiting.appendleft(task)
            else:
                self._settle(task, Died(how, "machine"))
        else:
            self._settle(task, Died(how, "job"))

    def _give_up(self, how: str) -> None:
        """Where no child can be had, the waiting jobs stay undone, and the machine is to blame."""
        while self.waiting:
            self._settle(self.waiting.popleft(), Died(how, "machine"))

    def _late(self, worker: Worker) -> None:
        task = worker.task
        assert task is not None  # only a child at work has a deadline
        used = cpu_seconds(worker.pid) - worker.cpu
        self._discard(worker)
        # a job that had its time is the cause; one that had not is suspect, and so is the machine
        self._settle(task, Overran(self.seconds, "job" if used >= 0.8 * self.seconds else "machine"))

    def _settle(self, task: Task, result: Result) -> None:
        self.missing -= 1
        self.results.append((task, result))

    def _discard(self, worker: Worker, *, gone: bool = False) -> int:
        """Buries a child that is `gone`, else kills it; its exit status."""
        self.held.pop(worker.channel.fileno())
        self.selector.unregister(worker.channel)
        status = worker.buried() if gone else worker.stop()
        self.pool.give_back(worker, alive=False)
        return status

    def _release(self, worker: Worker) -> None:
        """Gives a child back; one that is still at work, because this call was interrupted, is killed."""
        self.held.pop(worker.channel.fileno())
        self.selector.unregister(worker.channel)
        if worker.task is not None:
            worker.stop()
        self.pool.give_back(worker, alive=worker.task is None)


def _is_suspect(result: Result) -> bool:
    if isinstance(result, Overran):
        return result.cause == "machine"
    return isinstance(result, Died) and result.cause == "job"


_POOLS: WeakSet[WorkerPool] = WeakSet()


def _after_fork() -> None:
    for pool in list(_POOLS):
        pool._forget()


def _at_exit() -> None:
    for pool in list(_POOLS):
        pool._kill()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
