"""Boxes kept warm: each process has its own, any thread may borrow one, and a broken one is replaced."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator

from plaudit.rewards.verifiers.code.boxes import Box


class Pool:
    """Boxes of one mode, made when they are needed.

    Args:
        mode: see `Box`.
        size: boxes that are in use at once, at most.
    """

    def __init__(self, mode: str, size: int) -> None:
        self.mode, self.size = mode, size
        self.idle: list[Box] = []
        self.busy: set[Box] = set()
        self.waiting = 0
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def box(self) -> Iterator[Box]:
        """Borrows a box; one that broke down, or that an exception was raised over, does not come back.

        Raises:
            BoxError: if one is needed and cannot be made.
        """
        box = self._take()
        try:
            yield box
        except BaseException:
            self._give(box, keep=False)
            raise
        self._give(box, keep=True)

    def _take(self) -> Box:
        with self.changed:
            while not self.idle and len(self.busy) + self.waiting >= self.size:
                self.changed.wait()
            if self.idle:
                box = self.idle.pop()
                self.busy.add(box)
                return box
            self.waiting += 1  # a place is taken while the box is being made outside the lock
        try:
            box = Box(self.mode)
        except BaseException:
            with self.changed:
                self.waiting -= 1
                self.changed.notify()
            raise
        with self.changed:
            self.waiting -= 1
            self.busy.add(box)
        return box

    def _give(self, box: Box, *, keep: bool) -> None:
        if not keep:
            box.close()
        with self.changed:
            self.busy.discard(box)
            if keep:
                self.idle.append(box)
            self.changed.notify()

    def grow(self, size: int) -> None:
        """Allows at least `size` boxes at once."""
        with self.changed:
            self.size = max(self.size, size)
            self.changed.notify_all()

    def close(self) -> None:
        """Ends all boxes; the pool makes new ones when it is used again."""
        with self.changed:
            idle, self.idle, busy = self.idle, [], list(self.busy)
        for box in busy:
            box.close()
        for box in idle:
            box.close(patience=1.0)

    def forget(self) -> None:
        """In a forked child: the boxes are the parent's, and its locks may be held by threads that are not here."""
        for box in (*self.idle, *self.busy):
            box.forget()
        self.idle, self.busy, self.waiting = [], set(), 0
        self.changed = threading.Condition()


_pools: dict[str, Pool] = {}
_lock = threading.Lock()


def pool_of(mode: str, size: int = 0) -> Pool:
    """This process's pool for a mode, with room for `size` boxes (0: `default_size`)."""
    size = size or default_size()
    with _lock:
        pool = _pools.setdefault(mode, Pool(mode, size))
    pool.grow(size)
    return pool


def default_size() -> int:
    """Programs at once that keep all processors busy: two more, since each pauses between its processes."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 2


def close_all() -> None:
    """Ends all boxes of this process."""
    with _lock:
        pools = list(_pools.values())
    for pool in pools:
        pool.close()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for pool in _pools.values():
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
atexit.register(close_all)
