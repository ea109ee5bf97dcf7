"""Units and currency: which of them are the same, and by what factor they differ."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

Dimension = tuple[tuple[str, int], ...]

_TABLE: dict[str, dict[str, str]] = {
    # factor to the first of its kind: names
    "length": {"1/1000": "mm millimeter millimetre", "1/100": "cm centimeter centimetre", "1/10": "dm decimeter",
               "1": "m meter metre", "1000": "km kilometer kilometre", "127/5000": "inch in",
               "381/1250": "foot feet ft", "1143/1250": "yard yd", "201168/125": "mile mi"},
    "mass": {"1/1000000": "mg milligram", "1/1000": "g gram gm", "1": "kg kilogram kilo", "1000": "tonne",
             "45359237/100000000": "lb pound", "45359237/1600000000": "oz ounce"},
    "time": {"1/1000": "ms millisecond", "1": "s sec second", "60": "min minute", "3600": "h hr hour",
             "86400": "day", "604800": "week wk"},
    "months": {"1": "month", "12": "year yr"},  # of a calendar: no number of days
    "volume": {"1/1000": "ml milliliter millilitre", "1": "l liter litre", "473176473/125000000": "gallon gal"},
    "angle": {"1": "degree deg °"},
    "money": {"1": "$ dollar usd buck", "1/100": "cent ¢"},
    "euro": {"1": "€ euro eur"},
    "sterling": {"1": "£ gbp"},
    "rupee": {"1": "₹ rupee inr rs"},
    "yen": {"1": "¥ yen jpy"},
    "celsius": {"1": "°c celsius"},
    "fahrenheit": {"1": "°f fahrenheit"},
    "count": {"12": "dozen"},
    "power": {"1": "w watt", "1000": "kw kilowatt"},
    "energy": {"1": "j joule", "1000": "kj kilojoule"},
    "force": {"1": "n newton"},
    "frequency": {"1": "hz hertz"},
}  # fmt: skip
UNITS: dict[str, tuple[str, Fraction]] = {
    name: (kind, Fraction(factor))
    for kind, rows in _TABLE.items()
    for factor, names in rows.items()
    for name in names.split()
}
COINS = tuple(((kind, 1),) for kind in ("money", "euro", "sterling", "rupee", "yen"))
_SHORT = {"L": "l", "N": "n", "W": "w", "J": "j"}
"""Letters that name a unit only as capitals; otherwise one letter is a variable."""
_LETTERS = {"m", "g", "s", "h", *_SHORT}

_FORBIDDEN = frozenset(
    "or and not but nor either neither maybe perhaps possibly than plus minus times over divided squared cubed hundred "
    "thousand million billion trillion half third quarter quarters thirds halves pi sqrt root infinity if when where "
    "is are was be because since so then hence thus with without no wrong incorrect otherwise instead actually mod "
    "point power dozenth else versus vs equals equal approximately about around between to from minus negative".split()
)
"""Words that say something about the number: what holds one of them is no unit."""
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}


@dataclass(frozen=True, slots=True)
class Unit:
    """What stands beside a number.

    Attributes:
        dimension: kinds with their powers, such as `(("length", 2),)`; empty where no word is known.
        factor: to the first unit of each kind.
        words: unknown words, as they count things: `apples`; without their plural s.
    """

    dimension: Dimension
    factor: Fraction
    words: frozenset[str]

    def agrees(self, other: Unit) -> bool:
        """Whether two stated units can be units of one quantity: equal kinds, or a word in common."""
        if self.dimension or other.dimension:
            return self.dimension == other.dimension or self.is_coin_of(other) or other.is_coin_of(self)
        return bool(self.words & other.words)

    def is_coin_of(self, other: Unit) -> bool:
        """Whether this is bare money and the other the same money per something: $18, and $18 per day."""
        return self.dimension in COINS and len(other.dimension) > 1 and self.dimension[0] in other.dimension


@lru_cache(maxsize=4096)
def read_unit(text: str, *, spaced: bool) -> Unit | None:
    """The unit that a text names; None where it is none.

    Args:
        text: cleaned, without the number.
        spaced: whether it is set apart from the number by a blank or as text; else one letter is a variable.
    """
    if len(text) > 60:
        return None
    typeset = "\\text" in text
    text = re.sub(r"\s+\^", "^", re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text))
    text = re.sub(r"\s*\^\\circ", " °", text).replace("\\$", " $ ").replace("° C", "°C").replace("° F", "°F")
    text = re.sub(r"°\s*([CF])(?![a-zA-Z])", r"°\1", text)
    text = re.sub(r"degrees?\s+(celsius|fahrenheit)", r"\1", text, flags=re.IGNORECASE)
    text = re.sub(r"\^\{?([23])\}?", r"^\1", text).strip(" .")
    if not text or "\\" in text:
        return None
    parts = re.split(r"\s*/\s*|\s+(?:per|an?|each)\s+(?=\w+$)", text)
    if len(parts) > 2:
        return None
    bare = not (spaced or typeset)
    sides = [_side(part, bare=bare) for part in parts]
    if any(side is None for side in sides):
        return None
    top = sides[0]
    assert top is not None
    if len(sides) == 1:
        return top
    below = sides[1]
    assert below is not None
    if top.words or below.words:  # "apples per day": known only as a whole
        return Unit((("/".join(sorted(top.words)) + "/" + "/".join(sorted(below.words)), 1), *top.dimension,
                     *((k, -p) for k, p in below.dimension)), top.factor / below.factor, frozenset())  # fmt: skip
    joined = tuple(sorted([*top.dimension, *((k, -p) for k, p in below.dimension)]))
    return Unit(joined, top.factor / below.factor, frozenset())


def _side(text: str, *, bare: bool) -> Unit | None:
    if text.lower() in ("mph", "kmh", "kph"):
        length = UNITS["mile" if text.lower() == "mph" else "km"][1]
        return Unit((("length", 1), ("time", -1)), length / 3600, frozenset())
    found: list[tuple[str, int, Fraction]] = []
    unknown: set[str] = set()
    power = 1
    for word in text.split():
        lower = word.lower()
        if lower in ("square", "sq", "cubic"):
            power = 3 if lower == "cubic" else 2
            continue
        name, _, given = word.partition("^")
        if given not in ("", "2", "3"):
            return None
        unit = _known(name, bare=bare)
        if unit is not None:
            exponent = int(given) if given else power
            found.append((unit[0], exponent, unit[1] ** exponent))
        elif given or not _is_noun(lower, bare=bare):
            return None
        else:
            unknown.add(lower[:-1] if lower.endswith("s") and len(lower) > 3 else lower)
        power = 1
    if len({kind for kind, _, _ in found}) > 1 or len(unknown) > 4:
        # "5 feet 3 inches" has two numbers and never comes here; two units without a stroke are a product
        return None
    if found:
        kind, exponent, factor = found[0]
        return Unit(((kind, exponent),), factor, frozenset())
    return Unit((), Fraction(1), frozenset(unknown))


def _known(name: str, *, bare: bool) -> tuple[str, Fraction] | None:
    if len(name) == 1 and name.isalpha():
        return None if bare or name not in _LETTERS else UNITS[_SHORT.get(name, name)]
    lower = name.lower()
    for form in (lower, lower.removesuffix("s"), lower.removesuffix("es"), lower.removesuffix(".")):
        if form in UNITS and len(form) > (1 if form.isalpha() else 0):
            return UNITS[form]
    return None


def _is_noun(word: str, *, bare: bool) -> bool:
    """A word that counts things: at least three letters, and none that changes what the number says."""
    if bare or not re.fullmatch(r"[a-z]+(?:['-][a-z]+)*", word):
        return False
    return word not in _FORBIDDEN and word not in SCALES and (len(word) > 2 or word in ("of", "a", "in", "am", "pm"))
