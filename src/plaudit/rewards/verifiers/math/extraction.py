"""Where in a completion the answer stands, by which rule, and what else it declares as its answer.

Every rule reads a text once, from front to back, so that a flood of braces or tags costs no more than its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from plaudit.errors import InputError, nearest
from plaudit.rewards.verifiers.math.cleaning import clean
from plaudit.rewards.verifiers.math.plain import read_plain
from plaudit.rewards.verifiers.text.answers import after_thinking

TAIL = 4000
"""Characters at the end in which the last expression is looked for."""
CUT = 2001
"""Characters of an answer that are kept: one more than is read, so that a longer one is seen to be too long."""

_BOX = re.compile(r"\\f?box(?:ed)?\s*+(?:\{|(\d++))|\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*+([^\s#][^\n]*+)")
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_SAID = r"[ \t*]*+\n{0,2}+[ \t]*+(?=[^\n])"
_PHRASES = {
    # what is searched for, as a search for a fixed text is many times faster than one for a pattern: how far before it
    # the pattern begins, and the pattern
    "nswer": (1, re.compile(r"(?<![/\w])[aA]nswer[ \t*]*+(?:is|=|:)[ \t]*+:?" + _SAID)),
    "NSWER": (1, re.compile(r"(?<![/\w])ANSWER[ \t*]*+(?:IS|=|:)[ \t]*+:?" + _SAID)),
    "A:": (0, re.compile(r"A:" + _SAID)),
    "A :": (0, re.compile(r"A :" + _SAID)),
}
_INDENT = 12
"""Signs of white space and emphasis that may stand before an `A:` on its line."""
_GLUED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that set no blank beside a number: kana, Han, Hangul."""
_TENS = "\u4e07\u842c\u5104\u4ebf\u5343\u767e\u5341"
"""Han numerals that multiply the digits before them."""
_NUMBER = r"(?:-[ ]?)?(?:\\?[$€£])?-?(?:\d+(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?:-[ ]?)?(?:\\?[$€£])?\.\d+"
_EXPRESSION = re.compile(
    rf"(?<![^\W{_GLUED}])(?<![.,^)}}])(?:{_NUMBER})(?:[ ]?/[ ]?\d+)?(?:[ ]?\\?%)?(?![^\W{_GLUED}]|[{{^_${_TENS}])"
    r"(?![ ]?[-+*=^\\][^\n$]{0,200}\$)"
    r"|\$\$[^$]{1,600}\$\$|\$[^$\n]{1,400}\$|\\\((?:[^\\\n]|\\[^()]){1,400}\\\)|\\\[(?:[^\\]|\\[^\[\]]){1,600}\\\]"
    rf"|-?\\[dt]?frac\{{[^{{}}]{{1,60}}\}}\{{[^{{}}]{{1,60}}\}}|(?<![\w.,])(?:{_NUMBER})(?![\d.]*[{_TENS}])"
)
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_FOREIGN = re.compile(rf"[{_GLUED}]|(?:(?![a-zA-Z\u0370-\u03ff])[^\W\d_]){{3}}")
"""Words of other scripts; two letters may be look-alikes of variables, and Greek ones are."""
_OTHER_ORS = frozenset(
    "oder ou oppure atau veya eller lub \u0438\u043b\u0438 \u043b\u0438\u0431\u043e \u6216 \u6216\u8005 \u8fd8\u662f "
    "\u307e\u305f\u306f \u304b \ub610\ub294 \ud639\uc740 \u0623\u0648".split()
)
_REJECTS = re.compile(r"[^\w\n]{0,3}(?:and|but)?\s{0,3}not\W{0,4}", re.IGNORECASE)
_DASH = re.compile(r"(?<![\w)}\]])\u2013(?=\\?[\d.$])")
_JOINS = {"or", "and"}
_HEDGES = frozenset(
    "or and maybe perhaps possibly probably alternatively either else otherwise also not actually no wait rather "
    "instead".split()
)
_FILLERS = frozenset("it could can might may be is then the answer of sorry hmm".split())
_DENIALS = frozenset(
    "not never neither less more than least most between either about approximately around maybe perhaps one possibly "
    "probably unknown wrong incorrect".split()
)
_DENIED = frozenset("not never isn't isnt wasn't wrong incorrect except cannot can't unlike".split())
_WORDS = re.compile(r"[a-zA-Z']+")
_DOLLARS = re.compile(r"\$([^$]+)\$$")
_OPTION = re.compile(r"(?i)\b(?:option|guess|candidate|attempt|possibility|possible answer)s?+ ?[#\dA-Z]")
_HEADING = re.compile(r"\s*#{1,6} [^\d]*$")
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")
_BULLET = re.compile(r"^(?:[-*•>]\s++)+")
_EMPTY = re.compile(r"\\f?box(?:ed)?\s*+\{\s*+\}|</?[a-zA-Z]{1,20}>|#++|```+")
"""Forms without a content: they are no answer."""
_SENTENCE = re.compile(r"(?<=[^\d\s])[.!?]\s|(?<=\d)\.\s")


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a completion declares as its answer.

    Attributes:
        text: the answer that counts, as it was written.
        by: the rule that found it.
        others: different answers that the same rule found before, first to last.
        asides: plain numbers that other rules found, which must not differ from it.
    """

    text: str
    by: str
    others: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()


def extract(text: str, rules: Sequence[str]) -> Extracted | None:
    """The answer of the first rule that finds one; None where none does.

    Only what follows the last `</think>` counts, if there is one; nothing where a `<think>` stays open. A typographic
    minus is made a plain one.

    Args:
        text: the completion.
        rules: names from `RULES`, in the order in which they are tried.
    """
    text = after_thinking(text).replace("\u2212", "-")
    if "<<" in text:
        text = _CALCULATOR.sub("", text)
    if "\u2013" in text:
        text = _DASH.sub("-", text)
    for i, rule in enumerate(rules):
        found = list(dict.fromkeys(a for a in RULES[rule](text) if a.strip()))
        if found:
            later = [r for r in rules[i + 1 :] if r != "last"] if rule != "last" else []
            asides = dict.fromkeys(a for r in later for a in RULES[r](text) if _is_plain(a))
            return Extracted(found[-1], rule, tuple(found[:-1]), tuple(asides))
    return None


@lru_cache(maxsize=64)
def parse_rules(kind: str, listed: str) -> tuple[str, ...]:
    """The rules of a comma-separated option.

    Raises:
        InputError: if one is unknown or named twice, or there is none.
    """
    rules = tuple(r.strip() for r in listed.split(",") if r.strip())
    for rule in rules:
        if rule not in RULES:
            raise InputError(f"{kind}: extract names {rule!r}; {nearest(rule, RULES)}")
    if not rules or len(set(rules)) < len(rules):
        raise InputError(f"{kind}: extract is {listed!r}; give each rule once, at least one of {', '.join(RULES)}")
    return rules


def boxed(text: str) -> list[str]:
    r"""Contents of `\boxed{...}` and `\fbox{...}` with balanced braces; of nested boxes the inner one."""
    if "box" not in text:
        return []
    found: list[str] = []
    stack: list[int] = []
    inner = 0
    for match in _BOX.finditer(text):
        token = match.group()
        if match[1]:
            found.append(match[1])
        elif token == "{":
            stack.append(-1)
        elif token == "}":
            start = stack.pop() if stack else -1
            if start >= inner:
                found.append(text[start : min(match.start(), start + CUT)].strip())
                inner = match.end()
        elif token[:2] in ("\\b", "\\f") and token.endswith("{"):
            stack.append(match.end())
    return found


def hashes(text: str) -> list[str]:
    """What follows `####` on its line: with a digit, or at the end of the text, so that headings do not count."""
    found: list[str] = []
    for match in _HASHES.finditer(text) if "####" in text else ():
        said = match[1][:CUT].strip()
        ends = not text[match.end() : match.end() + 200].strip()
        if ends or (re.search(r"\d", said) and not is_prose(said)):
            found += _refined(said, last=False)
    return found


def phrase(text: str) -> list[str]:
    """What follows each `the answer is`, `Answer:` or, at the start of a line, `A:`, up to the end of its sentence."""
    openings = sorted(_openings(text), key=re.Match.start)
    parts: dict[str, None] = {}
    for match, following in zip_longest(openings, openings[1:]):
        stop = following.start() if following is not None else len(text)
        line, more, _ = text[match.end() : min(stop, match.end() + CUT)].partition("\n")
        said = line.strip()
        if said[:2] not in ("\\[", "\\(", "$$"):
            said = _SENTENCE.split(said, maxsplit=1)[0]
        cut = stop <= match.end() + len(line) and not more and said == line.strip() and stop < len(text)
        if not cut or re.search(r"\d", said):  # cut: the next one stands in the same sentence
            parts[said.rstrip("* \t").rstrip(".").rstrip("*")] = None
    return [answer for part in parts for answer in _refined(part, last=False)]


def _openings(text: str) -> Iterator[re.Match[str]]:
    for mark, (before, pattern) in _PHRASES.items():
        at = text.find(mark)
        while at >= 0:
            match = pattern.match(text, max(at - before, 0)) if before or _opens_line(text, at) else None
            if match is not None:
                yield match
            at = text.find(mark, match.end() if match is not None else at + 1)


def _opens_line(text: str, at: int) -> bool:
    near = text[max(at - _INDENT, 0) : at]
    line = near.rpartition("\n")[2]
    return (len(near) < _INDENT or "\n" in near) and not line.strip(" \t>*")


def tag(text: str) -> list[str]:
    """What stands between `<answer>` and `</answer>`."""
    found: list[str] = []
    start = -1
    for match in _TAG.finditer(text) if "<" in text else ():
        if not match[1]:
            start = match.end()
        elif start >= 0:
            found += _refined(text[start : min(match.start(), start + CUT)].strip(), last=True)
            start = -1
    return found


def last(text: str) -> list[str]:
    """The last line if it is an expression, else the last expression in the text.

    Expressions that are only strung together (`17 or 18`, `17, maybe 18`, one a line) are one answer: their list.
    """
    if len(text) > TAIL:
        text = text[-TAIL:].partition(" ")[2] or text[-TAIL:]
    if len(_OPTION.findall(text)) > 1:  # an enumeration of candidates
        return []
    lines = [
        line
        for raw in text.splitlines()
        if not _HEADING.match(raw) and (line := _BULLET.sub("", _EMPTY.sub("", raw).strip()))
    ]
    if not lines:
        return []
    bare: list[str] = []
    for line in reversed(lines):
        if is_prose(line) or (bare and "=" in line):
            break
        bare.append(line)
        if "=" in line:
            break
    if bare:
        return [" or ".join(dict.fromkeys(reversed(bare)))] if len(bare) > 1 else bare
    return _last_group(lines[-1]) or _last_group(text)


RULES: dict[str, Callable[[str], list[str]]] = {
    "boxed": boxed, "hashes": hashes, "phrase": phrase, "tag": tag, "last": last,
}  # fmt: skip
"""The rules, in their usual order; each gives all answers that it finds, first to last."""


def is_prose(text: str) -> bool:
    """Whether a text is a sentence that may hold an answer, rather than an answer."""
    if text.isdigit():
        return False
    if len(text) > 400:
        return True
    if read_plain(clean(text)) is not None:
        return False
    if re.fullmatch(r"\$[^$]+\$\.?|\\\[.+\\\]\.?|\\\(.+\\\)\.?", text):
        return False
    bare = re.sub(r"\\(?:text|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}", " ", text)
    said = [w for w in _WORD.findall(bare) if w.lower() not in _JOINS]
    if _FOREIGN.search(bare):
        return True
    if re.search(r"[\d=^\\$]", text):
        return any(len(w) > 2 or w.lower() in ("is", "so", "we", "it", "to", "of") for w in said)
    return len(said) > 2


def _refined(text: str, *, last: bool) -> list[str]:
    """The answer within what a rule found: a box, the whole if it is no sentence, else an expression in it."""
    inner = boxed(text)
    if inner:
        return inner
    if not is_prose(text):
        return [text] if text.strip(" .*:_`$") else []
    if last:
        return _last_group(text)
    matches = list(_EXPRESSION.finditer(text[:CUT]))
    if not matches or _DENIALS & set(_WORD.findall(text[: matches[0].start()].lower())):
        return []
    end = 0
    while end + 1 < len(matches) and _strings(text[matches[end].end() : matches[end + 1].start()]):
        end += 1
    return [_joined(matches[: end + 1])]


def _last_group(text: str) -> list[str]:
    matches = list(_EXPRESSION.finditer(text))
    if not matches:
        return []
    start = len(matches) - 1
    while start > 0 and _strings(text[matches[start - 1].end() : matches[start].start()]):
        start -= 1
    before = text[max(matches[start].start() - 80, 0) : matches[start].start()]
    after = text[matches[-1].end() : matches[-1].end() + 80]
    if re.match(r"\W{0,3}(?:or|maybe|perhaps)\b", after, re.IGNORECASE):
        return []
    near = [*_WORDS.findall(_SENTENCE.split(before)[-1])[-3:], *_WORDS.findall(_SENTENCE.split(after)[0])[:4]]
    return [] if _DENIED & {w.lower() for w in near} else [_joined(matches[start:])]


def _joined(matches: Sequence[re.Match[str]]) -> str:
    each = dict.fromkeys(m.group().strip() for m in matches)
    return " or ".join(each) if len(each) == 1 else " or ".join(_DOLLARS.sub(r"\1", one) for one in each)


def _strings(gap: str) -> bool:
    """Whether what stands between two expressions only strings them together."""
    if re.fullmatch(r"[\s,;.|•]*+(?:(?<=\n)[*-]\s*+|(?<=\n[ \t])[*-]\s*+)?", gap):
        return True
    if _REJECTS.fullmatch(gap):  # `42, not 41`
        return False
    if gap.strip(" ,;\u3001\uff0c") in _OTHER_ORS:
        return True
    said = _WORD.findall(gap.lower())
    return len(gap) < 80 and bool(_HEDGES & set(said)) and set(said) <= (_HEDGES | _FILLERS)


def _is_plain(text: str) -> bool:
    return len(text) < CUT and read_plain(clean(text)) is not None
