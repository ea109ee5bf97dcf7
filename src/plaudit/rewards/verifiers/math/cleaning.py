"""From how an answer is typeset to what it says: one spelling for each sign, without touching the mathematics.

Signs that are the same sign are made one (full-width and other decimal digits, the typographic minus, vulgar
fractions, superscripts as exponents); letters that only look alike are left, so that a Cyrillic x is no x.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST = 2000
"""Characters of the longest answer that is read; a longer one is the candidate's own flood."""
DEEPEST = 40
"""Brackets within brackets that are read."""

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SIGNS = {
    "\u2212": "-", "\ufe63": "-", "\u00d7": "\\times ", "\u22c5": "\\cdot ", "\u00b7": "\\cdot ",
    "\u00f7": "/", "\u2215": "/", "\u2044": "/", "\u221e": "\\infty ", "\u03c0": "\\pi ", "\u221a": "\\sqrt",
    "\u00b0": "^\\circ ", "\u2264": "\\le ", "\u2265": "\\ge ", "\u2260": "\\ne ", "\u222a": "\\cup ",
    "\u2229": "\\cap ", "\u2208": "\\in ", "\u00b1": "\\pm ", "\u2213": "\\mp ", "\u2205": "\\emptyset ",
    "\u211d": "\\mathbb{R}", "\u03b8": "\\theta ", "\u03b1": "\\alpha ", "\u03b2": "\\beta ", "\u03bb": "\\lambda ",
    "\u27e8": "\\langle ", "\u27e9": "\\rangle ", "\u2026": "\\ldots ", "\u2032": "'", "\u2019": "'", "\u2018": "'",
    "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2007": " ", "\u3000": " ",
}  # fmt: skip
_RUNS = re.compile(
    f"(?P<up>[{''.join(_SUPERSCRIPTS)}]++)|(?P<down>[{''.join(_SUBSCRIPTS)}]++)|(?P<vulgar>[¼-¾⅐-⅞])|(?P<one>[^\x00-\x7f])"
)
_SIZES = re.compile(
    r"\\(?:left|right|middle|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|big|Big|bigg|Bigg|displaystyle|textstyle"
    r"|limits|nolimits|boldsymbol|bm)(?![a-zA-Z])\s*+"
)
_SPACES = re.compile(
    r"(?<!\\)\\[,;: ]|(?<!\\)\\!|~|\\(?:quad|qquad|hspace\{[^{}]*\}|hfill|newline|thinspace|enspace)(?![a-zA-Z])|\s++"
)
_NAMES = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "geq": "ge", "leqslant": "le", "geqslant": "ge",
    "neq": "ne", "lbrace": "{", "rbrace": "}", "lt": "<", "gt": ">", "varnothing": "emptyset", "infin": "infty",
    "mbox": "text", "textbf": "text", "textit": "text", "textrm": "text", "textnormal": "text",
    "mathrm": "text", "mathit": "text", "mathbf": "text", "rm": "text", "bf": "text", "mathsf": "text",
    "hbox": "text", "lor": "text{ or }", "lvert": "|", "rvert": "|", "vert": "|", "lbrack": "[", "rbrack": "]",
    "ast": "cdot", "to": "rightarrow", "dots": "ldots", "cdots": "ldots", "colon": ":", "ge": "ge", "le": "le",
}  # fmt: skip
_DEGREE = re.compile(r"\^\s?\{\s?\\degree\s?\}|(?:\^\s?)?\\degree(?![a-zA-Z])")
_COMMAND = re.compile(r"\\([a-zA-Z]++)")
_MATH = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"), ("**", "**"), ("`", "`"), ("*", "*"), ('"', '"'))
_DIGITS = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_FUNCTIONS = re.compile(
    r"(?<![a-zA-Z\\])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt|infinity|infty|pi)"
    r"(?![a-zA-Z])"
)


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """The answer in one spelling; white space is single blanks.

    Args:
        text: at most `LONGEST` characters; the caller refuses longer ones.
    """
    if _DIGITS.fullmatch(text):  # most answers are: nothing to do
        return text
    text = _RUNS.sub(_sign, text) if not text.isascii() else text
    text = _SPACES.sub(_space, _SIZES.sub("", text)).strip()
    text = _DEGREE.sub(r"^\\circ ", text)
    text = _COMMAND.sub(_command, text).replace("{,}", ",").replace("^{\\circ}", "^\\circ")
    text = _FUNCTIONS.sub(_function, _powers(text))
    return undress(text)


