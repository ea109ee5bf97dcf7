"""JSON schemas, compiled once: every draft, no reference that leads outside, work that is bounded."""

from __future__ import annotations

import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from plaudit.errors import InputError
from plaudit.records.sample import content_hash
from plaudit.rewards.verifiers.structure.ecma import translated
from plaudit.rewards.verifiers.structure.json_text import Malformed, depth, read_json
from plaudit.rewards.verifiers.structure.work import WORK, Exhausted, Work
from plaudit.rewards.verifiers.text.patterns import compiled

_KEPT = 256
_FIRST_ERRORS = 200
_SHALLOW = 12
_DATA = frozenset(("enum", "const", "default", "examples"))
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


@dataclass(frozen=True)
class Violation:
    """The first part of an answer that breaks its schema.

    Attributes:
        path: where, as a JSON path: `$.items[3].price`; `$` for the whole.
        keyword: the keyword that it breaks.
        message: what is wrong.
    """

    path: str
    keyword: str
    message: str


class Schemas:
    """A bounded store of compiled schemas, by the hash of their content; safe in threads."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def validator(self, schema: Any, *, formats: bool = False) -> Any:
        """The compiled schema.

        Args:
            schema: an object, or its JSON text.
            formats: whether `format` is checked.

        Raises:
            InputError: if it is no schema, of an unknown draft, refers outside itself or to nothing, or without end.
        """
        content = _content(schema)
        key = content_hash([content, formats])
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = compile_schema(content, formats=formats)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def __len__(self) -> int:
        return len(self._kept)


def _content(schema: Any) -> Any:
    if isinstance(schema, str):
        try:
            schema = read_json(schema)
        except Malformed as error:
            raise InputError(f"reference is {schema!r:.60}, {error}; give a JSON schema") from error
    if not isinstance(schema, Mapping):
        raise InputError(f"reference is {schema!r:.80}; give a JSON schema: an object, or its JSON text")
    return schema


def compile_schema(schema: Mapping[str, Any], *, formats: bool = False) -> Any:
    """A validator of the schema's draft (2020-12 where it names none), with hardened keywords and without a network.

    Raises:
        InputError: as `Schemas.validator` says.
    """
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    draft = _draft(schema)
    try:
        content = _without_dialect(json.loads(json.dumps(schema)), draft)
        draft.plain.check_schema(content, format_checker=None)
        registry: Any = Registry(retrieve=_refuse)
        checker = _formats(content, draft) if formats else None
        validator = draft.hardened(content, registry=registry, format_checker=checker)
        _check(draft.specification.create_resource(content), validator._resolver)
        _try_out(validator)
    except SchemaError as error:
        raise InputError(f"reference is no JSON schema: {error.message[:120]} at {error.json_path}") from error
    except Unresolvable as error:
        raise InputError(
            f"reference has $ref {error.ref!r:.80}, which is not in it; what lies outside is never followed: "
            "put what they name under $defs"
        ) from error
    except (RecursionError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"reference is no JSON schema that can be used ({error!s:.80})") from error
    return validator


@dataclass(frozen=True)
class _Draft:
    name: str
    plain: Any
    hardened: Any
    specification: Any


@cache
def _drafts() -> dict[str, _Draft]:
    """The known drafts by the identifier of their meta-schema, without its empty fragment."""
    import jsonschema
    from jsonschema.validators import extend
    from referencing.jsonschema import specification_with

    from plaudit.rewards.verifiers.structure.keywords import HARDENED, guarded

    found = {}
    for name in ("3", "4", "6", "7", "201909", "202012"):
        plain = getattr(jsonschema, f"Draft{name}Validator")
        keywords = {k: guarded(HARDENED.get(k, v)) for k, v in plain.VALIDATORS.items()}
        identifier = plain.ID_OF(plain.META_SCHEMA)
        made = _Draft(name, plain, extend(plain, keywords), specification_with(identifier))
        found[identifier.rstrip("#")] = made
    return found


def _draft(schema: Mapping[str, Any]) -> _Draft:
    named = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    draft = _drafts().get(str(named).rstrip("#"))
    if draft is None:
        raise InputError(f"reference has $schema {named!r:.80}; known: {', '.join(_drafts())}")
    return draft


def _without_dialect(schema: Any, draft: _Draft) -> Any:
    """A copy without `$schema`: where it stands, the library would go back to its own keywords."""
    if isinstance(schema, list):
        return [_without_dialect(part, draft) for part in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("$schema")
    if isinstance(named, str) and _draft(schema) is not draft:
        raise InputError(f"reference mixes drafts: $schema {named!r:.80} inside one of another; give one draft")
    return {
        key: part if key in _DATA else _without_dialect(part, draft)
        for key, part in schema.items()
        if not (key == "$schema" and isinstance(part, str))
    }


def _refuse(uri: str) -> NoReturn:
    """What a registry asks for a document that it does not hold: none is ever fetched."""
    from referencing.exceptions import NoSuchResource

    raise NoSuchResource(ref=uri)


def _check(resource: Any, resolver: Any) -> None:
    """Resolves every reference and compiles every pattern of a schema and its parts."""
    schema = resource.contents
    if isinstance(schema, Mapping):
        for keyword in _REFERENCES:
            if isinstance(schema.get(keyword), str):
                resolver.lookup(schema[keyword])
        for pattern in [schema.get("pattern"), *schema.get("patternProperties", ())]:
            if isinstance(pattern, str):
                try:
                    compiled(translated(pattern))
                except InputError as error:
                    raise InputError(f"reference has a {error}") from error
    for part in resource.subresources():
        _check(part, resolver.in_subresource(part))


def _try_out(validator: Any) -> None:
    """Validates the smallest values: a schema that refers to itself in place never comes to an end on any."""
    smallest: tuple[Any, ...] = (None, 0, "", [], {})
    for value in smallest:
        token = WORK.set(Work(steps=20_000))
        try:
            next(validator.iter_errors(value), None)
        except (RecursionError, Exhausted) as error:
            raise InputError(f"reference refers to itself without end, on {value!r} already") from error
        finally:
            WORK.reset(token)


def _formats(schema: Any, draft: _Draft) -> Any:
    """A checker of the formats that a schema names, all of which must be known."""
    from jsonschema import FormatChecker

    named = {v for s in _nodes(schema) for k, v in s.items() if k == "format" and isinstance(v, str)}
    known = draft.plain.FORMAT_CHECKER.checkers
    unknown = sorted(named - set(known))
    if unknown:
        raise InputError(f"reference has the format {unknown[0]!r}, which cannot be checked; known: {sorted(known)}")
    checker = FormatChecker(formats=())
    checker.checkers = {name: known[name] for name in named}
    return checker


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, part in schema.items():
            if key not in _DATA:
                yield from _nodes(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _nodes(part)


def first_violation(validator: Any, instance: Any) -> Violation | None:
    """The first violation in the order of the document, a part after the whole that it belongs to; None if valid.

    Of an answer with more than 200 violations, the first of the 200 that are found first.

    Raises:
        Exhausted: if validating takes more steps or searching than any answer may cause.
        RecursionError: if the schema nests more deeply than the answer does.
    """
    token = WORK.set(Work())
    try:
        errors = list(itertools.islice(validator.iter_errors(instance), _FIRST_ERRORS))
    finally:
        WORK.reset(token)
    if not errors:
        return None
    order: dict[int, dict[Any, int]] = {}
    first = min(errors, key=lambda error: _place(error.absolute_path, instance, order))
    return Violation(first.json_path[:300], str(first.validator), str(first.message)[:200])


def _place(path: Any, instance: Any, order: dict[int, dict[Any, int]]) -> tuple[int, ...]:
    """Where a path lies in the document, comparable: the position of each key within its object."""
    place = []
    for key in path:
        if isinstance(instance, dict):
            keys = order.setdefault(id(instance), {k: i for i, k in enumerate(instance)})
            place.append(keys.get(key, len(keys)))
        else:
            place.append(key)
        instance = instance[key] if not isinstance(instance, dict) or key in instance else None
    return tuple(place)


def nested(text: str) -> bool:
    """Whether an answer nests deeply enough to be validated on a stack of its own."""
    return depth(text) > _SHALLOW
