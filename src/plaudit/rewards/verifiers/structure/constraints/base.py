"""What a constraint is: a check and the arguments that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RELATIONS = ("less than", "at least")
"""How a count may be compared with its threshold."""


@dataclass(frozen=True)
class Constraint:
    """One kind of constraint.

    Attributes:
        check: whether a response that is not blank meets it; called with the response and the arguments by name.
        needs: the arguments, each with what makes a value legal.
    """

    check: Callable[..., bool]
    needs: Mapping[str, Argument]


@dataclass(frozen=True)
class Argument:
    """An argument of a constraint.

    Attributes:
        legal: whether a value can be used.
        said: what a legal value is, for the error.
    """

    legal: Callable[[Any], bool]
    said: str


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


COUNT = Argument(_is_count, "a whole number, at least 0")
PLACE = Argument(lambda v: _is_count(v) and v >= 1, "a whole number, at least 1")
TEXT = Argument(_is_text, "a text that is not empty")
TEXTS = Argument(lambda v: isinstance(v, list | tuple) and bool(v) and all(map(_is_text, v)), "a list of texts")
LETTER = Argument(lambda v: isinstance(v, str) and len(v.strip()) == 1, "one character")
RELATION = Argument(lambda v: v in RELATIONS, "'less than' or 'at least'")


def compares(count: int, relation: str, threshold: float) -> bool:
    """Whether a count stands in a relation to a threshold: `count < threshold`, or `count >= threshold`."""
    return count < threshold if relation == RELATIONS[0] else count >= threshold
