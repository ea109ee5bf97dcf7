"""Calls written as Python, `[f(a=1), g(b="x")]`: literal arguments only, read by `ast` and never run.

A lexer of this little language goes first. It lets nothing pass but names, literals, brackets and separators, so that
what `ast` sees cannot recurse beyond the brackets that are counted, nor warn about escapes.
"""

from __future__ import annotations

import ast
import math
import re
from keyword import iskeyword
from typing import Any

from plaudit.rewards.verifiers.structure.json_text import Malformed

LONGEST = 50_000
"""Characters of a list of calls."""
MOST_DEPTH = 32
"""Brackets that may be open at once."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<string>[rRuU]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'))"
    r"|(?P<number>[-+]?(?:0[xX][0-9a-fA-F]{1,16}|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?)(?![\w.]))"
    r"|(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*){0,8})"
    r"|(?P<open>[\[({])|(?P<close>[\])}])|(?P<mark>[,=:])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_CONSTANTS = frozenset(("True", "False", "None"))
_OPENS_AFTER = frozenset(("", "(", "[", "{", ",", "=", ":"))  # so that f()()() and x[0][0][0] never reach ast
_KNOWN_ESCAPES = frozenset("\n\\'\"abfnrtvxuUN")


def python_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of each call, in order.

    Args:
        text: a call, or a list or tuple of calls.

    Raises:
        Malformed: if it is none, an argument has no name or is no literal, or a bound is passed.
    """
    if len(text) > LONGEST:
        raise Malformed(f"a list of calls longer than {LONGEST} characters")
    try:
        tree = ast.parse(_vetted(text).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise Malformed(f"no Python calls: {error!s:.100}") from error
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    return [_call(node) for node in nodes]


def _vetted(text: str) -> str:
    """The text, if it holds nothing but the tokens of calls, with escapes that Python does not know doubled."""
    made, at, depth, before = [], 0, 0, ""
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise Malformed(f"no Python calls: {text[at : at + 20]!r} is neither a name nor a literal")
        kind, piece = token.lastgroup, token.group()
        depth += (kind == "open") - (kind == "close")
        if not 0 <= depth <= MOST_DEPTH:
            raise Malformed(f"no Python calls: brackets nest deeper than {MOST_DEPTH} or do not match")
        if kind == "open" and before not in _OPENS_AFTER and not (piece == "(" and before == "name"):
            raise Malformed(f"no Python calls: {piece!r} after {before or 'a value'}")
        if kind == "name" and any(iskeyword(part) for part in piece.split(".")) and piece not in _CONSTANTS:
            raise Malformed(f"no Python calls: the keyword {piece!r}")
        if kind == "string" and piece[0] not in "rR":
            piece = _ESCAPE.sub(_escape, piece)
        made.append(" " if kind == "space" else piece)
        before = before if kind == "space" else "name" if kind == "name" else piece if len(piece) == 1 else "value"
        at = token.end()
    return "".join(made)


def _escape(found: re.Match[str]) -> str:
    octal, other = found.groups()
    legal = int(octal, 8) <= 0o377 if octal else other in _KNOWN_ESCAPES
    return found.group() if legal else "\\" + found.group()


def _call(node: ast.expr) -> tuple[str, dict[str, Any]]:
    if not isinstance(node, ast.Call):
        raise Malformed("no Python calls: a part of it is no call")
    if node.args:
        raise Malformed("an argument without a name: name each")
    arguments = {}
    for given in node.keywords:
        if given.arg is None:
            raise Malformed("arguments are unpacked: name each")
        if given.arg in arguments:
            raise Malformed(f"the argument {given.arg[:40]!r} stands twice")
        arguments[given.arg] = _literal(given.value)
    return _name(node.func), arguments


def _name(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise Malformed("what is called is no name")
    return ".".join([node.id, *reversed(parts)])


def _literal(node: ast.expr) -> Any:
    """The value of a literal; a tuple becomes a list, as it does in JSON."""
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | int | float | str)):
        if isinstance(node.value, float) and not math.isfinite(node.value):
            raise Malformed("a number that is not finite")
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _literal(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(part) for part in node.elts]
    if isinstance(node, ast.Dict):
        return _mapping(node)
    raise Malformed("an argument is no literal")


def _mapping(node: ast.Dict) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = _literal(key) if key is not None else None
        if not isinstance(name, str) or name in found:
            raise Malformed("a dictionary with a key that is no text, or stands twice")
        found[name] = _literal(value)
    return found
