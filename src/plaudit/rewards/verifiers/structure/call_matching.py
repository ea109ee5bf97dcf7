"""Whether a call is one of those that a row allows: names, parameters, types and values, one rule after the other.

The rules and the names of the errors are those of the Berkeley function-calling leaderboard for Python: an integer may
stand for a float, a boolean is never a number, texts are compared without case, spaces and `,./-_*^`, and a value of
another type passes where a value that is allowed has that type.

Differs from the paper: nested dictionaries and lists are compared at any depth; JSON Schema's names of types count too
(`object`, `number`, `null`, a list of types); `any` takes any type; a function whose schema lists no parameter may take
those that the allowed answer has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.rewards.verifiers.structure.calls import Call

_LEVELLED = re.compile(r"[ ,./\-_*^]")
_TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "number": float, "boolean": bool, "array": list, "tuple": list,
    "dict": dict, "object": dict, "null": type(None),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a call is not the one wanted.

    Attributes:
        error_type: as the leaderboard names it.
        message: which part, and what was expected.
    """

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is allowed.

    Attributes:
        name: of the function.
        allowed: for each parameter its allowed values; `""` among them where it may be left out.
        properties: the parameters in the function's schema.
        required: the parameters that it requires.
    """

    name: str
    allowed: Mapping[str, Sequence[Any]]
    properties: Mapping[str, Any]
    required: Sequence[str]


def levelled(text: str) -> str:
    """Text as values are compared: lower case, without spaces and `,./-_*^`, with double quotes for single ones."""
    return _LEVELLED.sub("", text).lower().replace("'", '"')


def same_name(wanted: str, given: str) -> bool:
    """Whether a call names the function: as it is, or with `_` for `.`, which some APIs do not allow in names."""
    return given == wanted or ("." in wanted and given == wanted.replace(".", "_"))


def mismatch(call: Call, wanted: Wanted) -> Mismatch | None:
    """Why a call is not the one wanted; None where it is.

    The first of: another name, a required parameter missing, an unknown parameter, a wrong type, a value that is not
    allowed, a parameter missing that may not be left out.
    """
    if not same_name(wanted.name, call.name):
        return _simple("wrong_func_name", f"{call.name[:60]!r} in place of {wanted.name!r}")
    for name in wanted.required:
        if name not in call.arguments:
            return _simple("missing_required", f"{name!r} is required")
    for name, value in call.arguments.items():
        if name not in wanted.allowed or (wanted.properties and name not in wanted.properties):
            return _simple("unexpected_param", f"{name[:60]!r} is not expected")
        found = value_mismatch(name, value, wanted.allowed[name], wanted.properties.get(name, {}))
        if found:
            return found
    for name, values in wanted.allowed.items():
        if name not in call.arguments and not optional(values):
            return _simple("missing_optional", f"{name!r} may not be left out")
    return None


def optional(values: Sequence[Any]) -> bool:
    """Whether a parameter may be left out: `""` is among its allowed values."""
    return any(isinstance(v, str) and v == "" for v in values)


def value_mismatch(name: str, value: Any, allowed: Sequence[Any], schema: Mapping[str, Any]) -> Mismatch | None:
    """Why a value is not allowed for a parameter; None where it is.

    Args:
        name: the parameter.
        value: what the call gives.
        allowed: the values that are right.
        schema: the parameter's schema: `type`, and `items` for an array.
    """
    kinds = _kinds(schema)
    if float in kinds and type(value) is int:
        kinds = kinds | {int}
    others = {type(a) for a in allowed if not (isinstance(a, str) and a == "")}
    if kinds and type(value) not in kinds and type(value) not in others:
        expected = "/".join(sorted(k.__name__ for k in kinds))
        return Mismatch("type_error:simple", f"{name!r} is {type(value).__name__} in place of {expected}")
    if isinstance(value, list) and not _items_fit(value, allowed, schema):
        return Mismatch("type_error:nested", f"{name!r} holds items of the wrong type")
    if any(equal(value, a) for a in allowed):
        return None
    return Mismatch(*_value_error(name, value, allowed))


def equal(value: Any, allowed: Any) -> bool:
    """Whether a value equals an allowed one: texts levelled, numbers by value, a boolean never a number.

    In an allowed dictionary each key has a list of allowed values, `""` among them where the key may be missing.
    """
    if isinstance(value, bool) or isinstance(allowed, bool):
        return value is allowed
    if isinstance(value, str) and isinstance(allowed, str):
        return levelled(value) == levelled(allowed)
    if isinstance(value, list) and isinstance(allowed, list | tuple):
        return len(value) == len(allowed) and all(equal(v, a) for v, a in zip(value, allowed, strict=True))
    if isinstance(value, Mapping) and isinstance(allowed, Mapping):
        return set(value) <= set(allowed) and all(_key_equal(value, key, options) for key, options in allowed.items())
    return type(value) in (int, float, type(None)) and type(allowed) in (int, float, type(None)) and value == allowed


def _key_equal(value: Mapping[str, Any], key: str, options: Any) -> bool:
    options = options if isinstance(options, list | tuple) else [options]
    if key not in value:
        return optional(options)
    return any(equal(value[key], option) for option in options)


def _kinds(schema: Mapping[str, Any]) -> frozenset[type]:
    named = schema.get("type") if isinstance(schema, Mapping) else None
    names = [str(n).lower() for n in (named if isinstance(named, list | tuple) else [named])]
    if not all(n in _TYPES for n in names):
        return frozenset()  # `any`, or a type of another language: values decide
    return frozenset(_TYPES[n] for n in names)


def _items_fit(value: list[Any], allowed: Sequence[Any], schema: Mapping[str, Any]) -> bool:
    """Whether the items have the type of the schema's `items`, or one that an allowed list has."""
    kinds = _kinds(schema.get("items", {})) if isinstance(schema.get("items"), Mapping) else frozenset()
    if not kinds:
        return True
    kinds = kinds | {int} if float in kinds else kinds
    others = {type(item) for a in allowed if isinstance(a, list | tuple) for item in a}
    return all(type(item) in kinds or type(item) in others for item in value)