def undress(text: str) -> str:
    """Without the signs around an answer: delimiters, emphasis, quotes, `=` before and the full stop behind."""
    while not (text[:1].isalnum() and text[-1:].isalnum()):
        before = text
        text = text.strip().rstrip(".;:,?").strip() if not text.endswith("\\") else text.strip()
        text = text.lstrip("=\u2234\u21d2\u2192 ")  # what leads to it: `= 42`
        for start, end in _MATH:
            inner = text[len(start) : len(text) - len(end)]
            if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end):
                if start not in inner and not inner.endswith("\\"):
                    text = inner
                break
        if text == before:
            break
    return text


def depth(text: str) -> int:
    """Brackets within brackets, at the deepest place."""
    level = deepest = 0
    for sign in text:
        if sign in "([{":
            level += 1
            deepest = max(deepest, level)
        elif sign in ")]}":
            level -= 1
    return deepest


def words(text: str) -> str:
    r"""The answer as plain text, for comparing words: no mark-up, one case, single blanks.

    `\text{ East.}` and `east` are the same; `x` and `X` are kept apart, because a single letter is a name.
    """
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"[\s~]+", " ", text.replace("\\", "")).strip(" .,;:!?\"'`*$")
    if len(text) == 3 and text[0] == "(" and text[2] == ")":
        text = text[1]
    return text if len(text) == 1 else text.casefold()


def is_words(text: str) -> bool:
    """Whether an answer is words rather than mathematics.

    It is if it is a box of text, or letters and blanks alone (three letters with a vowel at least), or if a word of
    four letters or a name with a capital stands in it that is no command.
    """
    if re.fullmatch(r"\(?\s*\\text\s*\{[^{}]*[a-zA-Z][^{}]*\}\s*\)?", text):
        return True
    bare = _COMMAND.sub(" ", re.sub(r"\\text\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}", " ", text))
    if re.fullmatch(r"[a-zA-Z' -]*[a-zA-Z]{3}[a-zA-Z' -]*", bare.strip()) and re.search("[aeiouAEIOU]", bare):
        return "\\" not in text
    return re.search(r"[a-z]{4}|[A-Z][a-z]{2,}|[A-Z]{5}", bare) is not None


def _sign(match: re.Match[str]) -> str:
    found, run = match.lastgroup, match.group()
    if found == "up":
        return "^{" + "".join(_SUPERSCRIPTS[c] for c in run) + "}"
    if found == "down":
        return "_{" + "".join(_SUBSCRIPTS[c] for c in run) + "}"
    if found == "vulgar":
        top, _, bottom = unicodedata.normalize("NFKC", run).partition("\u2044")
        return f"\\frac{{{top}}}{{{bottom}}}"
    if run in _SIGNS:
        return _SIGNS[run]
    if unicodedata.category(run) == "Nd":
        return str(unicodedata.decimal(run))
    return chr(ord(run) - 0xFEE0) if "\uff01" <= run <= "\uff5e" else run


def _space(match: re.Match[str]) -> str:
    # \! pulls together what stands beside it: 10{,}\!000
    return "" if match.group() == "\\!" else " "


def _command(match: re.Match[str]) -> str:
    name = match.group(1)
    new = _NAMES.get(name)
    if new is None:
        return match.group()
    if new in "<>|[]:":
        return new
    return "\\" + new


def _function(match: re.Match[str]) -> str:
    name = "infty" if match.group(1) == "infinity" else match.group(1)
    return "\\" + name


def _powers(text: str) -> str:
    return text.replace("**", "^") if "**" in text.strip("*") else text
