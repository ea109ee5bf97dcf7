"""What a child process does: comparing two expressions by algebra, with math-verify and guards around it.

math-verify's parser (latex2sympy) reads the LaTeX. Its `verify` has known false accepts: it rounds decimals to six
places, takes differences below 1e-15 for zero, solves both of two equations and finds no solution of either the same,
folds capitals, ignores the base of a numeral, and extracts a number from within an expression that it cannot read
(issues 14, 41, 60 and 64 of that project). So numbers are compared exactly or with forty digits relative to their
size, functions at points, equations by the ratio of their sides; and only what none of this can settle is its own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from plaudit.rewards.verifiers.math.comparing import Leaves, Undecided, compare, exact_leaf
from plaudit.rewards.verifiers.math.plain import read_plain
from plaudit.rewards.verifiers.math.reading import read
from plaudit.rewards.verifiers.math.units import Unit, read_unit

_POINTS = ((37, 27), (271, 100), (-53, 31), (11, 19), (-7, 23), (411, 97), (-173, 41), (5, 61))
_CALL = re.compile(r"\\(?:sqrt|ln|log|exp|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan)\s*(?=\()")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")


LARGEST = 2_000_000.0
"""Bits of the largest power or factorial that is worked out; larger ones are refused before they are begun."""
TOO_LARGE = "too large"


class UnreadableError(ValueError):
    """An expression that the parser cannot read; `side` says whose it is."""

    def __init__(self, side: str, text: str) -> None:
        super().__init__(f"{side}: {text}")
        self.side, self.text = side, text


def warm_up() -> None:
    """Reads one expression of each kind: the parser learns its grammar as it goes, and is slow until it has."""
    for reference, answer in (
        ("\\frac{x+1}{2}", "\\frac{1}{2}x + 0.5"),
        ("3\\sqrt{13}", "\\sqrt[2]{117}"),
        ("\\sin^2 x", "1 - \\cos^{2}(x)"),
        ("x^2 + y^{-1}", "(x)(x) + \\frac{1}{y}"),
        ("2x + 4y = 3", "y = \\frac{3 - 2x}{4}"),
        ("e^{2\\pi i} \\ln 2", "\\log_3 2 \\cdot |-5|"),
        ("5!", "\\binom{5}{2} a_1"),
    ):
        judge([reference, answer, False])


def judge(job: list[Any]) -> dict[str, Any]:
    """Compares cleaned texts.

    Args:
        job: reference, answer, and whether an answer may be rounded.

    Returns:
        `{"equal": bool}`, or `{"unreadable": side, "large": bool}` with the side `reference` or `answer`.
    """
    reference, answer, rounded = job
    leaves = Leaves(
        same=lambda r, a: _same(r, a, rounded=rounded),
        equation=_equation,
    )
    try:
        return {"equal": compare(read(reference), read(answer), leaves)}
    except UnreadableError as error:
        return {"unreadable": error.side, "large": error.text == TOO_LARGE}
    except Undecided:
        return {"equal": _expressions(reference, answer)}
    except RecursionError:
        return {"unreadable": "answer", "large": True}


def _same(reference: str, answer: str, *, rounded: bool) -> bool:
    known = exact_leaf(reference, answer, rounded=rounded)
    if known is not None:
        return known
    (reference, unit), (answer, other) = without_unit(reference), without_unit(answer)
    if unit and other and not (unit.agrees(other) and unit.factor == other.factor):
        return False
    based = _bases(reference, answer)
    if based is not None:
        return based
    if ":" in reference or ":" in answer:
        gold_parts, parts = reference.split(":"), answer.split(":")
        return len(gold_parts) == len(parts) and all(
            _same(r, a, rounded=rounded) for r, a in zip(gold_parts, parts, strict=True)
        )
    if names(answer) - names(reference):
        return False  # a name that the reference does not have: 0x + 18, or another variable
    gold = read_plain(reference) if rounded else None
    if gold is not None and gold.places is not None:
        from sympy import Rational

        gap = _number(_done(_parse(answer, "answer")) - Rational(gold.value.numerator, gold.value.denominator))
        return gap is not None and bool(gap.is_real and abs(gap) <= Rational(1, 2 * 10**gold.places))
    return _expressions(reference, answer)


def without_unit(text: str) -> tuple[str, Unit | None]:
    r"""An expression and the unit behind it, set as text: `10\sqrt{2} \text{ cm}^2`; other text stays."""
    match = re.fullmatch(r"(.*[^\s])\s*(\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?[23]\}?)?)", text)
    unit = read_unit(match[2], spaced=True) if match else None
    return (match[1], unit) if match and unit is not None else (text, None)


def names(text: str) -> set[str]:
    """Letters of an expression that name something; commands, e, i, d and text are none."""
    bare = re.sub(r"\\(?:text|operatorname|mathbb)\s*\{[^{}]*\}|\\[a-zA-Z]+", " ", text)
    return set(re.findall(r"[a-zA-Z]", bare)) - {"e", "i", "d"}


def _bases(reference: str, answer: str) -> bool | None:
    """`52_8` against `52_{8}`: equal digits in an equal base, both stated; None where neither states one."""
    pattern = r"\(?([0-9a-zA-Z.,]*\d[0-9a-zA-Z.,]*)\)?_\{?(?:\\text\s*\{)?\s*(\d+|two|eight|ten|sixteen)\s*\}*"
    found = [re.fullmatch(pattern, t.replace(" ", "")) for t in (reference, answer)]
    if not any(found):
        return None
    if not all(found):
        return False
    one, other = (f.groups() for f in found if f)
    return one[0].replace(",", "").lstrip("0") == other[0].replace(",", "").lstrip("0") and one[1] == other[1]


def _expressions(reference: str, answer: str) -> bool:
    gold, given = _parse(reference, "reference"), _parse(answer, "answer")
    return equal(gold, given)


def _parse(text: str, side: str) -> Any:
    try:
        found = parsed(text)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:  # the parser raises bare Exception for what it cannot read
        raise UnreadableError(side, text[:100]) from error
    if bits(found) > LARGEST:
        raise UnreadableError(side, TOO_LARGE)
    return found


def bits(value: Any) -> float:
    """A bound on the size of the largest number that working an expression out would write down, in bits.

    Powers and factorials of numbers are what explodes; a bound that is not finite is larger than any.
    """
    return max(_growth(value))


def _growth(value: Any) -> tuple[float, float]:
    """The bits of the value and of the largest part of it."""
    from sympy import Pow, Rational, factorial

    if isinstance(value, Rational):
        own = float(max(abs(value.p).bit_length(), value.q.bit_length()))
        return own, own
    parts = [_growth(a) for a in getattr(value, "args", ())]
    if not parts:
        return 2.0, 2.0
    own = sum(p[0] for p in parts)
    largest = max(p[1] for p in parts)
    if isinstance(value, (Pow, factorial)) and not value.args[-1].free_symbols:
        exponent = 2.0 ** min(parts[-1][0], 1000.0)
        own = exponent * (parts[0][0] if isinstance(value, Pow) else parts[0][0] + 1)
        if isinstance(value, Pow) and isinstance(value.args[1], Rational):
            own = float(abs(value.args[1])) * parts[0][0] if parts[1][0] < 1000 else float("inf")
    return own, max(own, largest)


@lru_cache(maxsize=2048)
def parsed(text: str) -> Any:
    """The expression that a cleaned text is, as sympy; decimals are made fractions and `i` the imaginary unit."""
    from latex2sympy2_extended import NormalizationConfig, latex2sympy
    from sympy import Float as Decimal
    from sympy import I, Rational, Symbol

    text = spelt_out(text)
    # the parser would add two numbers beside each other, skip an unknown sign, and take words for products
    if re.search(r"\d\s+\d|[^\x00-\x7f]|^\s*$|\\text\s*\{[^{}]*[a-zA-Z]{2}", text):
        raise ValueError("two numbers beside each other, an unknown sign, words, or nothing")
    config = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
    )
    found = latex2sympy(text, is_real=True, convert_degrees=False, normalization_config=config)
    if not hasattr(found, "atoms"):
        raise ValueError("not one expression")
    exact = {f: Rational(str(f)) for f in found.atoms(Decimal)}
    units = {s: I for s in found.atoms(Symbol) if s.name == "i"}
    return found.xreplace({**exact, **units}) if exact or units else found


def spelt_out(text: str) -> str:
    """LaTeX in the form that the parser reads: every argument in braces, degrees in radians, no units."""
    text = re.sub(r"\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*([0-9a-zA-Z])\s*(?=[{\\])", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})\s*([0-9a-zA-Z])", r"\1{\2}", text)
    text = re.sub(r"\\sqrt\s*([0-9a-zA-Z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\s*(-\s*\w)", r"^{\1}", text)
    text = re.sub(r"\^\s*(\d\d+)", r"^{\1}", re.sub(r"_\s*(\d)", r"_{\1}", text))
    text = re.sub(r"\\text\s*\{\s*(i|e)\s*\}", r"\1", text)
    text = _braced_calls(text)
    if _TRIGONOMETRY.search(text):
        text = re.sub(r"\{?(\d+(?:\.\d+)?)\}?\s*\^\s*\\circ", r"{\\frac{\1\\pi}{180}}", text)
    return text.strip()


def _braced_calls(text: str) -> str:
    r"""`\sqrt(x)` as `\sqrt{x}`, and `^(...)` as `^{...}`, to the bracket that closes it."""
    for match in reversed([*re.finditer(r"(?:\\sqrt|\^)\s*(?=\()", text)]):
        level = 0
        for i in range(match.end(), len(text)):
            level += (text[i] == "(") - (text[i] == ")")
            if level == 0:
                text = text[: match.end()] + "{" + text[match.end() + 1 : i] + "}" + text[i + 1 :]
                break
    return text


def equal(gold: Any, given: Any) -> bool:
    """Whether two sympy objects are equal: exactly, else by value, else as math-verify finds."""
    from sympy import Expr, MatrixBase, Set

    if isinstance(gold, (Expr, MatrixBase)) and isinstance(given, (Expr, MatrixBase)):
        gold, given = _done(gold), _done(given)
        if isinstance(gold, MatrixBase) or isinstance(given, MatrixBase):
            if not (isinstance(gold, MatrixBase) and isinstance(given, MatrixBase)) or gold.shape != given.shape:
                return False
            return all(equal(a, b) for a, b in zip(gold.flat(), given.flat(), strict=True))
        known = by_value(gold, given)
        return _asked(gold, given) if known is None else known
    if isinstance(gold, Set) and isinstance(given, Set):
        return bool(gold == given or gold.symmetric_difference(given).is_empty)
    return bool(type(gold) is type(given) and gold == given)


def by_value(gold: Any, given: Any) -> bool | None:
    """Compares values, at points where there are free symbols; None where there is none to compare.

    Rational numbers are compared exactly. Others agree if they differ by less than 1e-30 of the larger. Functions are
    compared where both are real; where they never are, as complex ones.
    """
    from sympy import Rational

    if gold == given:
        return True
    symbols = sorted(gold.free_symbols | given.free_symbols, key=str)
    if not symbols:
        if gold.is_Rational and given.is_Rational:
            return False
        return _close(_number(gold), _number(given))
    real: list[bool | None] = []
    other: list[bool | None] = []
    for shift in range(len(_POINTS)):
        at = {s: Rational(*_POINTS[(shift + 3 * i) % len(_POINTS)]) for i, s in enumerate(symbols)}
        values = _number(gold.subs(at)), _number(given.subs(at))
        if values[0] is None or values[1] is None:
            continue
        agree = _close(*values)
        (real if all(v.is_real for v in values) else other).append(agree)
        if agree is False and real and real[-1] is False:
            return False
    votes = real if len(real) >= 2 else real + other
    return all(v is True for v in votes) if votes else None


def _done(value: Any) -> Any:
    """Evaluated where that can be done: unevaluated powers of numbers become numbers."""
    return value.doit()


def _number(value: Any) -> Any:
    """Forty digits of a number, or None where it is none: undefined, infinite, unknown function."""
    value = value.evalf(40, maxn=400)
    return value if value.is_number and value.is_finite else None


def _close(one: Any, other: Any) -> bool | None:
    from sympy import Float as Decimal

    if one is None or other is None:
        return None
    size = max(abs(one), abs(other))
    if size == 0:
        return True
    gap = abs(one - other)
    if size < Decimal("1e-90"):
        return None  # a zero in disguise, or very small: digits do not tell
    return bool(gap <= size * Decimal("1e-30"))


def _asked(gold: Any, given: Any) -> bool:
    """The verdict of math-verify, its argument order kept, its signal-based time-out off."""
    from math_verify import verify

    return bool(verify([gold], [given], strict=True, timeout_seconds=None))


def _equation(reference: tuple[str, str, str], answer: tuple[str, str, str]) -> bool:
    """Whether two relations are one: the difference of the sides of one is a constant multiple of the other's.

    The constant must be positive where the inequality signs are equal and negative where they are turned around.
    """
    turned = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
    if names("".join(answer)) != names("".join(reference)):
        return False
    differences = []
    for side, (left, _, right) in (("reference", reference), ("answer", answer)):
        differences.append(_done(_parse(left, side) - _parse(right, side)))
    ratio = _ratio(*differences)
    if ratio is None or reference[1] not in (answer[1], turned.get(answer[1])):
        return False
    if reference[1] in turned:
        return bool(ratio > 0) if reference[1] == answer[1] else bool(ratio < 0)
    return True


def _ratio(one: Any, other: Any) -> Any:
    """The constant by which one expression is a multiple of the other; None where it is none."""
    from sympy import Rational

    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    found = []
    for shift in range(len(_POINTS)):
        at = {s: Rational(*_POINTS[(shift + 3 * i) % len(_POINTS)]) for i, s in enumerate(symbols)}
        values = _number(one.subs(at)), _number(other.subs(at))
        if values[0] is None or values[1] is None or not all(v.is_real for v in values):
            continue
        if (values[0] == 0) != (values[1] == 0):
            return None
        if values[1] != 0:
            found.append(values[0] / values[1])
    if len(found) < 3 or any(_close(found[0], r) is not True for r in found):
        return None
    return found[0]
