"""Whether what a program printed is what it should have printed."""

from __future__ import annotations

import math


def lines(text: str) -> list[list[str]]:
    """A text as words in lines: how much white space stands between them, and blank lines at the end, do not matter."""
    found = [line.split() for line in text.splitlines()]
    while found and not found[-1]:
        found.pop()
    return found


def same_output(printed: str, expected: str, *, tolerance: float = 0.0) -> bool:
    """Compares two outputs line by line and word by word.

    Args:
        printed: what the program wrote.
        expected: what it should have written.
        tolerance: how far two numbers may lie apart, absolutely or relative to the expected one; 0 compares texts.

    Returns:
        Whether they are the same. Words that are not finite numbers are only the same as the same text.
    """
    ours, theirs = lines(printed), lines(expected)
    if ours == theirs:
        return True
    if not tolerance or [len(x) for x in ours] != [len(x) for x in theirs]:
        return False
    return all(_near(a, b, tolerance) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))


def _near(printed: str, expected: str, tolerance: float) -> bool:
    if printed == expected:
        return True
    try:
        a, b = float(printed), float(expected)
    except ValueError:
        return False
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= tolerance * max(1.0, abs(b))
