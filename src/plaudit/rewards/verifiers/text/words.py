"""Words, sentences and the normalisation that answers are compared in, on Unicode and not on ASCII.

Differs from the paper: SQuAD's normalisation deletes ASCII punctuation wherever it stands, so that `1.5` equals `15`,
`-5` equals `5` and `3/5` equals `35`. Here a sign or a point before a digit, and what separates two digits, are kept
(thousands separators are not); `numbers=False` gives the published function. Punctuation of other scripts goes too,
and text is brought to the composed form (NFC) first; letters that merely look alike stay different.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

STOP_WORDS = frozenset(
    "a about after all also an and any are as at be been being but by can could did do does for from had has have he "
    "her hers him his how i if in into is it its may me might more most my of on one or our ours shall she should so "
    "some such than that the their theirs them then there these they this those through to under up us was we were "
    "what when where which while who whom whose why will with would you your yours".split()
)
"""English words that carry no claim of their own. Negations are not among them: they turn a claim round."""

NEGATIONS = frozenset("no not never none nor neither without cannot nobody nothing nowhere hardly scarcely".split())
"""English words that deny."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_ENDS = re.compile(r"[.!?\u2026\u061f\u0964\u3002\uff01\uff1f]+")
_FULL_WIDTH_ENDS = "\u3002\uff01\uff1f"
_CLOSERS = "\"'\u201d\u2019)]}\u00bb\u300d\u300f\u3011*_"
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc e.g i.e cf al no fig vol dept approx inc ltd co corp gen col rev hon "
    "jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m".split()
)


def blank(text: str) -> bool:
    """Whether a text shows nothing: white space, control and format characters, lone surrogates only."""
    return not any(not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in text)


def clip(text: str, most: int = 200) -> str:
    """A text for a detail: at most that many characters, without lone surrogates."""
    short = text if len(text) <= most else text[: most - 1] + "\u2026"
    return short.encode("utf-8", "replace").decode("utf-8")


def normalise(text: str, *, articles: bool = True, numbers: bool = True) -> str:
    """Lower case, without punctuation and articles, with single spaces.

    Args:
        text: any text.
        articles: whether the English articles go.
        numbers: whether signs, points and separators inside numbers stay; False is SQuAD's own rule for ASCII text.

    Returns:
        The normalised text; empty where nothing else stood there.

    Source: Rajpurkar et al. 2016, "SQuAD", the official evaluation's `normalize_answer`.
    """
    lowered = unicodedata.normalize("NFC", text).lower()
    if numbers:
        lowered = lowered.translate(_DASHES)
    bare = _punctuation(numbers).sub("", lowered)
    return " ".join((_ARTICLES.sub(" ", bare) if articles else bare).split())


def normalised_or_literal(text: str, *, articles: bool = True, numbers: bool = True) -> str:
    """As `normalise`; a text of which that leaves nothing (`A`, `the`, `?`) stands for itself in lower case."""
    found = normalise(text, articles=articles, numbers=numbers)
    return found or " ".join(unicodedata.normalize("NFC", text).lower().split())


@cache
def _punctuation(numbers: bool) -> Any:
    import regex

    mark = r"[\p{P}" + re.escape(string.punctuation) + "]"
    if not numbers:
        return regex.compile(mark)
    thousands = r"(?<=\d),(?=\d{3}(?!\d))"
    kept = r"(?<=\d).(?=\d)|(?<!\w)[-.](?=\.?\d)"
    return regex.compile(f"{thousands}|(?!{kept}){mark}")


def token_f1(prediction: Sequence[str], gold: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of a bag of tokens.

    `F1 = 2 p r / (p + r)` with `p = shared / len(prediction)`, `r = shared / len(gold)`, shared with multiplicity.

    Args:
        prediction: tokens of the answer.
        gold: tokens of the reference.

    Returns:
        A value in [0, 1]; 0 where either is empty (SQuAD 2.0 gives 1 where both are: there, no answer is an answer).

    Source: Rajpurkar et al. 2016, "SQuAD".
    """
    shared = sum((Counter(prediction) & Counter(gold)).values())
    return 2.0 * shared / (len(prediction) + len(gold)) if shared else 0.0


def words(text: str) -> list[str]:
    """Runs of letters, digits and inner apostrophes, as they stand."""
    return _WORD.findall(text)


def content_words(text: str) -> list[str]:
    """The words that carry a claim, in order and normalised: no stop words; every English negation becomes `not`.

    Scripts that write no spaces give a word a character.
    """
    found = _unspaced().findall(normalise(text, articles=False))
    return ["not" if w in NEGATIONS or w in _CONTRACTED else w for w in found if w not in STOP_WORDS]


# without their apostrophe, which normalisation takes
_CONTRACTED = frozenset(
    w + "nt" for w in "is are was were do does did has have had ca wo could should would must need ai might".split()
)


@cache
def _unspaced() -> Any:
    import regex

    scripts = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    return regex.compile(rf"[{scripts}]|[^\s{scripts}]+")


def sentences(text: str) -> list[str]:
    """Sentences, stripped, without empty ones.

    One ends at a run of end marks that white space or the text's end follows (marks of full width need neither), after
    closing quotes and brackets, and at an empty line; not after an initial, a known English abbreviation, or a
    list number at the line's start. Linear in the text.
    """
    cuts = [0]
    for found in _ENDS.finditer(text):
        end = found.end()
        while end < len(text) and text[end] in _CLOSERS:
            end += 1
        wide = found.group()[-1] in _FULL_WIDTH_ENDS
        if not wide and end < len(text) and not text[end].isspace():
            continue
        if found.group() == "." and _abbreviates(text, found.start()):
            continue
        cuts.append(max(end, cuts[-1]))
    pieces = (text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True))
    return [s for piece in pieces for s in _paragraphs(piece) if not blank(s) and any(c.isalnum() for c in s)]


def _paragraphs(piece: str) -> Iterable[str]:
    """Parts between empty lines, stripped."""
    part: list[str] = []
    for line in piece.split("\n"):
        if line.strip():
            part.append(line)
        elif part:
            yield "\n".join(part).strip()
            part = []
    if part:
        yield "\n".join(part).strip()


def _abbreviates(text: str, dot: int) -> bool:
    """Whether the full stop at `dot` belongs to an abbreviation, an initial or a list number."""
    before = text[max(0, dot - 12) : dot]
    line = before.rpartition("\n")[2]
    last = (line.split() or [""])[-1].lstrip("(\"'\u201c\u2018[")
    if last.isdigit() and line.strip() == last and dot - len(line) == max(0, text.rfind("\n", 0, dot) + 1):
        return True
    return (len(last) == 1 and last.isalpha() and last.isupper() and last != "I") or last.lower() in _ABBREVIATIONS
