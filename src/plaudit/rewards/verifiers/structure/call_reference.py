"""What a row of the Berkeley function-calling leaderboard wants: functions, allowed calls, and the category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plaudit.errors import InputError
from plaudit.rewards.verifiers.structure.call_matching import Wanted
from plaudit.rewards.verifiers.structure.json_text import Malformed, read_json

_SHAPE = '{"functions": [schemas], "possible_answers": [{name: {parameter: [allowed values]}}]}'
_OTHER_LANGUAGES = ("java", "javascript", "sql", "rest", "multi_turn", "memory", "web_search")
_PLAIN = ("simple", "multiple", "parallel", "irrelevance", "relevance", "live", "python", "exec", "non_live")


@dataclass(frozen=True)
class Task:
    """What is wanted.

    Attributes:
        kind: `simple`, `multiple`, `parallel`, `irrelevance` (no call is right) or `relevance` (any call is).
        wanted: the calls; none for the last two kinds.
        names: of all functions on offer.
    """

    kind: str
    wanted: tuple[Wanted, ...]
    names: tuple[str, ...]


def task(reference: Any) -> Task:
    """Reads a reference.

    Args:
        reference: `functions` (bare schemas or wrapped as chat APIs do), `possible_answers` and perhaps `category`; the
            first two may be JSON texts. A mapping of name to parameters stands for a list of calls.

    Raises:
        InputError: if it has another shape, a call names a function that is not there, or the category does not fit.
    """
    if not isinstance(reference, Mapping) or "possible_answers" not in reference:
        raise InputError(f"reference is {reference!r:.80}; give {_SHAPE}")
    functions = _functions(_parsed(reference.get("functions", []), "functions"))
    answers = _parsed(reference["possible_answers"], "possible_answers")
    if isinstance(answers, Mapping):
        answers = [{name: parameters} for name, parameters in answers.items()]
    if not isinstance(answers, list | tuple):
        raise InputError(f"reference has possible_answers {answers!r:.80}; give {_SHAPE}")
    wanted = tuple(_wanted(answer, functions) for answer in answers)
    return Task(_kind(reference.get("category"), wanted, len(functions)), wanted, tuple(functions))


def _parsed(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except Malformed as error:
        raise InputError(f"reference has {what} {value!r:.60}, {error}; give {_SHAPE}") from error


def _functions(given: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for entry in [given] if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else [None]:
        schema = entry.get("function", entry) if isinstance(entry, Mapping) else None
        name = schema.get("name") if isinstance(schema, Mapping) else None
        if schema is None or not isinstance(name, str) or not name or name in found:
            raise InputError(f"reference has functions {given!r:.80}; give schemas with different names")
        parameters = schema.get("parameters") or {}
        if not isinstance(parameters, Mapping) or not isinstance(parameters.get("properties") or {}, Mapping):
            raise InputError(f"reference has the function {name!r} with parameters {parameters!r:.60}; give a schema")
        found[name] = parameters
    return found


def _wanted(answer: Any, functions: Mapping[str, Mapping[str, Any]]) -> Wanted:
    if not isinstance(answer, Mapping) or len(answer) != 1:
        raise InputError(f"reference allows the call {answer!r:.80}; give {{name: {{parameter: [allowed values]}}}}")
    ((name, allowed),) = answer.items()
    if name not in functions:
        raise InputError(f"reference allows a call of {name!r:.60}, which is none of functions {sorted(functions)}")
    listed = isinstance(allowed, Mapping) and all(isinstance(v, list | tuple) and v for v in allowed.values())
    if not listed:
        raise InputError(f"reference allows {name!r:.60} with {allowed!r:.80}; give a list of values a parameter")
    schema = functions[name]
    required = [p for p in schema.get("required") or [] if p in allowed]
    return Wanted(name, {p: list(v) for p, v in allowed.items()}, schema.get("properties") or {}, required)


def _kind(category: Any, wanted: tuple[Wanted, ...], functions: int) -> str:
    if category is None:
        return (
            "irrelevance"
            if not wanted
            else "parallel"
            if len(wanted) > 1
            else "multiple"
            if functions > 1
            else "simple"
        )
    name = str(category).lower()
    if not any(part in name for part in _PLAIN) or any(part in name for part in _OTHER_LANGUAGES):
        raise InputError(
            f"reference has the category {category!r:.40}, which is not checked here; give simple, multiple, parallel, "
            "parallel_multiple, irrelevance or relevance (Python), or none"
        )
    kind = next((k for k in ("irrelevance", "relevance", "parallel", "multiple") if k in name), "simple")
    if bool(wanted) == (kind in ("irrelevance", "relevance")) or (kind in ("simple", "multiple") and len(wanted) != 1):
        raise InputError(
            f"reference has the category {category!r:.40} and {len(wanted)} possible answers; they must fit"
        )
    return kind
