"""The tests' side of the pipe: calls become messages, and what is not plain data becomes a proxy.

A proxy asks the candidate for data: attributes, items, lengths, calls. It never asks it to judge: comparison is by
identity, and arithmetic, order and membership operators are those of a plain object, since an operator is handed
what the test expects and could say yes to everything.
"""

from __future__ import annotations

import builtins
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from . import wire  # the package has another name inside the box

_MUTABLE = (list, dict, set, bytearray)
_ITERATORS = ("generator", "map", "zip", "filter", "list_iterator", "tuple_iterator", "range_iterator", "enumerate")
_POWERFUL = (eval, exec, compile, __import__, open, input, breakpoint, getattr, setattr, delattr, globals, locals, vars)
GRACE = 0.004
"""Seconds for a candidate whose pipe has closed to end, so that how it ended can be told."""
MANY = 100_000
"""Elements that an iterator among the arguments may have: it is read out before the call."""


class FaultError(BaseException):
    """The candidate has ended, or broken the protocol. Not an `Exception`: no test can take it for an answer.

    Args:
        kind: `gone`, `memory`, `flood` or `protocol`.
    """

    def __init__(self, kind: str, said: str = "") -> None:
        super().__init__(kind, said)
        self.kind, self.said = kind, said


class CarryError(Exception):
    """The tests pass a value of a class of their own, which cannot travel."""