def _value_error(name: str, value: Any, allowed: Sequence[Any]) -> tuple[str, str]:
    said = f"{name!r} has the value {value!r:.60}, which is not allowed"
    if isinstance(value, str):
        return "value_error:string", said
    if isinstance(value, Mapping):
        known = {key for a in allowed if isinstance(a, Mapping) for key in a}
        return "value_error:dict_key" if set(value) - known else "value_error:dict_value", said
    if isinstance(value, list):
        mappings = any(isinstance(v, Mapping) for v in value)
        counted = all(len(a) != len(value) for a in allowed if isinstance(a, list | tuple))
        return "value_error:list_dict_count" if mappings and counted else "value_error:list/tuple", said
    return "value_error:others", said


def _simple(what: str, message: str) -> Mismatch:
    return Mismatch(f"simple_function_checker:{what}", message)


def assignment(calls: Sequence[Call], wanted: Sequence[Wanted]) -> tuple[int, Mismatch] | None:
    """The first wanted call that no call can serve, with the error of the nearest one; None if all match.

    As many calls as wanted ones; each serves one. Augmenting paths, so that a call which fits two does not take the one
    that another needs.
    """
    errors = [[mismatch(call, one) for call in calls] for one in wanted]
    served: dict[int, int] = {}  # call to wanted

    def serve(i: int, tried: set[int]) -> bool:
        for j, error in enumerate(errors[i]):
            if error is None and j not in tried:
                tried.add(j)
                if j not in served or serve(served[j], tried):
                    served[j] = i
                    return True
        return False

    for i in range(len(wanted)):
        if not serve(i, set()):
            left = [e for j, e in enumerate(errors[i]) if e is not None and j not in served]
            named = [e for e in left if not e.error_type.endswith("wrong_func_name")]
            return i, (named or left)[0]
    return None
