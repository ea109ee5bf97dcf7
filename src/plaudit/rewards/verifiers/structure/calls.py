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
_MARKS = re.compile(r"<\|python_tag\|>|\[TOOL_CALLS\]|<\|tool_call\|>")
_FUNCTION = re.compile(r"<function=([\w.-]{1,120})>|</function>")
_NAMED = re.compile(r"\s*([\w.-]{1,120})\s*(?:\[CALL_ID\]\w{1,40})?(?:\[ARGS\])?\s*(?=\{)")
_UNREAD = ("<function_calls>", "<\uff5ctool\u2581call", "<|tool_call_begin|>", "<|tool_calls_section_begin|>")


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
    """The calls that a text makes; none in plain talk.

    They stand in `<tool_call>` tags, behind the marks that `marked_parts` knows, in one fenced block, or are the whole
    text, as JSON or as Python calls.

    Raises:
        Malformed: if it begins like one of these and is none.
    """
    final = after_thinking(text)
    if "<tool_call>" in final or "</tool_call>" in final:
        return _bounded([call for part in _tagged(final) for call in _in_tag(part)])
    marked = marked_parts(final)
    if marked is not None:
        return _bounded([call for name, body in marked for call in _marked(name, body)])
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


def marked_parts(text: str) -> list[tuple[str, str]] | None:
    """The calls behind the marks of the Llama and Mistral templates: name and what follows; None without a mark.

    What stands behind a mark is an attempt to call, whether or not it can be read: it is never taken for talk. So the
    marks of templates whose calls are not read are known too, and refused by name.

    Args:
        text: the completion without its thinking.

    Returns:
        Pairs of name and JSON arguments; the name is empty where the second part is a call, or a list of them, itself.

    Raises:
        Malformed: if there are more marks, `<function=f>` is not closed, or the form is one that is not read.
    """
    unread = next((mark for mark in _UNREAD if mark in text), None)
    if unread is not None:
        raise Malformed(f"{unread}: calls in this form are not read")
    marks = [*_MARKS.finditer(text)]
    functions = [*_FUNCTION.finditer(text)]
    if len(marks) > MOST_CALLS or len(functions) > 2 * MOST_CALLS:
        raise Malformed(f"more than {MOST_CALLS} calls")
    if functions:
        return _functions(text, functions)
    stops = [*(m.start() for m in marks[1:]), len(text)]
    return [_part(text[m.end() : stop]) for m, stop in zip(marks, stops, strict=True)] if marks else None


def _functions(text: str, tags: list[re.Match[str]]) -> list[tuple[str, str]]:
    found = []
    for opened, closed in zip(tags[::2], [*tags[1::2], None], strict=False):
        if not opened[1] or closed is None or closed[1]:
            raise Malformed("<function=...> tags that do not match")
        found.append((opened[1], text[opened.end() : closed.start()]))
    return found


def _part(body: str) -> tuple[str, str]:
    """`f[ARGS]{...}` and `f{...}` are a name and its arguments; anything else speaks for itself."""
    named = _NAMED.match(body)
    return (named[1], body[named.end() :]) if named else ("", body)


def _marked(name: str, body: str) -> list[Call]:
    if name:
        return [Call(name, _arguments(read_json(body)))]
    if _CALLISH.match(body):
        return [Call(called.removesuffix(".call"), arguments) for called, arguments in python_calls(body)]
    return _from_json(read_json(body))


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
