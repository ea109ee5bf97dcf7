"""Numbers for people and for programs: a table on standard output, and the same numbers as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from plaudit.errors import InputError
from plaudit.runs.atomic import write_text
from plaudit.runs.origin import command_line, versions
from plaudit.stats.estimate import Estimate

BESIDE = ("configuration", "versions", "command", "data")
"""What `write_json` puts beside the numbers, so no number may be called so."""


def show(metrics: Mapping[str, Estimate], *, title: str = "", stream: TextIO | None = None) -> None:
    """Prints a table of estimates: drawn on a terminal, aligned plain text elsewhere.

    Args:
        metrics: name to estimate, in the order to show.
        title: a line above the table.
        stream: where to print; standard output by default.
    """
    out = stream if stream is not None else sys.stdout
    rows = [(name, e.format(), _interval_note(e)) for name, e in metrics.items()]
    if out.isatty():
        _draw(rows, title, out)
        return
    if title:
        print(title, file=out)
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    for name, value, note in rows:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {note}".rstrip(), file=out)


def write_json(
    path: str | Path,
    metrics: Mapping[str, Estimate],
    *,
    configuration: Mapping[str, Any],
    data: Mapping[str, str] | None = None,
) -> None:
    """Writes `{name: {value, low, high, n, method}, ...}` with configuration, versions and more beside.

    Args:
        path: the file; replaced atomically.
        metrics: name to estimate; NaN becomes null.
        configuration: the options in force, defaults included.
        data: name of a data set to its content hash.

    Raises:
        InputError: if a metric has the name of one of the things beside.
    """
    taken = sorted(set(metrics) & set(BESIDE))
    if taken:
        raise InputError(f"--json: a metric must not be called {taken[0]!r}; rename it")
    document = {
        **{name: estimate.to_dict() for name, estimate in metrics.items()},
        "configuration": dict(configuration),
        "versions": versions(),
        "command": command_line(sys.argv),
        "data": dict(data or {}),
    }
    write_text(path, json.dumps(document, indent=2, default=str) + "\n")


def _interval_note(estimate: Estimate) -> str:
    words = [f"n={estimate.n}"] if estimate.n else []
    return ", ".join([*words, estimate.method] if estimate.method else words)


def _draw(rows: list[tuple[str, str, str]], title: str, out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for heading in ("", "value [interval]", ""):
        table.add_column(heading)
    for name, value, note in rows:
        table.add_row(Text(name), Text(value, style="bold"), Text(note, style="dim"))
    Console(file=out).print(table)
