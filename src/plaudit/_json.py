"""Frozen dataclasses to JSON and back, by their annotations: how results are stored between stages.

NaN becomes null and null becomes NaN where a float stands; an unknown or missing key is refused by name.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from plaudit.errors import InputError, nearest

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A value as `json.dumps` takes it: dataclasses become objects, tuples lists, NaN and infinities null.

    Args:
        value: dataclasses, mappings with string keys, sequences, numbers, strings, None; nested as wished.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return to_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise InputError(f"to_json: {type(value).__name__} has no JSON form; give dataclasses, mappings, lists or numbers")


def from_json(kind: type[T], data: Any) -> T:
    """The inverse of `to_json` for a dataclass.

    Args:
        kind: the dataclass.
        data: what `to_json` made of an instance.

    Raises:
        InputError: if a key is unknown, missing, or holds the wrong kind of value.
    """
    result: T = _build(kind, data, kind.__name__)
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, data: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast(type, kind), data, where)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if data is None else _build(next(a for a in args if a is not type(None)), data, where)
    if origin is tuple:
        return tuple(_build(args[0], v, f"{where}[{i}]") for i, v in enumerate(_expect(data, list, where)))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {k: _build(args[1], v, f"{where}.{k}") for k, v in _expect(data, dict, where).items()}
    if kind is float:
        return math.nan if data is None else float(_expect(data, (int, float), where))
    if kind in (int, str, bool):
        return _expect(data, kind, where)
    return data  # Literal and Any


def _dataclass(kind: type, data: Any, where: str) -> Any:
    row, hints = _expect(data, dict, where), _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in row:
        if key not in fields:
            raise InputError(f"{where}: key {key!r} is not known; {nearest(key, fields)}")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in row:
            raise InputError(f"{where}: key {name!r} is missing; the file is from another version, so make it anew")
    return kind(**{name: _build(hints[name], value, f"{where}.{name}") for name, value in row.items()})


def _expect(data: Any, kind: Any, where: str) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        wanted = getattr(kind, "__name__", "number")
        raise InputError(
            f"{where}: expected {wanted}, got {data!r:.60}; the file was edited or is from another version"
        )
    return data
