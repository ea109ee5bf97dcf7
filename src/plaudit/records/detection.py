"""Which format a file has, from its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plaudit.errors import InputError
from plaudit.records.formats import COLUMNS, NEEDED, Kind

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("question", "instruction", "query", "input", "problem", "context"),
    "completion": ("response", "answer", "output", "reply", "generation", "completion_text"),
    "chosen": ("chosen_response", "preferred", "winner", "better", "response_chosen"),
    "rejected": ("rejected_response", "dispreferred", "loser", "worse", "response_rejected"),
    "completions": ("responses", "candidates", "answers", "outputs", "generations"),
    "scores": ("ratings", "rewards"),
    "score": ("rating", "overall_score"),
}
"""Names from other data sets that are not read, only recognised: their meaning differs too often to guess."""


def detect(rows: Sequence[Mapping[str, Any]]) -> Kind:
    """The kind that most of the rows have by their columns; the first of two that are equally frequent.

    Args:
        rows: raw rows; the first thousand are looked at.

    Raises:
        InputError: if no row fits any kind; names the columns present and those needed.
    """
    votes = Counter(kind for row in rows[:1000] if (kind := by_columns(row)) is not None)
    if votes:
        return votes.most_common(1)[0][0]
    columns = list(dict.fromkeys(name for row in rows[:1000] for name in row))
    needed = "; ".join(f"{kind}: {words}" for kind, words in NEEDED.items())
    void = [name for name in columns if all(row.get(name) is None for row in rows[:1000])]
    note = f" ({', '.join(void)}: null in every row)" if void else ""
    told = ", ".join(columns) or "(none)"
    raise InputError(f"columns {told}{note} fit no format{renames(columns)}. Needed: {needed}")


def by_columns(row: Mapping[str, Any]) -> Kind | None:
    """The kind of one row, or None where its columns fit none.

    A row with nothing but a prompt counts as prompt-only, unless it has a column that looks like a reply
    under another name: reading that as a bare prompt would throw the reply into `meta` without a word.
    """
    has = {name for name, value in row.items() if value is not None}
    if {"chosen", "rejected"} <= has:
        return "pairs"
    if "completions" in has and ("scores" in has or "ranks" in has):
        return "ranked"
    if {"completions", "labels"} <= has:
        return "stepwise"
    if {"prompt", "completion"} <= has:
        return _with_completion(has)
    replies = [alias for name, aliases in ALIASES.items() if name != "prompt" for alias in aliases]
    others = {"chosen", "rejected", "completion", "completions", *replies}
    return "prompts" if "prompt" in has and not has & others else None


def _with_completion(has: set[str]) -> Kind:
    if {"reward", "outcome"} <= has:  # a scored file is a samples file with more columns, aspects among them
        return "samples"
    if "label" in has:
        return "unpaired"
    return "rated" if "score" in has or "aspects" in has else "samples"


def renames(columns: Iterable[str]) -> str:
    """The part of a message that says which columns to rename, with a leading semicolon; empty where none."""
    present = set(columns)
    known = {name for names in COLUMNS.values() for name in names}
    found = [
        f"{alias!r} to {name!r}"
        for name, aliases in ALIASES.items()
        for alias in aliases
        if alias in present and name not in present and alias not in known
    ]
    return f"; rename {', '.join(found)}" if found else ""
