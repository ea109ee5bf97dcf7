"""Options in one text: `name?option=value&option=value`."""

from __future__ import annotations

from urllib.parse import parse_qsl

from plaudit.errors import InputError


def options_in(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, in order; empty values count.

    As in a URL, but a plus sign is one, and no space: paths and values have them.

    Args:
        query: what follows the question mark.

    Raises:
        InputError: if an option is given twice: which one counts nobody knows.
    """
    found = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"option {name!r} is given twice in {query!r}; give it once")
    return found
