r"""The letter or the option that an answer to a multiple-choice question names.

Declared answers come first (`\boxed{}`, `<answer>`, "the answer is", "B is correct"), and if any is found nothing else
counts. Without one, lines count that hold nothing but letters or options. All that a rule finds is kept: several
different ones contradict each other. Only A to Z of ASCII are letters: what merely looks like one is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from plaudit.rewards.verifiers.text.answers import tagged
from plaudit.rewards.verifiers.text.words import normalised_or_literal

Some = TypeVar("Some")

_DECLARED = re.compile(
    r"(?i:\b(?:answer|option|choice)(?:\s{1,4}(?:letter|choice|option))?[\"']?"
    r"\s{0,4}(?:is|(?:would|should|must|has\s{1,4}to)\s{1,4}be|[:=\uff1a])"
    r"(?![\w'\u2019])(?:\s{1,4}(?:also|clearly|definitely|indeed|likely|obviously|probably|simply|then|therefore|thus))?"
    r"|\bI(?:['\u2019]d| would)?\s{1,4}(?:choose|pick|select)\b"
    r"|(?:\u7b54\u6848|\u7b54\u3048)(?:\u662f|\u4e3a|\u306f)?[:\uff1a]?"
    r"|\b(?:antwort|l\u00f6sung)\s{1,4}(?:ist|lautet)\b:?"
    r"|\b(?:respuesta|resposta|risposta|r\u00e9ponse)(?:\s{1,4}[^\W\d_]{4,12})?(?:\s{1,4}(?:es|est|\u00e9|\u00e8)\b|\s{0,4}:)"
    r"|\b\u043e\u0442\u0432\u0435\u0442\s{0,4}[:\u2014-])[\s:]{0,8}"
)
_CORRECT = re.compile(
    r"(?<![\w'\u2019(])\(?([A-Z])\)?\s{1,4}is\s{1,4}(?:the\s{1,4})?(?:correct|right|best)"
    r"(?:\s{1,4}(?:answer|option|choice))?\b(?!\s?\?)"
)
_DENIED = re.compile(
    r"(?i:n['\u2019]t|\b(?:not|never|wrong|incorrect|false|deny|doubt|if|whether|unlikely))"
    r"(?i:\s{1,4}(?:to|say|true|that|the|my|a|correct|final|right|best|think|believe|claim|case))*+\s{0,4}$"
)
_WRAP = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_LETTER = r"(?:\(\s?([A-Za-z])\s?\)|\[\s?([A-Za-z])\s?\]|([A-Za-z])(?!\w|['\u2019]\w))"
_FIRST = re.compile(rf"[\s*_`\"'\u201c$]{{0,8}}(?:(?i:option|choice|answer|letter)\s{{1,4}})?{_LETTER}")
_NEXT = re.compile(
    r"[\s*_`(\u200b.\u2026]{0,4}(?:[,;|/&+]|\s[-\u2013\u2014]\s|(?i:\b(?:and|or|then|maybe|perhaps|possibly)\b))[\s*_`(]{0,4}"
    rf"(?i:(?:(?:and|or|also|then|maybe|perhaps|possibly|even)\s{{1,4}}){{0,3}}){_LETTER}"
)
_ROW = re.compile(r"(?:[ \t]{1,3}[(\[]?[A-Z][)\]]?(?![\w'\u2019]))++[ \t.!*_`}$)\]]*+$", re.MULTILINE)
_HEAD = re.compile(r"[,;(\u2014]|\.(?:\s|$)|\s-\s|\s(?:because|since|as)\s")
_JOINED = frozenset("and or because since as for is with from in".split())
_LETTERS_ONLY = re.compile(
    r"[(\[]?[A-Z][)\]]?(?:(?:\s{0,3}(?:,|/|&|\+|\||;)\s{0,3}|\s{1,3}(?:and|or)\s{1,3}|\s{1,3})[(\[]?[A-Z][)\]]?)*+[.!]?"
)
_LEAD = re.compile(
    r"(?i:(?:(?:so|thus|therefore|hence|then|it['\u2019]s|it\s{1,4}is|my|the|final|answer|option|choice)\b[,:]?\s{1,4}){1,4})"
)
_OPTION = re.compile(r"(?i:(?:option|choice)\s{1,4})(?=[(\[]?[A-Z](?!\w))")
_SMALL = re.compile(r"[(\[]([a-z])[)\]][.!]?")
_ALONE = re.compile(r"([a-z])[.)]?")
_LABELLED = re.compile(r"[(\[]?([A-Z])(?:(?:[)\]][.:]?|[.:])\s{0,4}|\s[-\u2013\u2014]\s)(\S.*)$")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{")
_BRACE = re.compile(r"[{}]")


@dataclass(frozen=True, slots=True)
class Naming:
    """One naming of an option.

    Attributes:
        letter: A to Z.
        rule: what found it: `boxed`, `tag`, `declared`, `line` or `text`.
    """

    letter: str
    rule: str


def namings(text: str, choices: Mapping[str, str]) -> list[Naming]:
    """All that the best rule finds, in order; none where no rule finds anything. Linear in the text.

    Args:
        text: the completion, without its thinking.
        choices: text of each letter; empty where only letters are known.
    """
    texts = {normalised_or_literal(choice): letter for letter, choice in choices.items()}
    declared = [
        *(Naming(letter, "boxed") for inside in _ends(boxed(text)) for letter in _named(inside, texts)),
        *(Naming(letter, "tag") for inside in _ends(tagged(text)) for letter in _named(inside, texts)),
        *(Naming(letter, "declared") for inside in _declarations(text) for letter in _named(inside, texts)),
        *(Naming(m[1], "declared") for m in _ends([*_CORRECT.finditer(text)]) if not _denied(text, m.start())),
    ]
    if declared:
        return declared
    alone = _ALONE.fullmatch(text.strip())
    if alone:
        return [Naming(alone[1].upper(), "line")]
    whole = texts.get(normalised_or_literal(text)) if len(text) < 10_000 else None
    if whole:
        return [Naming(whole, "text")]
    return [Naming(letter, "line") for line in text.splitlines() for letter in _line(line, texts)]


def _ends(found: list[Some]) -> list[Some]:
    """The first and the last two hundred of a flood of declarations."""
    return found if len(found) <= 400 else [*found[:200], *found[-200:]]


def boxed(text: str) -> list[str]:
    r"""What stands inside each outermost `\boxed{}`, braces balanced; an open one holds nothing. Linear in the text."""
    inside, limit = [], 0
    for found in _BOXED.finditer(text):
        if found.start() < limit:
            continue  # inside the one before
        end = _balanced(text, found.end())
        if end < 0:
            break  # the rest is open, and so is every box in it that would reach the end
        inside.append(text[found.end() : end])
        limit = end
    return inside


def _balanced(text: str, start: int) -> int:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.start()
    return -1


def _declarations(text: str) -> Iterator[str]:
    """The rest of the line after each declaration that its sentence does not deny; the next line where that is bare."""
    for found in _ends([*_DECLARED.finditer(text)]):
        if not _denied(text, found.start()):
            following = (x for x in text[found.end() : found.end() + 400].split("\n") if x.strip(" *_`\r\t"))
            yield next(following, "")


def _denied(text: str, start: int) -> bool:
    """Whether the words right before `start` deny or suppose what follows."""
    return _DENIED.search(text[max(0, start - 120) : start]) is not None


def _named(rest: str, texts: Mapping[str, str]) -> list[str]:
    """The letters that the words after a declaration name; a letter beside another option's text names both."""
    rest = _WRAP.sub(r"\1", rest[:2_000])
    first = _FIRST.match(rest)
    if first and not _is_word(first, rest):
        return _series(first, rest, texts)
    named = _option(rest, texts)
    return [named] if named else []


