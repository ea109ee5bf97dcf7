"""Numbers as decimals: read from text exactly, compared exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal

from plaudit.rewards.verifiers.text.answers import tagged
from plaudit.rewards.verifiers.text.letters import boxed

EXACT = Context(prec=400, traps=[])
"""Enough digits for every number that is read; what would overflow becomes infinite instead of raising."""
LONGEST = 300
"""Characters of a number."""

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)"
_ONE = rf"[-+\u2212]?(?:{_WHOLE}(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{{1,5}}(?!\d))?"
_NUMBER = re.compile(rf"(?<![\w.,/])({_ONE})(?:\s?(?:/|out\s+of)\s?({_ONE}))?(?![\d/])")
_JOINT = re.compile(r"[\s*_`$%]*(?:,|;|/|\||&|-|\u2013|\bor\b|\band\b|\bto\b)?[\s*_`$]*")
_DECLARED = re.compile(r"(?i:\b(?:answer|score|rating|value|result|estimate)\s{0,4}(?:is|[:=])(?![\w']))[\s*_`$]{0,8}")


def decimal(text: str) -> Decimal | None:
    """The number that a text is, with thousands separators and a typographic minus; None if none, or not finite."""
    bare = text.strip().replace("\u2212", "-").replace(",", "")
    if not bare or len(bare) > LONGEST:
        return None
    value = EXACT.create_decimal(bare)
    return value if value.is_finite() else None


def numbers_in(text: str, scale: Decimal | None = None) -> list[Decimal | None]:
    """The numbers of a text in order; None stands for one that is too long to be read.

    Args:
        text: any text.
        scale: `x/y` and `x out of y` are x where y is this, and the fraction elsewhere (None where y is 0).
    """
    return [_value(match, scale) for match in _NUMBER.finditer(text)]


def _value(match: re.Match[str], scale: Decimal | None) -> Decimal | None:
    above = decimal(match[1])
    if match[2] is None or above is None:
        return above
    below = decimal(match[2])
    if scale is not None and below == scale:
        return above
    return EXACT.divide(above, below) if below else None


def _leading(text: str, scale: Decimal | None) -> list[Decimal | None]:
    """The first number of a text and those joined to it: `3, 4`, `3 or 4`, `3 to 4`."""
    found: list[Decimal | None] = []
    end = 0
    for match in _NUMBER.finditer(text):
        if found and not _JOINT.fullmatch(text, end, match.start()):
            break
        found.append(_value(match, scale))
        end = match.end()
    return found


def places(text: str) -> Iterable[tuple[str, list[str]]]:
    """Where a number may be declared, best first: rule and texts. The last is the whole text."""
    yield "tag", tagged(text)
    yield "boxed", boxed(text)
    yield "declared", [text[m.end() : m.end() + 2 * LONGEST].split("\n")[0] for m in _DECLARED.finditer(text)]
    yield "only number", [text]


def declared_numbers(text: str, scale: Decimal | None = None) -> tuple[str, list[Decimal | None]]:
    """The different numbers at the best place that has any, with the rule that found them; none at all: empty.

    After a declaration ("the rating is 3.2") the first number of the line is read, and those joined to it.
    """
    for rule, parts in places(text):
        read = _leading if rule == "declared" else numbers_in
        found = [number for part in parts for number in read(part, scale)]
        if found:
            return rule, list(dict.fromkeys(found))
    return "none", []
