"""The program in a completion: bare, or the last fenced block that fits."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n]*$", re.MULTILINE)
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a text, in their order.

    Args:
        text: a completion.

    Returns:
        For each the word after its opening fence, in lower case, and its content. A block that is never closed goes
        on to the end: it was cut off, or the fence was left out.
    """
    found: list[tuple[str, str]] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1][0] == opening[1][0] and len(fence[1]) >= len(opening[1]) and not fence[2]:
            found.append((opening[2].lower(), text[opening.end() + 1 : fence.start()]))
            opening = None
    if opening is not None:
        found.append((opening[2].lower(), text[opening.end() + 1 :]))
    return found


def extract(text: str, fences: tuple[str, ...], entry: str = "") -> str:
    """The program that a completion holds.

    What stands before the last `</think>` is thought and not looked at. Of several blocks that are marked as the
    language's, the last one counts that defines `entry`, or the last one; without such blocks the same holds for
    blocks without a mark. A text without fences is a program as it stands: leading blanks are kept, since it
    may be the body of a function.

    Args:
        text: the completion.
        fences: marks of the language.
        entry: the name that the program must define, where it is known.

    Returns:
        The source; empty where there is none.
    """
    text = text.rpartition("</think>")[2] if "</think>" in text else text
    found = blocks(text)
    if not found:
        return "" if not text.translate(_UNSEEN).strip() else text.strip("\r\n")
    marked = [body for mark, body in found if mark in fences] or [body for mark, body in found if not mark]
    named = [body for body in marked if entry and defines(body, entry)]
    chosen = (named or marked or [""])[-1]
    return chosen.strip("\r\n") if chosen.translate(_UNSEEN).strip() else ""


def defines(source: str, name: str) -> bool:
    """Whether a text seems to bind `name` at its top level; the text is looked at, not parsed."""
    if not name.isidentifier():
        return False
    return re.search(rf"^(?:(?:async )?def|class)[ \t]+{name}\b|^{name}[ \t]*[:=]", source, re.MULTILINE) is not None
