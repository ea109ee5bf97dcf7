"""Being stopped politely: SIGTERM ends a command as Ctrl-C does, so that logs close before the exit."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turns SIGTERM into `KeyboardInterrupt` inside the block; the old handler comes back after it.

    Outside the main thread, where Python takes no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
