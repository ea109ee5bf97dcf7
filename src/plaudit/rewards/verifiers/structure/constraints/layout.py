"""Constraints on what can be seen in a response: placeholders, bullets, highlights, sections, a title, JSON.

Differs from the paper: a constrained response must hold one of its options and no other (there, naming all three
passes); JSON is read strictly, without duplicate keys and `NaN`; a bullet needs something after its asterisk on the
same line. All of it is linear in the text, where IFEval's patterns are quadratic on brackets, spaces and angles.
"""

from __future__ import annotations

import re

from plaudit.rewards.verifiers.structure.json_text import Malformed, read_json

OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""What a constrained response may say."""

_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_BOLD = re.compile(r"\*\*[^\n*]*\*\*")
_FENCED = re.compile(r"\A```(?:json|Json|JSON)?")


def number_of_placeholders(response: str, *, num_placeholders: float) -> bool:
    """It has at least so many placeholders in square brackets, each within a line."""
    return sum(_bracketed(line) for line in response.split("\n")) >= num_placeholders


def _bracketed(line: str) -> int:
    count, at = 0, 0
    while (start := line.find("[", at)) >= 0 and (end := line.find("]", start)) >= 0:
        count, at = count + 1, end + 1
    return count


def has_postscript(response: str, *, postscript_marker: str) -> bool:
    """It has a postscript: its marker somewhere, whatever the case; `P.S.` and `P.P.S` may have spaces inside."""
    marker, text = postscript_marker.strip(), response.lower()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker)
    return re.search(known, text) is not None if known else marker.lower() in text


def number_of_bullets(response: str, *, num_bullets: float) -> bool:
    """It has exactly so many lines that begin with `* ` or `-`."""
    lines = [line.lstrip() for line in response.split("\n")]
    return sum(s.startswith("-") or (s[:1] == "*" and len(s) > 1 and s[1] != "*") for s in lines) == num_bullets


def is_constrained(response: str) -> bool:
    """It says exactly one of the options."""
    return sum(option in response for option in OPTIONS) == 1


def number_of_highlights(response: str, *, num_highlights: float) -> bool:
    """It has at least so many stretches in asterisks, single or double, each within a line and not empty."""
    single = sum(1 for m in _HIGHLIGHT.finditer(response) if m.group().strip("*").strip())
    double = sum(1 for m in _BOLD.finditer(response) if m.group()[2:-2].strip())
    return single + double >= num_highlights


def number_of_sections(response: str, *, section_spliter: str, num_sections: float) -> bool:
    """It has at least so many sections, each begun by the word and a number."""
    begun = re.finditer(rf"{re.escape(section_spliter.strip())}\s?\d+", response)
    return sum(1 for _ in begun) >= num_sections


def is_json(response: str) -> bool:
    """All of it is JSON, perhaps in a fence."""
    text = response.strip()
    inside = _FENCED.sub("", text, count=1).removesuffix("```").strip()
    try:
        read_json(inside)
    except Malformed:
        return False
    return True


def has_title(response: str) -> bool:
    """It has a title in double angular brackets, within a line and not empty."""
    return any(_title(line) for line in response.split("\n"))


def _title(line: str) -> bool:
    start, end = line.find("<<"), line.rfind(">>")
    return start >= 0 and end > start + 2 and bool(line[start:end].lstrip("<").rstrip(">").strip())
