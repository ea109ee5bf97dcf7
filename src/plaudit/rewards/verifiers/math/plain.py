"""Plain numbers, exactly: integers, decimals, fractions, mixed numbers, percentages, powers, with units.

Everything is a `fractions.Fraction`; a float never occurs, so 0.1 + 0.2 is 0.3 and 0.333 is not a third. What would
be too large to write down is left undecided, before it is computed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from plaudit.rewards.verifiers.math.units import SCALES, Unit, read_unit

DIGITS = 2000
"""Digits of the longest number that is read."""
EXPONENT = 400
"""Largest power of ten in scientific notation that is read."""
BITS = 8192
"""Size of the largest power that is computed."""

_INTEGER = r"\d{1,3}(?:,\d{3})++(?!\d)|\d{1,3}(?: \d{3})++(?![\d/])|\d++"
_DECIMAL = rf"(?:(?:{_INTEGER})(?:\.\d*+)?|\.\d++)"
_TEN = r"(?:\s*(?:\\times|\\cdot|x|\*)\s*10\s*\^\s*(?:\{\s*([+-]?\d{1,4})\s*\}|([+-]?\d{1,4}))|[eE]([+-]?\d{1,4}))"
_BRACED = r"\{\s*([+-]?[\d.,]++)\s*\}"
_PATTERNS = {
    "scientific": re.compile(rf"({_DECIMAL})\s*{_TEN}(?!\d)"),
    "mixed": re.compile(rf"(\d++)\s*\\frac\s*(?:{_BRACED}|(\d))\s*(?:{_BRACED}|(\d))|(\d++) (\d++)\s*/\s*(\d++)(?!\d)"),
    "fraction": re.compile(rf"\\frac\s*(?:{_BRACED}|(\d))\s*(?:{_BRACED}|(\d))"),
    "ratio": re.compile(rf"({_DECIMAL})\s*/\s*({_DECIMAL})(?![\d.])"),
    "power": re.compile(rf"({_DECIMAL})\s*\^\s*(?:\{{\s*([+-]?\d{{1,5}})\s*\}}|(\d{{1,5}}))(?!\d)"),
    "decimal": re.compile(rf"({_DECIMAL})"),
}
_LEAD = re.compile(r"\s*([+-]?)\s*((?:US|A|C)?\\?\$|[€£¥₹]|Rs\.?\s|USD\s|EUR\s|GBP\s)?\s*([+-]?)\s*")
_COINS = {"US\\$": "$", "US$": "$", "A$": "$", "C$": "$", "USD": "$", "EUR": "€", "GBP": "£", "Rs": "₹", "\\$": "$"}
_TAIL = re.compile(r"[\d!^_=<>+*|\[\]()]")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with what stands beside it.

    Attributes:
        value: the number as it is written; 50 where 50% is.
        percent: whether a percent sign or the word follows.
        unit: what it counts or measures, or None.
        places: digits behind the decimal point where it is written as a decimal, else None.
    """

    value: Fraction
    percent: bool = False
    unit: Unit | None = None
    places: int | None = None


@lru_cache(maxsize=16384)
def read_plain(text: str) -> Quantity | None:
    """The plain number that a cleaned answer is; None where it is anything else, or too large."""
    if len(text) > 2 * DIGITS:
        return None
    text = _unwrapped(text)
    lead = _LEAD.match(text)
    assert lead is not None  # every part of it may be empty
    if lead[1] and lead[3]:
        return None
    rest = text[lead.end() :]
    for kind, pattern in _PATTERNS.items():
        match = pattern.match(rest)
        if match is None:
            continue
        value = _value(kind, match)
        quantity = None if value is None else _with_unit(value, rest[match.end() :], lead[2], kind, match)
        if quantity is not None:
            return Quantity(-quantity.value if "-" in (lead[1], lead[3]) else quantity.value, quantity.percent,
                            quantity.unit, quantity.places)  # fmt: skip
    return None


