"""Which properties and items of an answer some keyword of a schema has looked at: what `unevaluated...` leaves over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plaudit.rewards.verifiers.structure.ecma import translated
from plaudit.rewards.verifiers.structure.work import account


def evaluated_properties(validator: Any, instance: dict[str, Any], schema: Any) -> set[str]:
    """Names of the properties that the schema's other keywords, or schemas that apply in its place, looked at."""
    account().step()
    if isinstance(schema, bool):
        return set()
    done = set(schema.get("properties", {})) & instance.keys()
    for wanted in schema.get("patternProperties", {}):
        done |= {name for name in instance if account().matches(translated(wanted), name)}
    if "additionalProperties" in schema or schema.get("unevaluatedProperties") is True:
        return set(instance)  # named, matched or additional: every one was looked at
    for evolved, subschema in _in_place(validator, instance, schema):
        done |= evaluated_properties(evolved, instance, subschema)
        inner = subschema.get("unevaluatedProperties") if isinstance(subschema, dict) else None
        done |= set(instance) if inner is not None else set()
    return done


def evaluated_items(validator: Any, instance: list[Any], schema: Any) -> set[int]:
    """Positions of the items that the schema's other keywords, or schemas that apply in its place, looked at."""
    account().step()
    if isinstance(schema, bool):
        return set()
    items = schema.get("items")
    if isinstance(items, dict | bool) or "additionalItems" in schema or schema.get("unevaluatedItems") is True:
        return set(range(len(instance)))
    prefix = items if isinstance(items, list) else schema.get("prefixItems", [])
    done = set(range(min(len(prefix), len(instance))))
    if "contains" in schema and "$dynamicRef" in validator.VALIDATORS:  # from 2020-12 on it evaluates what it finds
        done |= {i for i, item in enumerate(instance) if _valid(validator, item, schema["contains"])}
    for evolved, subschema in _in_place(validator, instance, schema):
        done |= evaluated_items(evolved, instance, subschema)
        inner = subschema.get("unevaluatedItems") if isinstance(subschema, dict) else None
        done |= set(range(len(instance))) if inner is not None else set()
    return done


def _in_place(validator: Any, instance: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The schemas that a schema applies to the same instance and under which that is valid, each with its validator."""
    yield from _referred(validator, instance, schema)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            if _valid(validator, instance, branch):
                yield validator, branch
    for name, subschema in schema.get("dependentSchemas", {}).items():
        if isinstance(instance, dict) and name in instance and _valid(validator, instance, subschema):
            yield validator, subschema
    if "if" in schema:
        met = _valid(validator, instance, schema["if"])
        if met:
            yield validator, schema["if"]
        then = schema.get("then" if met else "else", True)
        if _valid(validator, instance, then):
            yield validator, then


def _referred(validator: Any, instance: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The schemas behind the references of a schema."""
    from referencing.jsonschema import lookup_recursive_ref

    resolver = validator._resolver
    found = [resolver.lookup(schema[keyword]) for keyword in ("$ref", "$dynamicRef") if keyword in schema]
    if "$recursiveRef" in schema:
        found.append(lookup_recursive_ref(resolver))
    for resolved in found:
        evolved = validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
        if evolved.is_valid(instance):
            yield evolved, resolved.contents


def _valid(validator: Any, instance: Any, schema: Any) -> bool:
    return next(iter(validator.descend(instance, schema)), None) is None
