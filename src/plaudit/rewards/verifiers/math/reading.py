"""The shape of an answer: list, tuple, set, interval, union, matrix, equation, or an expression without commas.

The shape is read before any algebra, because algebra systems confuse shapes: to them `(1,2)` may be an interval or a
point, `{1,2}` and `1,2` the same, and `x=1, x=2` a contradiction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from plaudit.rewards.verifiers.math.plain import read_plain


@dataclass(frozen=True, slots=True)
class Atom:
    """An expression without commas at its top level, or words."""

    text: str


@dataclass(frozen=True, slots=True)
class Several:
    r"""Answers beside each other: `1, 2`, `1 or 2`, `1 and 2`, `1 \pm 2`; their order does not matter."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Items in brackets: a tuple, a point, a vector, or a set (with `{`), whose order does not matter."""

    opening: str
    items: tuple[Node, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers between two ends.

    Attributes:
        low: the lower end.
        high: the upper end.
        ends: its brackets, such as `[)`.
        name: of the variable, where it was written as an inequality.
    """

    low: Atom
    high: Atom
    ends: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets joined; their order does not matter."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries; `style` tells determinants (`|`) from matrices."""

    rows: tuple[tuple[Node, ...], ...]
    style: str


@dataclass(frozen=True, slots=True)
class Relation:
    r"""Sides joined by signs: an equation, a chain of them, or an inequality that is no interval.

    Attributes:
        sides: one more than signs.
        signs: of `=`, `<`, `>`, `\le`, `\ge`, `\ne`, `\approx`, `\equiv`.
    """

    sides: tuple[Node, ...]
    signs: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        r"""Whether it only says what a name is worth: `x = 5`, `f(x) = x^2`, `AB = 2 \cdot 3 = 6`."""
        first = self.sides[0]
        if isinstance(first, Group):  # (x, y) = (1, 2)
            return set(self.signs) == {"="} and all(isinstance(i, Atom) and is_name(i.text) for i in first.items)
        return set(self.signs) == {"="} and isinstance(first, Atom) and is_name(first.text)


Node = Atom | Several | Group | Interval | Union | Matrix | Relation

_OPEN, _CLOSE = "([{", ")]}"
_TOKEN = re.compile(r"\\left|\\right|\\begin\s*\{[a-zA-Z*]+\}|\\end\s*\{[a-zA-Z*]+\}|\\[a-zA-Z]++|\\.|<=|>=|!=|.")
_RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "\\le", "\\ge": "\\ge", "<=": "\\le", ">=": "\\ge", "!=": "\\ne",
              "\\ne": "\\ne", "\\approx": "\\approx", "\\equiv": "\\equiv"}  # fmt: skip
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_JOINERS = re.compile(r"\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![a-zA-Z\\{])(?:and|or)(?![a-zA-Z}])", re.IGNORECASE)
_MATRIX = re.compile(
    r"[\[(]?\s*\\begin\s*\{(p|b|v|B|V|small)?(matrix|array)\}\s*(?:\{[lcr| ]*\})?(.*?)\\end\s*\{(?:[pbvBV]|small)?"
    r"(?:matrix|array)\}\s*[\])]?",
    re.DOTALL,
)
_GREEK = r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|omega|Delta|ell)"
_NAME = re.compile(
    rf"(?:[a-zA-Z]|{_GREEK})(?:_(?:\w|\{{[\w, ]*\}}))?'*(?:\s*\(\s*(?:[a-zA-Z]|\d+)(?:\s*,\s*[a-zA-Z])*\s*\))?"
    r"|\|?(?:\\(?:angle|triangle|overline|vec|widehat|measuredangle)\s*)?\{?[A-Z]{2,4}\}?\|?|(?:m\s*)?\\angle\s*[A-Z]{1,3}"
    r"|\\text\s*\{[^{}\d]*\}(?:\s*[A-Z]{1,4})?|\(?\s*[a-zA-Z](?:\s*,\s*[a-zA-Z])+\s*\)?|[A-Z][a-z]+|[PE]\s*\(?\[?[A-Z]\]?\)?"
)
_WHOLE_LINE = re.compile(
    r"\\mathbb\s*\{?R\}?|\\text\s*\{\s*all real numbers?\s*\}|all real numbers?|\\Re", re.IGNORECASE
)
_MEMBER = re.compile(r"\(?\s*([a-zA-Z])\s*\)?\s*\\in(?![a-zA-Z])\s*(.+)", re.DOTALL)
_BUILDER = re.compile(
    r"\\?\{\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|:|\||\\vert)\s*(.+?)\\?\}", re.DOTALL
)


