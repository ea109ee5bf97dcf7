"""The words of pytest that tests of single functions use: `raises`, `approx`, `mark.parametrize`.

The box has the standard library only. Fixtures and plug-ins are not here: a test that asks for one fails.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Iterable
from typing import Any


class Raised:
    """Passes if its block raises one of the expected exceptions."""

    def __init__(self, expected: Any, match: str | None = None) -> None:
        self.expected, self.match = expected, match
        self.value: BaseException | None = None

    def __enter__(self) -> Raised:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if error is None:
            raise AssertionError(f"did not raise {self.expected}")
        if not isinstance(error, self.expected):
            return False
        if self.match is not None and not re.search(self.match, str(error)):
            raise AssertionError(f"{str(error)!r} does not match {self.match!r}")
        self.value = error
        return True


def raises(expected: Any, *call: Any, match: str | None = None, **named: Any) -> Raised:
    """A context that expects an exception; with a function and arguments, the call is made at once."""
    found = Raised(expected, match)
    if call:
        with found:
            call[0](*call[1:], **named)
    return found


class Approx:
    """Equal to numbers near the expected one: within `rel` of it or `abs`, whichever is more."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:
        self.expected = expected
        self.rel, self.abs = rel if rel is not None else (0.0 if abs is not None else 1e-6), abs or 1e-12

    def __eq__(self, other: object) -> bool:
        return self._near(self.expected, other)

    def _near(self, expected: Any, other: Any) -> bool:
        if isinstance(expected, dict):
            return (isinstance(other, dict) and expected.keys() == other.keys()
                    and all(self._near(v, other[k]) for k, v in expected.items()))  # fmt: skip
        if isinstance(expected, list | tuple):
            return (type(other) is type(expected) and len(other) == len(expected)
                    and all(map(self._near, expected, other)))  # fmt: skip
        if isinstance(expected, bool) or not isinstance(expected, int | float):
            return bool(expected == other)
        if isinstance(other, bool) or not isinstance(other, int | float):
            return False
        return math.isclose(expected, other, rel_tol=self.rel, abs_tol=self.abs)

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"


def parametrize(names: str | Iterable[str], rows: Iterable[Any], **_: Any) -> Callable[[Any], Any]:
    """Has a test called once for each row; it passes if all calls do."""
    keys = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function: Any) -> Any:
        calls = [dict(zip(keys, row if len(keys) > 1 else [row], strict=True)) for row in rows]
        before = getattr(function, "plaudit_calls", [{}])
        function.plaudit_calls = [{**a, **b} for a in before for b in calls]
        return function

    return mark


class _Marks:
    parametrize = staticmethod(parametrize)

    def __getattr__(self, name: str) -> Any:
        def mark(*args: Any, **_: Any) -> Any:
            return args[0] if len(args) == 1 and callable(args[0]) else lambda function: function

        return mark


def call(function: Any, finish: Callable[[Any], None]) -> None:
    """Calls a test function, with each of its rows where it has any."""
    for named in getattr(function, "plaudit_calls", [{}]):
        finish(function(**named))


def module() -> types.ModuleType:
    """What `import pytest` gives to tests."""
    made = types.ModuleType("pytest")
    made.raises, made.approx, made.mark = raises, Approx, _Marks()  # type: ignore[attr-defined]
    return made
