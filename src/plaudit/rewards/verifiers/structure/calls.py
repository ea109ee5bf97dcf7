"""The calls that a completion makes, in whichever of the usual forms it writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.structure.call_text import python_calls
from plaudit.rewards.verifiers.structure.json_text import Malformed, bare_or_fenced, read_json
from plaudit.rewards.verifiers.text.answers import after_thinking

MOST_CALLS = 64
"""Calls that a completion may make."""

_TAG = re.compile(r"<(/?)tool_call>")
_CALLISH = re.compile(r"\s*[\[({]?\s*[^\W\d][\w.]{0,120}\s{0,4}\(")
_NAMING = ("arguments", "parameters")
_ABOUT = frozenset(("name", "id", "type", "index", "function", *_NAMING))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        name: of the function.
        arguments: by parameter.
    """

    name: str
    arguments: Mapping[str, Any]


def calls_of(sample: Sample) -> list[Call]:
    """The calls of a completion, in order; none where it makes none.

    Calls in the messages' `tool_calls` come first: where there are any, the text beside them is talk.

    Raises:
        Malformed: if it tries to make calls and does not succeed, or makes too many.
    """
    if not isinstance(sample.completion, str):
        structured = [c for m in sample.completion if m.role == "assistant" for c in m.tool_calls]
        if structured:
            return _bounded([_call(c) for c in structured])
    return calls_in(sample.text)


def calls_in(text: str) -> list[Call]:
    """The calls that a text makes: `<tool_call>` tags, one fenced block, JSON, or Python calls; none in plain talk.

    Raises:
        Malformed: if it begins like one of these and is none.
    """
    final = after_thinking(text)
    if "<tool_call>" in final or "</tool_call>" in final:
        return _bounded([call for part in _tagged(final) for call in _in_tag(part)])
    inside = bare_or_fenced(final, ("", "json", "python", "py", "tool_code", "tool_call"))
    if inside[:1] + inside[-1:] in ("{}", "[]") and (inside[0] == "{" or not _CALLISH.match(inside)):
        return _bounded(_from_json(read_json(inside)))
    if _CALLISH.match(inside) and inside.rstrip()[-1:] in (")", "]"):
        return _bounded([Call(name, arguments) for name, arguments in python_calls(inside)])
    return []


def _bounded(calls: list[Call]) -> list[Call]:
    if len(calls) > MOST_CALLS:
        raise Malformed(f"more than {MOST_CALLS} calls")
    return calls


def _tagged(text: str) -> list[str]:
    parts, start = [], -1
    for tag in _TAG.finditer(text):
        if bool(tag[1]) == (start < 0):
            raise Malformed("<tool_call> tags that do not match")
        if tag[1]:
            parts.append(text[start : tag.start()])
        start = -1 if tag[1] else tag.end()
    if start >= 0:
        raise Malformed("<tool_call> tags that do not match")
    return parts


def _in_tag(part: str) -> list[Call]:
    """The calls between two tags: one JSON value, or one a line."""
    if not part.strip():
        raise Malformed("an empty <tool_call>")
    try:
        return _from_json(read_json(part))
    except Malformed:
        lines = [line for line in part.splitlines() if line.strip()]
        if len(lines) < 2 or len(lines) > MOST_CALLS:
            raise
        return [call for line in lines for call in _from_json(read_json(line))]


def _from_json(value: Any) -> list[Call]:
    if isinstance(value, Mapping) and set(value) == {"tool_calls"}:
        value = value["tool_calls"]
    if isinstance(value, list):
        return [call for part in value for call in _some(part)]
    return _some(value)


def _some(value: Any) -> list[Call]:
    """The calls of one JSON object: one that is named, or one for each of its keys."""
    if not isinstance(value, Mapping) or not value:
        raise Malformed(f"a call is {value!r:.60}, and no object")
    named = isinstance(value.get("name"), str) and any(key in value for key in _NAMING) and set(value) <= _ABOUT
    if named or isinstance(value.get("function"), Mapping | str):
        return [_call(value)]
    return [Call(str(name), _arguments(given)) for name, given in value.items()]


def _call(value: Any) -> Call:
    """A call as the chat APIs write it, with or without the `function` around it."""
    inner = value.get("function", value) if isinstance(value, Mapping) else value
    if isinstance(inner, str) and isinstance(value, Mapping):
        inner = {**value, "name": inner}
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str) or not inner["name"]:
        raise Malformed(f"a call without a name: {value!r:.60}")
    given = [inner[key] for key in _NAMING if key in inner]
    if len(given) > 1:
        raise Malformed("a call with both arguments and parameters")
    return Call(inner["name"], _arguments(given[0] if given else {}))


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        given = read_json(given) if given.strip() else {}
    if not isinstance(given, Mapping):
        raise Malformed(f"arguments are {given!r:.60}, and no object")
    _check_depth(given)
    return dict(given)


def _check_depth(given: Any) -> None:
    """Refuses what nests too deeply in calls that came as objects and were never read from text."""
    level: Sequence[Any] = [given]
    for _ in range(64):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise Malformed("nested deeper than 64")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
