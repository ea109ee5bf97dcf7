"""Options in one text: `name?option=value&option=value`."""

from __future__ import annotations

from urllib.parse import parse_qsl


def options_in(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, in order; empty values count.

    As in a URL, but a plus sign is one, and no space: paths and values have them.

    Args:
        query: what follows the question mark.
    """
    return parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
