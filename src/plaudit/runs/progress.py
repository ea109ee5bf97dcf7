"""Progress that speaks on a terminal and without one.

On a terminal: a bar, and under it a table where a job has figures of its own. Elsewhere (a log file, a CI job): a plain
line at most every few seconds while something advances, and a heartbeat when nothing does, so that a stalled step can
be told from a slow one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
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
        self._live: Any = None
        self._thread: threading.Thread | None = None
        self._start = self._moved = self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._start = self._moved = self._spoke = time.monotonic()
        if self._quiet:
            return self
        if self._stream.isatty():
            self._bar, self._live = _display(self._stream)
            self._live.start()
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

    def table(self, rows: Mapping[str, Sequence[float]]) -> None:
        """Shows figures under the bar: first, latest, and how each has moved. Only on a terminal.

        Args:
            rows: name to its values so far, oldest first; a name without values is left out.
        """
        with self._mutex:
            if self._live is not None:
                self._live.update(_under(self._bar, rows), refresh=True)

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()
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


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Values as a line of blocks, lowest to highest; each block is the mean of its share of them.

    Args:
        values: oldest first; those that are no number are left out.
        width: blocks at most.
    """
    known = [v for v in values if v == v]
    if not known:
        return ""
    count = min(width, len(known))
    means = []
    for i in range(count):
        part = known[i * len(known) // count : (i + 1) * len(known) // count]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    return "".join(BLOCKS[round((v - low) / (high - low) * (len(BLOCKS) - 1)) if high > low else 3] for v in means)


BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def _under(bar: Any, rows: Mapping[str, Sequence[float]]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (("", "left"), ("first", "right"), ("now", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, values in rows.items():
        if values:
            table.add_row(name, f"{values[0]:.3g}", f"{values[-1]:.3g}", sparkline(values))
    return Group(bar, table)


def _display(stream: TextIO) -> tuple[Any, Any]:
    """The bar, and what redraws it together with what stands under it."""
    from rich.console import Console
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    console = Console(file=stream)
    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
    return bar, Live(bar, console=console, transient=True, refresh_per_second=4)


def _clock(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