def same_quantity(reference: Quantity, answer: Quantity, *, rounded: bool = False) -> bool:
    """Whether two plain numbers are equal.

    A unit or a percent sign may be left out on either side: 50% is 1/2, and it is 50 where only one side says
    percent; stated units must agree, and convert where their factors are known.

    Args:
        reference: the gold number.
        answer: the candidate's.
        rounded: whether an answer that rounds to a reference written as a decimal, at its places, is right.
    """
    if reference.unit and answer.unit and not reference.unit.agrees(answer.unit):
        return False
    pairs = [(reference.value, answer.value)]
    if reference.percent != answer.percent:
        hundredth = Fraction(1, 100)
        scales = (hundredth, 1) if reference.percent else (1, hundredth)
        pairs.append((reference.value * scales[0], answer.value * scales[1]))
    if reference.unit and answer.unit:
        scaled = reference.unit.dimension == answer.unit.dimension
        pairs = [(reference.value * (reference.unit.factor if scaled else 1),
                  answer.value * (answer.unit.factor if scaled else 1))]  # fmt: skip
    elif _dozen(reference.unit) or _dozen(answer.unit):
        # the kind "count" is plain numbers: 2 dozen are 24, and 7 dozen are the 7 of "how many dozen"
        pairs += [(r * (reference.unit.factor if reference.unit else 1), a * (answer.unit.factor if answer.unit else 1))
                  for r, a in pairs]  # fmt: skip
    if rounded and reference.places is not None:
        half = Fraction(1, 2 * 10**reference.places)
        return any(abs(r - a) <= half for r, a in pairs[:1])
    return any(r == a for r, a in pairs)


def _dozen(unit: Unit | None) -> bool:
    return unit is not None and unit.dimension == (("count", 1),)


def _unwrapped(text: str) -> str:
    r"""Without a box of text, braces or brackets around the whole: `\text{18}`, `{18}`, `(18)`."""
    for _ in range(4):
        match = re.fullmatch(r"\\text\s*\{([^{}]*)\}|\{([^{}]*)\}|\(([^(),]*)\)|\$\s*([^$]*)\$", text)
        if match is None:
            break
        text = next(g for g in match.groups() if g is not None).strip().rstrip(".")
    return text


def _value(kind: str, match: re.Match[str]) -> Fraction | None:
    groups = [g for g in match.groups() if g is not None]
    numbers = [_decimal(g) for g in groups]
    if any(n is None for n in numbers):
        return None
    first, *more = [n for n in numbers if n is not None]
    if kind == "decimal":
        return first
    if kind == "scientific":
        return first * Fraction(10) ** int(more[0]) if abs(more[0]) <= EXPONENT else None
    if kind == "power":
        return _power(first, int(more[0]))
    if kind == "mixed":
        top, bottom = more
        # an improper or negative fraction behind a whole number is no mixed number
        return first + top / bottom if 0 < top < bottom else None
    return first / more[0] if more[0] else None


def _power(base: Fraction, exponent: int) -> Fraction | None:
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size * abs(exponent) > BITS or (base == 0 and exponent <= 0):
        return None
    return base**exponent


def _decimal(text: str) -> Fraction | None:
    digits = text.replace(" ", "")
    if "," in digits:
        if not re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", digits):
            return None
        digits = digits.replace(",", "")
    if len(digits) > DIGITS or not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)", digits):
        return None
    return Fraction(digits.rstrip(".") if digits.endswith(".") else digits)


def _with_unit(value: Fraction, tail: str, currency: str | None, kind: str, match: re.Match[str]) -> Quantity | None:
    places = len(match[1].partition(".")[2]) if kind == "decimal" and "." in match[1] else None
    spaced = tail[:1] in (" ", "\\") or not tail[:1].isalpha()
    rest = tail.strip()
    for word, factor in SCALES.items():
        found = re.match(rf"(?:\\text\s*\{{\s*)?{word}\b\s*\}}?", rest, re.IGNORECASE)
        if found:
            value, rest, places = value * factor, rest[found.end() :].strip(), None
            break
    if rest in ("\\$", "$"):  # behind the number, as in some languages
        currency, rest = "$", ""
    percent = re.match(r"\\?%|(?:\\text\s*\{\s*)?(?:percent|per cent|pct)\b\s*\}?", rest, re.IGNORECASE)
    if percent:
        return Quantity(value, True, None, places) if not rest[percent.end() :].strip(" .") else None
    if currency:
        rest = _COINS.get(currency.strip(" .\\"), currency.strip(" .\\")) + " " + rest
    if not rest:
        return Quantity(value, False, None, places)
    if _TAIL.search(re.sub(r"\^\{?[23]\}?|\^\\circ", "", rest)):
        return None
    unit = read_unit(rest, spaced=spaced)
    if unit is None:
        return None
    return Quantity(value, False, unit, places)
