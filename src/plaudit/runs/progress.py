"""Progress that speaks on a terminal and without one.

On a terminal: a bar. Elsewhere (a log file, a CI job): a plain line at most every few seconds while something
advances, and a heartbeat when nothing does, so that a stalled step can be told from a slow one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Self, TextIO, final


@final
class Progress:
    """Counts towards a total; a context manager.

    Writes to standard error, so that results on standard output stay clean. Quiet where asked, or where the
    environment variable `PLAUDIT_QUIET` is set.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        every: float = 10.0,
        heartbeat: float = 60.0,
        quiet: bool | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """Prepares the display; it appears when the block is entered.

        Args:
            label: what is being done, for example `scoring`.
            total: how many there are; None where nobody knows.
            every: seconds between plain lines at least.
            heartbeat: seconds without advance after which a plain line says so, and again each time.
            quiet: True shows nothing; None asks the environment.
            stream: where to write; standard error by default.
        """
        self.label, self.total, self.done = label, total, 0
        self._every, self._heartbeat = every, heartbeat
        self._quiet = bool(os.environ.get("PLAUDIT_QUIET")) if quiet is None else quiet
        self._stream = stream if stream is not None else sys.stderr
        self._note = ""
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._bar: Any = None
        self._task: Any = None
        self._thread: threading.Thread | None = None
        self._start = self._moved = self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._start = self._moved = self._spoke = time.monotonic()
        if self._quiet:
            return self
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, note="")
        else:
            self._thread = threading.Thread(target=self._watch, name=f"progress {self.label}", daemon=True)
            self._thread.start()
        return self

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts further.

        Args:
            count: how many more are done.
            note: a figure to show behind the count, for example `loss 0.412`.
        """
        self.update(self.done + count, note)

    def update(self, done: int, note: str = "") -> None:
        """Sets the count.

        Args:
            done: how many are done altogether; also the starting point of a resumed job.
            note: a figure to show behind the count; the last one stays.
        """
        with self._mutex:
            if done != self.done:
                self._moved = time.monotonic()
            self.done, self._note = done, note or self._note
            if self._bar is not None:
                self._bar.update(self._task, completed=done, note=self._note)
            elif not self._quiet and time.monotonic() - self._spoke >= self._every:
                self._say(self._line())

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stop.set()
        if self._bar is not None:
            self._bar.stop()
        elif self._thread is not None:
            self._thread.join()
            # a job shorter than one interval has nothing to add to the line that its result gets
            if time.monotonic() - self._start >= self._every:
                self._say(self._line() + (" done" if kind is None else " stopped"))

    def _line(self) -> str:
        seconds = time.monotonic() - self._start
        of = "" if self.total is None else f"/{self.total}"
        left = ""
        if self.total and self.done and self.done < self.total:
            left = f", about {_clock(seconds * (self.total - self.done) / self.done)} left"
        return f"{self.label}: {self.done}{of} after {_clock(seconds)}{left}" + (
            f", {self._note}" if self._note else ""
        )

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(line, file=self._stream, flush=True)

    def _watch(self) -> None:
        while not self._stop.wait(min(self._heartbeat / 4, 1.0)):
            with self._mutex:
                now = time.monotonic()
                if now - max(self._moved, self._spoke) >= self._heartbeat:
                    of = "" if self.total is None else f"/{self.total}"
                    waited = _clock(now - self._moved)
                    self._say(f"{self.label}: still at {self.done}{of} after {waited} without advance")


def _bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=stream),
        transient=True,
    )


def _clock(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
