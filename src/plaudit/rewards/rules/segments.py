"""Words of any script: Unicode's default segmentation, not runs of ASCII letters."""

from __future__ import annotations

from functools import cache
from typing import Any


def segments(text: str) -> list[str]:
    """The words of a text: segments between Unicode's default word boundaries that hold a letter or a digit.

    `it's` and `3.14` are one word each, every ideograph is one, punctuation and emoji are none. Thai and other
    scripts that are written without spaces fall into pieces smaller than words, as the default rules say.

    Source: Unicode Standard Annex 29, word boundaries.
    """
    found: list[str] = _pattern().findall(text)
    return found


@cache
def _pattern() -> Any:
    import regex

    return regex.compile(r"(?w)\b\w.*?\b", regex.DOTALL)
