"""JSON Schema keywords that hold against hostile answers, in place of the library's own.

What the library does with `re` is done by searches with a deadline; what it does in quadratic time (unique items of
mixed types, unevaluated items) in linear time; `multipleOf` is exact, where floats call 0.3 no multiple of 0.1 and
large integers raise; `anyOf` and `oneOf` stop at a branch's first error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from jsonschema import ValidationError

from plaudit.rewards.verifiers.structure.ecma import translated
from plaudit.rewards.verifiers.structure.evaluated import evaluated_items, evaluated_properties
from plaudit.rewards.verifiers.structure.work import account

Keyword = Callable[[Any, Any, Any, Any], Iterable[Any] | None]


def guarded(keyword: Keyword) -> Keyword:
    """A keyword that counts each of its applications."""

    def applied(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[Any] | None:
        account().step()
        return keyword(validator, value, instance, schema)

    return applied


def pattern(validator: Any, value: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """The string holds a match."""
    if validator.is_type(instance, "string") and not account().matches(translated(value), instance):
        yield ValidationError(f"{instance[:60]!r} does not match {value!r}")


def pattern_properties(validator: Any, value: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[Any]:
    """Each property whose name matches is valid."""
    if validator.is_type(instance, "object"):
        for wanted, subschema in value.items():
            for name, part in instance.items():
                if account().matches(translated(wanted), name):
                    yield from validator.descend(part, subschema, path=name, schema_path=wanted)


def additional_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Each property that is neither named nor matched is valid."""
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, part in instance.items():
        if name not in named and not any(account().matches(translated(p), name) for p in patterns):
            if value is False:
                yield ValidationError(f"the property {name[:60]!r} is not allowed", path=(name,))
            else:
                yield from validator.descend(part, value, path=name)


def unique_items(validator: Any, value: bool, instance: Any, _schema: Any) -> Iterator[Any]:
    """No two items are equal; 1 equals 1.0 and not true."""
    if value and validator.is_type(instance, "array"):
        seen = set()
        for i, item in enumerate(instance):
            key = identity(item)
            if key in seen:
                yield ValidationError(f"item {i} stands there twice")
                return
            seen.add(key)


def identity(value: Any) -> Any:
    """Something hashable, equal for equal JSON values only; numbers by their digits, whose hashes none can aim at."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return ("number", str(int(value)) if value == int(value) else repr(value))
    if isinstance(value, list):
        return ("array", tuple(identity(v) for v in value))
    if isinstance(value, dict):
        return ("object", frozenset((k, identity(v)) for k, v in value.items()))
    return value


def multiple_of(validator: Any, value: float, instance: Any, _schema: Any) -> Iterator[Any]:
    """The number is a multiple, in decimals."""
    if validator.is_type(instance, "number"):
        quotient = Fraction(repr(instance)) / Fraction(repr(value))
        if quotient.denominator != 1:
            yield ValidationError(f"it is not a multiple of {value}")


def any_of(validator: Any, value: list[Any], instance: Any, _schema: Any) -> Iterator[Any]:
    """At least one branch is valid."""
    if not any(_valid(validator, instance, branch) for branch in value):
        yield ValidationError("it is valid under none of the branches of anyOf")


def one_of(validator: Any, value: list[Any], instance: Any, _schema: Any) -> Iterator[Any]:
    """Exactly one branch is valid."""
    valid = [i for i, branch in enumerate(value) if _valid(validator, instance, branch)]
    if len(valid) != 1:
        yield ValidationError(f"it is valid under {len(valid)} of the branches of oneOf {valid}; one is wanted")


def unevaluated_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Each property that no other keyword has looked at is valid."""
    if validator.is_type(instance, "object"):
        done = evaluated_properties(validator, instance, schema)
        for name, part in instance.items():
            if name not in done and not _valid(validator, part, value):
                yield ValidationError(f"the property {name[:60]!r} is not allowed", path=(name,))


def unevaluated_items(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Each item that no other keyword has looked at is valid."""
    if validator.is_type(instance, "array"):
        done = evaluated_items(validator, instance, schema)
        for i, item in enumerate(instance):
            if i not in done and not _valid(validator, item, value):
                yield ValidationError(f"item {i} is not allowed", path=(i,))


def _valid(validator: Any, instance: Any, schema: Any) -> bool:
    return next(iter(validator.descend(instance, schema)), None) is None


HARDENED: dict[str, Keyword] = {
    "pattern": pattern,
    "patternProperties": pattern_properties,
    "additionalProperties": additional_properties,
    "uniqueItems": unique_items,
    "multipleOf": multiple_of,
    "divisibleBy": multiple_of,
    "anyOf": any_of,
    "oneOf": one_of,
    "unevaluatedProperties": unevaluated_properties,
    "unevaluatedItems": unevaluated_items,
}
"""By the keyword that each replaces, in the drafts that have it."""
