"""A name with options in one text, as objectives, algorithms and fair methods are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaudit._queries import options_in
from plaudit.errors import InputError, nearest

MOST = 2**63
"""Whole numbers lie below it and not below its negative: they become int64 in torch."""


def parsed(text: str, known: Mapping[str, Mapping[str, Any]], *, noun: str) -> tuple[str, dict[str, Any]]:
    """The name in `name?option=value&option=value`, and its options with those that the text sets.

    Args:
        text: what was given; a list of numbers is divided by commas.
        known: name to its options with their defaults, whose types the values have.
        noun: what the names are of, for messages.

    Raises:
        InputError: if the name or an option is not known, or a value is none that the option can have.
    """
    name, _, query = text.partition("?")
    if name not in known:
        raise InputError(f"{noun} {name!r} is not known; {nearest(name, known)}")
    options = dict(known[name])
    for key, value in options_in(query):
        if key not in options:
            raise InputError(f"{noun} {name}: unknown option {key!r}; {nearest(key, options)}")
        options[key] = _typed(f"{noun} {name}: {key}", value, options[key])
    return name, options


def _typed(where: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(float(part) for part in text.split(","))
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        found = type(default)(text)
    except (ValueError, KeyError) as error:
        wanted = "numbers divided by commas" if isinstance(default, tuple) else type(default).__name__
        raise InputError(f"{where} is {text!r}; give {wanted}") from error
    if isinstance(found, int) and not -MOST <= found < MOST:
        raise InputError(f"{where} is {text}; give a whole number from -2^63 to 2^63 - 1, which 64 bits hold")
    return found
