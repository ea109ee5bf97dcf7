"""Lists out of an answer: numbered, bulleted, a line each, JSON, or separated by commas and `>`."""

from __future__ import annotations

import re

from plaudit.rewards.verifiers.structure.json_text import Malformed, read_json
from plaudit.rewards.verifiers.text.answers import Found, after_thinking, tagged

_LISTED = re.compile(r"[ \t]{0,8}(?:[-*\u2022]|\d{1,4}[.):])[ \t]{1,4}(\S.*)$")
_SEPARATOR = re.compile(r"[,;>\n]\s*+")  # white space before it is stripped: `\s*,` is quadratic in blanks
MOST_ITEMS = 2_000
"""Items that any list may have; a longer one is not read."""


def region(text: str) -> Found:
    """Where the list stands: inside `<answer>`, where there is one such pair; else all that follows the thinking."""
    final = after_thinking(text)
    inside = tagged(final)
    if len(inside) > 1 and len({" ".join(part.split()) for part in inside}) > 1:
        return Found(reason="several <answer> tags that differ")
    found = (inside[0] if inside else final).strip()
    return Found(found) if found else Found(reason="empty answer")


def ordered_items(text: str) -> list[str]:
    """The items of a numbered or bulleted list, of a JSON list, or the lines where there is neither.

    Raises:
        Malformed: if there are too many, or a JSON list holds anything but texts and numbers.
    """
    items = _json_items(text)
    if items is None:
        lines = [line for line in text.splitlines() if line.strip()]
        listed = [m[1] for m in map(_LISTED.match, lines) if m]
        items = [item.strip().strip("*_`").strip() for item in listed or lines]
    return _few(items)


def identifiers(text: str) -> list[str]:
    """Identifiers in order: a JSON list, list items, or separated by commas, `>` and lines; brackets around each go.

    Raises:
        Malformed: if there are too many, or a JSON list holds anything but texts and numbers.
    """
    items = _json_items(text)
    if items is None:
        lines = [line for line in text.splitlines() if line.strip()]
        listed = [m[1] for m in map(_LISTED.match, lines) if m]
        joined = "\n".join(listed) if listed and len(listed) == len(lines) else text
        items = _SEPARATOR.split(joined.strip())
    return _few([item.strip().strip("[](){}\"'`*").strip() for item in items])


def _json_items(text: str) -> list[str] | None:
    """The items of a JSON list; None where the text is none."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = read_json(text, most_depth=2)
    except Malformed:
        return None  # `[2] > [1]` is a list of another kind
    if not isinstance(value, list) or not all(type(v) in (str, int, float) for v in value):
        raise Malformed("a JSON list of something else than texts and numbers")
    return [str(v) for v in value]


def _few(items: list[str]) -> list[str]:
    if len(items) > MOST_ITEMS:
        raise Malformed(f"more than {MOST_ITEMS} items")
    return [item for item in items if item]