def is_name(text: str) -> bool:
    r"""Whether an expression only names something: `x`, `a_1`, `f(x)`, `AB`, `\angle ABC`, `\text{Area}`."""
    return len(text) <= 40 and _NAME.fullmatch(text.strip()) is not None


@lru_cache(maxsize=4096)
def read(text: str) -> Node:
    """The shape of a cleaned answer.

    What has no shape that is known is an `Atom`; nothing raises. Brackets deeper than the caller allows are its
    business.
    """
    text = text.strip()
    if read_plain(text) is not None:
        return Atom(text)  # 1,234 is no list
    if re.search(r"\\[pm][mp](?![a-zA-Z])", text):
        plus, minus = text.replace("\\pm", "+").replace("\\mp", "-"), text.replace("\\pm", "-").replace("\\mp", "+")
        return _several([*_items(read(_signs(plus))), *_items(read(_signs(minus)))])
    if _WHOLE_LINE.fullmatch(text):
        return Interval(Atom("-\\infty"), Atom("\\infty"), "()")
    if text in ("\\emptyset", "\\{\\}", "\\{ \\}"):
        return Group("{", (), "}")
    member = _MEMBER.fullmatch(text) or _BUILDER.fullmatch(text)
    if member is not None:
        return read(_named_set(member))
    return _list(text) or _union(text) or _relation(text) or _matrix(text) or _bracketed(text)


def split(text: str, signs: frozenset[str] | set[str]) -> tuple[list[str], list[str]]:
    """Parts of a text between signs outside all brackets, and those signs.

    Brackets of either kind close each other, because `(3, 4]` is an interval.
    """
    parts, found, start, level = [], [], 0, 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        kind = (
            token[1:]
            if token in ("\\{", "\\}")
            else "("
            if token == "\\langle"
            else ")"
            if token == "\\rangle"
            else token
        )
        if kind in _OPEN or token.startswith("\\begin"):
            level += 1
        elif kind in _CLOSE or token.startswith("\\end"):
            level -= 1
        elif level == 0 and token in signs:
            parts.append(text[start : match.start()].strip())
            found.append(token)
            start = match.end()
    parts.append(text[start:].strip())
    return parts, found


def _signs(text: str) -> str:
    """`=+2` as `=2`, and no sign twice."""
    text = re.sub(r"(^|[=,(\[{])\s*\+\s*", r"\1", text)
    return re.sub(r"\+\s*-|-\s*\+", "-", text)


def _items(node: Node) -> tuple[Node, ...]:
    return node.items if isinstance(node, Several) else (node,)


def _several(items: list[Node]) -> Node:
    flat = [leaf for item in items for leaf in _items(item)]
    return flat[0] if len(flat) == 1 else Several(tuple(flat))


def _named_set(match: re.Match[str]) -> str:
    name, rest = match.groups()
    return rest.strip() if name else rest


def _list(text: str) -> Node | None:
    """Items between commas, semicolons, `and` and `or` at the top level."""
    marked = _JOINERS.sub(lambda m: " \x00 " if "or" in m.group().lower() else " \x01 ", text)
    parts, found = split(marked, {",", ";", "\x00", "\x01"})
    if not found:
        return None
    items = [read(p) for p in parts if p]
    joined = _join_inequalities(items, either="\x00" in found)
    if joined is not None:
        return joined
    return _chained_names(items) if items else None


def _join_inequalities(items: list[Node], *, either: bool) -> Node | None:
    """`x < -2 or x > 2` is a union, `x > 1 and x < 3` an interval."""
    spans = [i for i in items if isinstance(i, Interval)]
    if len(spans) != len(items) or len(spans) < 2 or len({s.name for s in spans}) > 1 or not spans[0].name:
        return None
    if either:
        return Union(tuple(spans))
    lows = [s for s in spans if s.high.text == "\\infty"]
    highs = [s for s in spans if s.low.text == "-\\infty"]
    if len(spans) == 2 and len(lows) == len(highs) == 1 and lows != highs:
        return Interval(lows[0].low, highs[0].high, lows[0].ends[0] + highs[0].ends[1], spans[0].name)
    return None


