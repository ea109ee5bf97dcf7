"""Constraints on the words of a response: keywords, letters, how it begins and ends, what it repeats.

Differs from the paper: IFEval searches keywords as regular expressions, so that `C++` raises and `a.b` matches `axb`;
here they are texts. Everything else about them is the same: case does not count, and a keyword may stand inside a word
(a forbidden word may not: it must stand alone to be found).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from plaudit.rewards.verifiers.structure.constraints.base import compares


def has_keywords(response: str, *, keywords: Sequence[str]) -> bool:
    """Every keyword occurs."""
    return all(occurrences(response, keyword) for keyword in keywords)


def keyword_frequency(response: str, *, keyword: str, frequency: float, relation: str) -> bool:
    """A keyword occurs less often than, or at least, so many times."""
    return compares(occurrences(response, keyword.strip()), relation, frequency)


def occurrences(response: str, keyword: str) -> int:
    """How often a text occurs, without overlaps and whatever the case."""
    return sum(1 for _ in re.finditer(re.escape(keyword), response, re.IGNORECASE))


def lacks_words(response: str, *, forbidden_words: Sequence[str]) -> bool:
    """No forbidden word stands alone in it: with no letter, digit or underscore beside it."""
    return not any(
        re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", response, re.IGNORECASE) for word in forbidden_words
    )


def letter_frequency(response: str, *, letter: str, let_frequency: float, let_relation: str) -> bool:
    """A letter, in either case, occurs less often than, or at least, so many times."""
    return compares(response.lower().count(letter.strip().lower()), let_relation, let_frequency)


def ends_with(response: str, *, end_phrase: str) -> bool:
    """It ends in a phrase, whatever the case; a closing double quote may follow."""
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def is_quoted(response: str) -> bool:
    """All of it stands in one pair of double quotes."""
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def repeats_prompt(response: str, *, prompt_to_repeat: str) -> bool:
    """It begins with the request, word for word and whatever the case."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


def gives_two(response: str) -> bool:
    """Two different responses, separated by six asterisks; nothing empty between two separators."""
    parts = response.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    shown = [part.strip() for part in parts if part.strip()]
    return len(shown) == 2 and shown[0] != shown[1]
