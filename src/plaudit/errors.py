"""What can go wrong, as types: each derives from `PlauditError` and from the builtin that fits.

A message is one line that says who, which value, why, and the fix. The command line prints it as it is
and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlauditError(Exception):
    """Base of every error that Plaudit raises on purpose."""


class InputError(PlauditError, ValueError):
    """A value that the user gave cannot be used."""


class MissingError(PlauditError, FileNotFoundError):
    """A file, folder or package that was named is not there."""

    def __str__(self) -> str:  # OSError's own __str__ expects an errno
        return str(self.args[0]) if self.args else ""


class ShapeError(PlauditError, ValueError):
    """Arrays that belong together differ in shape."""


class UnsupportedError(PlauditError, NotImplementedError):
    """A model or a machine cannot do what was asked; the reason is named."""


class IntegrityError(PlauditError, RuntimeError):
    """A file does not hold what its record says: torn, mixed or edited."""


def nearest(name: str, options: Iterable[str], *, listed: str = "") -> str:
    """The end of a "not known" message: the nearest legal names, or all of them.

    Args:
        name: what was given.
        options: the legal names.
        listed: the command that lists them, where they are too many for a line.

    Returns:
        A phrase such as `did you mean 'verify/math'?` or `known: a, b, c`.
    """
    known = sorted(options)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if listed:
        return f"{listed} names them all"
    return "known: " + ", ".join(known) if known else "none is known"
