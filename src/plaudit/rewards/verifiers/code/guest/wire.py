"""Plain data over a pipe: what candidate and tests may say to each other, and nothing else.

A frame is a length of four bytes and that many bytes of JSON. JSON's own types stand for themselves; every other
plain type is an object with a tag. There is no pickle: a frame cannot name code to be run, and what is decoded
consists of exact builtins whose comparison no candidate can have forged.
"""

from __future__ import annotations

import builtins
import json
import math
import os
import struct
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

FRAME = 4 << 20
"""Bytes of the longest frame; a longer one is a fault of its sender."""
_TYPES = (int, float, str, bool, list, tuple, dict, set, frozenset, bytes, bytearray, complex, range, object)
_NAMED = {kind.__name__: kind for kind in _TYPES}
_SMALL = 1 << 63
_ENCODER = json.JSONEncoder(separators=(",", ":"))
Other = Callable[[Any], Any]


class WireError(Exception):
    """A value that cannot travel, or a frame that holds none; no test expects it as an answer."""


class NonFiniteError(Exception):
    """A number that is not finite came where only finite ones are accepted."""


class ClosedError(EOFError):
    """The other side is gone."""


class FloodError(ValueError):
    """A frame is longer than allowed."""


def write_frame(fd: int, message: Any) -> None:
    """Sends one message.

    Raises:
        FloodError: if it is longer than `FRAME`; nothing has been sent then.
        ClosedError: if no one reads any more.
    """
    body = _ENCODER.encode(message).encode("ascii")
    if len(body) > FRAME:
        raise FloodError(f"{len(body)} bytes; at most {FRAME} can travel")
    rest = memoryview(struct.pack(">I", len(body)) + body)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except BrokenPipeError as error:
        raise ClosedError("no one reads") from error


def read_frame(fd: int) -> Any:
    """Receives one message.

    Raises:
        ClosedError: at the end of the stream, also within a frame.
        FloodError: if a frame is announced that is longer than `FRAME`.
        WireError: if the bytes are not JSON, or nested too deeply.
    """
    (length,) = struct.unpack(">I", _exactly(fd, 4))
    if length > FRAME:
        raise FloodError(f"{length} bytes; at most {FRAME} can travel")
    try:
        return json.loads(_exactly(fd, length))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a message: {type(error).__name__}") from error


def _exactly(fd: int, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(fd, min(count - len(parts), 1 << 16))
        if not part:
            raise ClosedError("the other side is gone")
        parts += part
    return bytes(parts)


def encode(value: Any, other: Other) -> Any:
    """What stands for a value in a message.

    Subclasses travel as the plain type that they derive from (a named tuple as a tuple, a `Counter` as a
    dictionary), read by that type's own methods.

    Args:
        value: anything.
        other: called with whatever is not plain; returns what stands for it.

    Raises:
        RecursionError: if the value is nested too deeply, or contains itself.
    """
    if value is None or value is True or value is False or type(value) is str:
        return value
    if isinstance(value, int):
        number = int.__add__(value, 0)
        return number if -_SMALL <= number < _SMALL else tagged("int", hex(number))
    if isinstance(value, float):
        real = float.__add__(value, 0.0)
        return real if math.isfinite(real) else tagged("float", repr(real))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return [encode(x, other) for x in list.__iter__(value)]
    if isinstance(value, tuple):
        return tagged("tuple", [encode(x, other) for x in tuple.__iter__(value)])
    if isinstance(value, dict):
        return tagged("dict", [[encode(k, other), encode(v, other)] for k, v in dict.items(value)])
    if isinstance(value, set | frozenset | deque):
        plain: Any = next(k for k in (set, frozenset, deque) if isinstance(value, k))
        return tagged(plain.__name__, [encode(x, other) for x in plain.__iter__(value)])
    return _rare(value, other)


def _rare(value: Any, other: Other) -> Any:
    if isinstance(value, bytes | bytearray):
        return tagged("bytes" if isinstance(value, bytes) else "bytearray", bytes(value).hex())
    if isinstance(value, complex):
        return tagged("complex", [encode(value.real, other), encode(value.imag, other)])
    if type(value) is range:
        return tagged("range", [encode(x, other) for x in (value.start, value.stop, value.step)])
    if type(value) is Decimal:
        return tagged("Decimal", str(value))
    if type(value) is Fraction:
        return tagged("Fraction", [encode(value.numerator, other), encode(value.denominator, other)])
    if type(value) in (datetime, date, time):
        return tagged(type(value).__name__, value.isoformat())
    if type(value) is timedelta:
        return tagged("timedelta", [value.days, value.seconds, value.microseconds])
    if isinstance(value, type) and _NAMED.get(name := value.__name__) is value:
        return tagged("type", name)
    if value is Ellipsis or value is NotImplemented:
        return tagged("constant", repr(value))
    return other(value)


def tagged(name: str, value: Any) -> dict[str, Any]:
    """A value that JSON has no type for."""
    return {"t": name, "v": value}


def decode(message: Any, other: Callable[[str, Any], Any], *, finite: bool = False) -> Any:
    """The value that stands in a message: exact builtins, and whatever `other` makes of tags of its own.

    Args:
        message: what `encode` gave, or what a hostile sender made up.
        other: from an unknown tag and the whole object to a value; raises `WireError` if it knows none.
        finite: refuse numbers that are not finite.

    Raises:
        WireError: if the message is not well formed.
        NonFiniteError: if it holds such a number and must not.
        RecursionError: if it is nested too deeply.
    """

    def again(x: Any) -> Any:
        return decode(x, other, finite=finite)

    if isinstance(message, list):
        return [again(x) for x in message]
    if not isinstance(message, dict):
        if finite and isinstance(message, float) and not math.isfinite(message):
            raise NonFiniteError(f"{message} is not finite")
        return message
    tag, value = message.get("t"), message.get("v")
    try:
        if tag == "float":
            real = float(value)  # type: ignore[arg-type]
            if finite:
                raise NonFiniteError(f"{real} is not finite")
            return real
        if tag in _READERS:
            return _READERS[tag](value, again)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise WireError(f"not a {tag}: {error}") from error
    return other(str(tag), message)


def _constant(value: Any, _: Any) -> Any:
    if value not in ("Ellipsis", "NotImplemented"):
        raise WireError(f"no constant {value!r}")
    return getattr(builtins, value)


_READERS: dict[Any, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "int": lambda v, _: int(v, 16),
    "tuple": lambda v, again: tuple(again(x) for x in v),
    "dict": lambda v, again: {again(k): again(x) for k, x in v},
    "set": lambda v, again: {again(x) for x in v},
    "frozenset": lambda v, again: frozenset(again(x) for x in v),
    "deque": lambda v, again: deque(again(x) for x in v),
    "bytes": lambda v, _: bytes.fromhex(v),
    "bytearray": lambda v, _: bytearray.fromhex(v),
    "complex": lambda v, again: complex(again(v[0]), again(v[1])),
    "range": lambda v, again: range(*(again(x) for x in v)),
    "Decimal": lambda v, _: Decimal(v),
    "Fraction": lambda v, again: Fraction(again(v[0]), again(v[1])),
    "datetime": lambda v, _: datetime.fromisoformat(v),
    "date": lambda v, _: date.fromisoformat(v),
    "time": lambda v, _: time.fromisoformat(v),
    "timedelta": lambda v, _: timedelta(*v),
    "type": lambda v, _: _NAMED[v],
    "constant": _constant,
}
