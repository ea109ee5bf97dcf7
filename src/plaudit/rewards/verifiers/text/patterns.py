"""Regular expressions that cannot hang: searched from any thread, under a deadline, with the cause of a time-out found.

A pattern that backtracks without end on a text of the candidate's is the candidate's fault, not the machine's. So a
search that runs out of time is tried again with more of it; if that fails too, a canary says who is to blame: a
search that any healthy machine finishes at once. The engine counts its own processor time and lets other threads run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from plaudit.errors import InputError

Mode = Literal["full", "search"]
_CANARY = ("(?:ab|cd)*e", "abcd" * 200 + "e")


class Ran(Enum):
    """How a search ended."""

    MATCHED = "matched"
    UNMATCHED = "unmatched"
    EXPLODED = "exploded"
    """It runs out of time or memory on this text though the machine is well."""
    SLOW_MACHINE = "slow machine"
    """The canary did not finish either."""


@dataclass(frozen=True, slots=True)
class Searched:
    """How a search ended and what it found.

    Attributes:
        ran: how it ended.
        text: what matched; empty where nothing did.
    """

    ran: Ran
    text: str = ""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, compiled once by the `regex` package (Python's dialect and more).

    Raises:
        InputError: if it does not compile, with the place.
    """
    import regex

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise InputError(f"pattern {pattern!r:.80} does not compile ({error}); give a regular expression") from error


def search(pattern: str, text: str, *, mode: Mode = "search", timeout: float = 1.0) -> Searched:
    """Looks for a pattern in a text, and never for longer than about four times `timeout`.

    Args:
        pattern: a regular expression.
        text: what is searched.
        mode: `full` where the whole text must match, else `search`.
        timeout: seconds of processor time for the first attempt; the second gets three times as much.

    Raises:
        InputError: if the pattern does not compile.
    """
    expression = compiled(pattern)
    for seconds in (timeout, 3.0 * timeout):
        try:
            found = _run(expression, text, mode, seconds)
        except TimeoutError:
            continue
        except MemoryError:
            return Searched(Ran.EXPLODED)
        return Searched(Ran.UNMATCHED) if found is None else Searched(Ran.MATCHED, found.group())
    return Searched(Ran.EXPLODED if canary(timeout) else Ran.SLOW_MACHINE)


def canary(timeout: float) -> bool:
    """Whether this machine finishes a search that needs microseconds within `timeout` seconds."""
    pattern, text = _CANARY
    try:
        return _run(compiled(pattern), text, "full", timeout) is not None
    except TimeoutError:
        return False


def _run(expression: Any, text: str, mode: Mode, timeout: float) -> Any:
    how = expression.fullmatch if mode == "full" else expression.search
    return how(text, timeout=timeout, concurrent=True)
