"""JSON out of an answer, strictly: one value, no duplicate keys, nothing that is not finite, bounded depth.

Python's reader takes `NaN`, keeps the last of two equal keys, makes 1e999 infinite and runs out of stack on deep
nesting. Each of these lets an answer mean two things at once, so each is refused with its reason.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from plaudit.rewards.verifiers.text.answers import after_thinking

MOST_DEPTH = 64
"""Brackets that may be open at once."""

_FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[ \t]*([\w+-]{0,20})[ \t]*\r?$", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string that stays open is one token to the end: else each quote in it would be tried as the start of another."""


class Malformed(Exception):
    """A text is not the JSON that was asked for; the message is the reason that goes into the detail."""


def read_json(text: str, *, most_depth: int = MOST_DEPTH) -> Any:
    """The one JSON value that a text is.

    Args:
        text: JSON, with white space around it.
        most_depth: brackets that may be open at once.

    Raises:
        Malformed: if it is none, has text after it, repeats a key, is not finite, or nests too deeply.
    """
    if depth(text) > most_depth:
        raise Malformed(f"nested deeper than {most_depth}")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
    except (
        ValueError,
        RecursionError,
    ) as error:  # RecursionError: brackets inside an unclosed string hide from depth()
        raise Malformed(f"not JSON: {error}"[:160]) from error


def json_in(text: str, *, most_depth: int = MOST_DEPTH) -> Any:
    """The JSON value of a completion: all of it after its thinking, or its one fenced block.

    Raises:
        Malformed: if there are several fenced blocks, or `read_json` refuses the text.
    """
    return read_json(bare_or_fenced(text), most_depth=most_depth)


def bare_or_fenced(text: str, languages: tuple[str, ...] = ("", "json")) -> str:
    """The inside of the one fenced block, where a text that does not begin as JSON has one; else the text.

    Raises:
        Malformed: if there are several blocks, one is not closed, or the one is of another language.
    """
    final = after_thinking(text).strip()
    if final[:1] in ("{", "["):
        return final
    blocks = fenced(final)
    if not blocks:
        return final
    if len(blocks) > 1:
        raise Malformed(f"{len(blocks)} fenced blocks; one is wanted")
    language, inside = blocks[0]
    if language.lower() not in languages:
        raise Malformed(f"the fenced block is {language[:20]}")
    return inside.strip()


def fenced(text: str) -> list[tuple[str, str]]:
    """Language and inside of each fenced block; one that is not closed raises.

    Raises:
        Malformed: if a block is not closed.
    """
    blocks, opened = [], None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            blocks.append((opened[2], text[opened.end() : fence.start()].strip("\r\n")))
            opened = None
    if opened is not None:
        raise Malformed("a fenced block is not closed")
    return blocks


def depth(text: str) -> int:
    """The most brackets that are open at once, outside strings."""
    now = most = 0
    for token in _TOKEN.finditer(text):
        if token.group() in "[{":
            now += 1
            most = max(most, now)
        elif token.group() in "]}":
            now -= 1
    return most


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:40]!r} stands twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not finite")
    return value