class Link:
    """The connection to the candidate.

    Args:
        answers: file descriptor that answers come from.
        asks: file descriptor that questions go to.
        module: name of the tests' own module.
        finite: refuse results that are not finite.
    """

    def __init__(self, answers: int, asks: int, module: str, *, finite: bool) -> None:
        self.answers, self.asks, self.module, self.finite = answers, asks, module, finite
        self.functions: list[Callable[..., Any]] = []
        self.shared: dict[str, type] = {}
        self.errors: dict[tuple[str, str], type[BaseException]] = {}
        self.fault: FaultError | None = None
        self.last_line: int | None = None
        self.carried = True

    def receive(self) -> Any:
        """One message of the candidate's.

        Raises:
            FaultError: if there is none, or none that can be read.
        """
        if self.fault is not None:
            raise self.fault
        try:
            message = wire.read_frame(self.answers)
            if isinstance(message, dict):
                return message
            self.fault = FaultError("protocol", "a message that is none")
        except wire.ClosedError:
            time.sleep(GRACE)
            self.fault = FaultError("gone")
        except wire.FloodError as error:
            self.fault = FaultError("flood", str(error))
        except wire.WireError as error:
            self.fault = FaultError("protocol", str(error))
        except MemoryError:
            self.fault = FaultError("memory", "a result that does not fit into memory")
        raise self.fault

    def ask(self, operation: str, /, *values: Any, **named: Any) -> Any:
        """Has the candidate do something and returns what comes of it; raises what it raises."""
        if self.fault is not None:
            raise self.fault
        question: dict[str, Any] = {"op": operation, "a": [self.encode(x) for x in values]}
        if named:
            question["k"] = {k: self.encode(v) for k, v in named.items()}
        self._send(question)
        while "op" in (reply := self.receive()):
            self._call_back(reply)
        self.last_line = None
        if "flood" in reply:
            self.fault = FaultError("flood", str(reply["flood"])[:100])
            raise self.fault
        if "raise" in reply:
            self._raise(reply["raise"])
        try:
            self._change(values, reply.get("changed"))
            return self.decode(reply.get("ok"))
        except MemoryError as error:
            self.fault = FaultError("memory", "a result that does not fit into memory")
            raise self.fault from error
        except RecursionError as error:
            raise wire.WireError("the result is nested too deeply") from error

    def _send(self, message: dict[str, Any]) -> None:
        try:
            wire.write_frame(self.asks, message)
        except wire.ClosedError as error:
            self.fault = FaultError("gone")
            raise self.fault from error
        except wire.FloodError as error:
            raise CarryError(f"an argument is too large: {error}") from error

    def _call_back(self, message: dict[str, Any]) -> None:
        """Calls a function that the tests gave to the candidate."""
        number = message.get("v")
        if message.get("op") != "callback" or type(number) is not int or not 0 <= number < len(self.functions):
            self.fault = FaultError("protocol", "a call that was not offered")
            raise self.fault
        try:
            values = [self.decode(x) for x in message.get("a", [])]
            named = {str(k): self.decode(v) for k, v in dict(message.get("k", {})).items()}
            reply = {"ok": self.encode(self.functions[number](*values, **named))}
        except Exception as error:  # it goes to the caller, as a call's exception does
            reply = {"raise": [type(error).__name__, str(error)[:200]]}
        self._send(reply)

    def _raise(self, told: Any) -> None:
        """Raises here what the candidate raised, as the same builtin or as a class of that name below it."""
        name, base, said, line = (*map(str, told[:3]), told[3]) if isinstance(told, list) and len(told) == 5 else (
            "Exception", "Exception", "", None)  # fmt: skip
        self.last_line = line if type(line) is int else None
        kind = self.error_class(name, base)
        if issubclass(kind, MemoryError):
            self.fault = FaultError("memory", "MemoryError")
            raise self.fault
        try:
            values = [self.decode(x) for x in told[4]]
        except (wire.WireError, wire.NonFiniteError, RecursionError, TypeError):
            values = [said]
        try:
            error = kind(*values)
        except Exception:  # some classes want other arguments than they keep
            error = kind.__new__(kind)
            error.args = (said,)
        error.plaudit_candidate = True  # type: ignore[attr-defined]
        raise error

    def error_class(self, name: str, base: str) -> type[Exception]:
        """The class for an exception of the candidate's; the same for the same name."""
        kind = getattr(builtins, base, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = Exception
        if name == base:
            return kind
        shared = self.shared.get(name)
        if shared is not None and issubclass(shared, Exception):
            return shared
        found = self.errors.setdefault((name, base), type(name, (kind,), {}))
        return found  # type: ignore[return-value]

    def _change(self, values: tuple[Any, ...], changed: Any) -> None:
        """Changes arguments in place as the candidate has changed its copies of them."""
        for key, message in dict(changed or {}).items():
            at = int(key) if str(key).isdigit() else len(values)
            if at >= len(values) or not isinstance(values[at], _MUTABLE):
                continue
            mine, theirs = values[at], self.decode(message)
            if type(theirs) is not type(mine) and not isinstance(mine, type(theirs)):
                continue
            if isinstance(mine, list | bytearray):
                mine[:] = theirs
            else:
                mine.clear()
                mine.update(theirs)

    def encode(self, value: Any) -> Any:
        """Plain data as it is; proxies by their handle; functions as an offer to be called; iterators read out."""
        return wire.encode(value, self._other)

    def decode(self, message: Any) -> Any:
        """Plain data as it is; anything else as a proxy."""
        return wire.decode(message, self._thing, finite=self.finite)

    def _other(self, value: Any) -> dict[str, Any]:
        kind = type(value)
        if kind is Proxy:
            return {"t": "ref", "v": object.__getattribute__(value, "_handle")}
        if self.shared.get(kind.__name__) is kind:
            return wire.tagged("obj", [kind.__name__, [[k, self.encode(v)] for k, v in vars(value).items()]])
        if kind.__name__ in _ITERATORS or isinstance(value, types.GeneratorType):
            found = [self.encode(x) for _, x in zip(range(MANY), value, strict=False)]
            return wire.tagged("iter", found)
        if any(value is x for x in _POWERFUL):
            raise CarryError(f"the tests pass {kind.__name__} {value.__name__}, which a candidate could turn on them")
        if callable(value) and not (isinstance(value, type) and value.__module__ == self.module):
            self.functions.append(value)
            return wire.tagged("fn", len(self.functions) - 1)
        if kind.__module__ == self.module or getattr(value, "__module__", None) == self.module:
            self.carried = False
        raise CarryError(f"the tests pass a {kind.__name__}, which cannot travel to the candidate")

    def _thing(self, tag: str, message: dict[str, Any]) -> Any:
        value = message.get("v")
        if tag == "ref" and type(value) is int:
            made = Proxy(self, value, str(message.get("k", "object")))
            return _awaited(made) if message.get("k") == "coroutine" else made
        if tag == "obj" and isinstance(value, list) and len(value) == 2 and value[0] in self.shared:
            return self._copied(self.shared[value[0]], value[1])
        raise wire.WireError(f"no tag {tag!r}")

    def _copied(self, kind: type, state: Any) -> Any:
        """An instance of a class of the setup's, with the attributes that the candidate says, but our methods."""
        made: Any = object.__new__(kind)
        for name, value in state:
            if callable(getattr(kind, str(name), None)) or isinstance(getattr(kind, str(name), None), property):
                raise wire.WireError(f"{name!r} would hide a method of {kind.__name__}")
            made.__dict__[str(name)] = self.decode(value)
        return made


async def _awaited(made: Any) -> Any:
    link, _ = _inside(made)
    return link.ask("await", made)


def _inside(proxy: Any) -> tuple[Link, str]:
    return object.__getattribute__(proxy, "_link"), object.__getattribute__(proxy, "_kind")


class Proxy:
    """Something of the candidate's that is not plain data: a function, a class, an instance, an iterator."""

    __slots__ = ("_handle", "_kind", "_link")

    def __init__(self, link: Link, handle: int, kind: str) -> None:
        for name, value in (("_link", link), ("_handle", handle), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def _ask(self, operation: str, /, *values: Any, **named: Any) -> Any:
        return _inside(self)[0].ask(operation, self, *values, **named)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return Proxy._ask(self, "call", *args, **kwargs)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__doc__"):
            return object.__getattribute__(self, name)
        return Proxy._ask(self, "attr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        Proxy._ask(self, "setattr", name, value)

    def __getitem__(self, key: Any) -> Any:
        return Proxy._ask(self, "item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        Proxy._ask(self, "setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        Proxy._ask(self, "delitem", key)

    def __len__(self) -> int:
        return _plain(Proxy._ask(self, "len"), int)  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return True  # asking could be answered by a forged __bool__; len() is there to be compared

    def __iter__(self) -> Iterator[Any]:
        return Proxy._ask(self, "iter")  # type: ignore[no-any-return]

    def __next__(self) -> Any:
        return Proxy._ask(self, "next")

    def __str__(self) -> str:
        return _plain(Proxy._ask(self, "str"), str)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<the candidate's {_inside(self)[1]}>"

    def __enter__(self) -> Any:
        return Proxy._ask(self, "enter")

    def __exit__(self, *error: object) -> None:
        Proxy._ask(self, "exit")

    def __instancecheck__(self, value: Any) -> bool:
        return type(value) is Proxy and _inside(self)[0].ask("isinstance", value, self) is True


def _plain(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


def globals_of(link: Link, names: list[str], errors: dict[str, Any]) -> dict[str, Any]:
    """Proxies for names that the candidate defines; its exceptions become classes that tests can catch."""
    found: dict[str, Any] = {}
    for name in names:
        base = errors.get(name)
        found[name] = link.error_class(name, base) if isinstance(base, str) else link.ask("global", name)
    return found