def _chained_names(items: list[Node]) -> Node:
    """`x = 1, 2` says twice what x is; `x = 1, x = 2` says it in full."""
    first = items[0]
    if isinstance(first, Relation) and first.is_named and not any(isinstance(i, Relation) for i in items[1:]):
        return _several([first, *(Relation((first.sides[0], i), ("=",)) for i in items[1:])])
    return _several(items)


def _union(text: str) -> Node | None:
    parts, found = split(text, {"\\cup"})
    return Union(tuple(read(p) for p in parts)) if found and all(parts) else None


def _relation(text: str) -> Node | None:
    parts, found = split(text, set(_RELATIONS))
    if not found or not all(parts):
        return None
    signs = [_RELATIONS[s] for s in found]
    return _interval(parts, signs) or Relation(tuple(read(p) for p in parts), tuple(signs))


def _interval(parts: list[str], signs: list[str]) -> Node | None:
    r"""`a < x \le b` and `x > a`, as the interval that they describe; `x \ne a` as a union."""
    if any(s not in _FLIPPED for s in signs):
        if signs == ["\\ne"] and is_name(parts[0]):
            end = Atom(parts[1])
            return Union(
                (Interval(Atom("-\\infty"), end, "()", parts[0]), Interval(end, Atom("\\infty"), "()", parts[0]))
            )
        return None
    if len(signs) == 1 and is_name(parts[1]) and not is_name(parts[0]):
        parts, signs = [parts[1], parts[0]], [_FLIPPED[signs[0]]]
    if len(signs) == 1 and is_name(parts[0]):
        end, closed = Atom(parts[1]), signs[0] in ("\\le", "\\ge")
        if signs[0] in (">", "\\ge"):
            return Interval(end, Atom("\\infty"), ("[" if closed else "(") + ")", parts[0])
        return Interval(Atom("-\\infty"), end, "(" + ("]" if closed else ")"), parts[0])
    if len(signs) == 2 and is_name(parts[1]) and (signs[0] in ("<", "\\le")) == (signs[1] in ("<", "\\le")):
        if signs[0] in (">", "\\ge"):
            parts, signs = parts[::-1], [_FLIPPED[s] for s in signs[::-1]]
        ends = ("[" if signs[0] == "\\le" else "(") + ("]" if signs[1] == "\\le" else ")")
        return Interval(Atom(parts[0]), Atom(parts[2]), ends, parts[1])
    return None


def _matrix(text: str) -> Node | None:
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match[3]:
        return None
    lines = [line for line in split(match[3], {"\\\\"})[0] if line]
    rows = tuple(tuple(read(cell) for cell in split(line, {"&"})[0]) for line in lines)
    if not rows or len({len(r) for r in rows}) > 1:
        return None
    return Matrix(rows, "|" if match[1] in ("v", "V") else "(")


def _bracketed(text: str) -> Node:
    """A group if one pair of brackets holds the whole and commas stand in it; without commas the inside."""
    start = 2 if text.startswith("\\{") else 8 if text.startswith("\\langle ") else 1
    opening = {"\\{": "{", "\\l": "("}.get(text[:2], text[:1])
    stop = len(text) - (2 if text.endswith("\\}") else 7 if text.endswith("\\rangle") else 1)
    closing = {"}": "}", "e": ")"}.get(text[-1:], text[-1:]) if text[stop:] != "e" else "e"
    if opening not in _OPEN or not opening or closing not in _CLOSE or stop <= start or not _spans(text):
        return Atom(text)
    inside = text[start:stop].strip()
    plain_brace = opening == "{" and not text.startswith("\\{")
    parts, found = split(inside, {",", ";"})
    if found or text.startswith("\\{"):
        return Group(opening, tuple(read(p) for p in parts if p), closing)
    if plain_brace or (opening, closing) == ("(", ")"):
        return read(inside) if inside else Atom(text)
    return Group(opening, (read(inside),), closing)


def _spans(text: str) -> bool:
    """Whether the first bracket closes at the end and not before."""
    level = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        kind = (
            token[1:]
            if token in ("\\{", "\\}")
            else "("
            if token == "\\langle"
            else ")"
            if token == "\\rangle"
            else token
        )
        level += (kind in _OPEN) - (kind in _CLOSE)
        if level == 0:
            return match.end() == len(text)
    return False
