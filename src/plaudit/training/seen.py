"""Which prompts a run was trained on: so that whoever calibrates or measures can be told of an overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from plaudit.records.rows import Row
from plaudit.records.splitting import prompt_key
from plaudit.runs.atomic import write_text

NAME = "prompts.txt"
DIGITS = 16
"""Hexadecimal digits that are kept of a prompt's hash: two of a million prompts agree by chance once in 10^7 runs."""


def keep_prompts(folder: Path, rows: Iterable[Row]) -> None:
    """Writes the hashes of the rows' prompts into a run folder, one a line."""
    write_text(folder / NAME, "".join(f"{key}\n" for key in sorted({prompt_key(row)[:DIGITS] for row in rows})))


def shared_prompts(keys: Sequence[str], folder: Path) -> int:
    """How many of the keys (see `prompt_key`) belong to prompts that the run in a folder was trained on.

    Runs of `plaudit train` have their hashes, runs of recipes their training rows; others are not known: 0.
    """
    hashes, data = folder / NAME, folder / "data" / "train.jsonl"
    if hashes.is_file():
        known = set(hashes.read_text(encoding="utf-8").split())
    elif data.is_file():
        from plaudit.records.reading import read

        known = {prompt_key(row)[:DIGITS] for row in read(data).rows}
    else:
        return 0
    return sum(key[:DIGITS] in known for key in keys)
