r"""Patterns of JSON Schema in Python's dialect: they are ECMAScript's, where `$`, `\d` and `\w` are narrower."""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = re.compile(r"\\c[A-Za-z]|\\.|\[\^?\]?|\]|\$|.", re.DOTALL)
_OUTSIDE = {r"\d": "[0-9]", r"\D": "[^0-9]", r"\w": "[A-Za-z0-9_]", r"\W": "[^A-Za-z0-9_]", r"\Z": "Z", r"\A": "A"}
_INSIDE = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}


@lru_cache(maxsize=512)
def translated(pattern: str) -> str:
    r"""An ECMAScript pattern as Python reads it.

    `$` matches at the very end only, and not before a last newline; `\d` and `\w` are ASCII; `\cJ` is a control
    character. What both dialects share stays as it is.

    Args:
        pattern: the value of `pattern`, or a key of `patternProperties`.
    """
    made, inside = [], False
    for match in _PIECE.finditer(pattern):
        piece = match.group()
        if piece.startswith(r"\c") and len(piece) == 3:
            piece = re.escape(chr(ord(piece[2]) % 32))
        elif piece.startswith("\\"):
            piece = (_INSIDE if inside else _OUTSIDE).get(piece, piece)
        elif inside:
            inside = piece != "]"
            piece = r"\[" if piece.startswith("[") else piece  # an inner bracket is a character there
        elif piece.startswith("["):
            inside = not piece.endswith("]")
            piece = {"[]": "(?!)", "[^]": r"(?s:.)"}.get(piece, piece)
        elif piece == "$":
            piece = r"\Z"
        made.append(piece)
    return "".join(made)
