"""One call after another beside the main thread, none of which holds up an interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, final


@final
class Background:
    """Runs calls in the order in which they were given, in a thread that ends with the process.

    A context: at its end, also after an error, what was begun is waited for, since it is paid for; what was not begun
    is dropped after an error. An interruption (Ctrl-C) waits for nothing: a thread pool would wait for every call.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._given: list[Future[Any]] = []
        self._thread = threading.Thread(target=self._work, daemon=True, name="plaudit-scoring")

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """What the call will have given."""
        future: Future[Any] = Future()
        self._given.append(future)
        self._calls.put((future, call))
        return future

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.put(None)
        if kind is not None:
            for future in self._given:
                future.cancel()
        if kind is None or issubclass(kind, Exception):
            wait(self._given)
            self._thread.join()

    def _work(self) -> None:
        while (given := self._calls.get()) is not None:
            future, call = given
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # whoever waits for the result is told
                future.set_exception(error)