def _series(first: re.Match[str], rest: str, texts: Mapping[str, str]) -> list[str]:
    """The letter of a match, those joined to it by commas and the like, and that of the option's text beside it."""
    found = [_letter(first)]
    end = first.end()
    while more := _NEXT.match(rest, end):
        if _letter(more) in "AI" and _is_word(more, rest):  # "B, a city in the west", "B, and I am sure"
            break
        found.append(_letter(more))
        end = more.end()
    row = _ROW.match(rest, end)
    named = _option(rest[end:].strip(" .):*_`}-]"), texts)
    return [*found, *(re.findall("[A-Z]", row[0]) if row else ()), *([named] if named else ())]


def _option(text: str, texts: Mapping[str, str]) -> str | None:
    """The letter whose text the words are, or begin with up to a comma, a full stop or a reason."""
    for part in (text, _HEAD.split(text, maxsplit=1)[0]):
        letter = texts.get(normalised_or_literal(part)) if part.strip() else None
        if letter:
            return letter
    return None


def _letter(found: re.Match[str]) -> str:
    return next(g for g in found.groups() if g).upper()


def _is_word(found: re.Match[str], rest: str) -> bool:
    """Whether a letter is asked about, or is a word ("a matter of taste", "I think"): lower case, or before a word."""
    after = rest[found.end() :]
    if after.lstrip(" *_`)")[:1] == "?":
        return True
    bare = found.group(3)
    if bare is None:
        return False
    if bare.islower():
        return after.strip(" .*_`\"'$}") != ""
    follows = re.match(r"\s+([^\W\d_]+)", after)
    return bool(follows) and follows is not None and follows[1].islower() and follows[1] not in _JOINED


def _line(line: str, texts: Mapping[str, str]) -> list[str]:
    """The options that a line names which holds nothing else: letters, `B) Paris`, or an option's text."""
    bare = line.strip().strip("*_`#> ")
    small = _SMALL.fullmatch(bare)
    if small:
        return [small[1].upper()]
    lead = _LEAD.match(bare)
    letters = bare[lead.end() :] if lead else bare
    if _LETTERS_ONLY.fullmatch(letters):
        return re.findall(r"[A-Z]", letters)
    bare = _OPTION.sub("", bare)
    labelled = _LABELLED.match(bare)
    if labelled:
        named = _option(labelled[2][:2_000], texts)
        return [labelled[1], named] if named else [] if texts else [labelled[1]]
    named = _option(bare, texts) if len(bare) <= 2_000 else None
    return [named] if named else []
