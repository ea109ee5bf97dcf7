"""How many: checked where it is given, so that nonsense is one clear line and no empty result."""

from __future__ import annotations

import operator

from plaudit.errors import InputError


def check_counts(who: str, *, least: int = 0, **counts: int) -> None:
    """Refuses what is no whole number, or too small a one.

    Args:
        who: named in the error.
        least: the smallest that makes sense.
        **counts: by the name that the caller knows them by.

    Raises:
        InputError: if one of them is refused.
    """
    for name, value in counts.items():
        try:
            enough = operator.index(value) >= least
        except TypeError:
            enough = False
        if not enough:
            raise InputError(f"{who}: {name} is {value!r}; give a whole number of at least {least}")
