"""The language of a text, and constraints on it and on its case.

Differs from the paper: IFEval asks `langdetect`, which gives other answers from run to run unless it is seeded, and
counts a text without any letter as being in every language. Here `py3langid` decides, which is deterministic, and such
a text is in none. Its model comes with it: nothing is downloaded.
"""

from __future__ import annotations

import re

from plaudit.rewards.languages import known_language, language_code, language_of
from plaudit.rewards.verifiers.structure.constraints.base import Argument, compares

COMMAS = ",\u060c\u3001\uff0c\ufe10\ufe50\u2e41\u201a\u055d\u1363"
"""The commas of all scripts, and the low quotation mark that looks like one."""

_CAPITAL = re.compile(r"[^\W_]+(?:[-.'\u2019][^\W_]+)*")

LANGUAGE = Argument(known_language, "an ISO 639-1 code of a language that can be told apart")


def in_language(response: str, *, language: str) -> bool:
    """It is in a language."""
    return language_of(response) == language_code(language)


def is_english_capital(response: str) -> bool:
    """It is in English, and every letter is a capital."""
    return response.isupper() and language_of(response) == "en"


def is_english_lowercase(response: str) -> bool:
    """It is in English, and no letter is a capital."""
    return response.islower() and language_of(response) == "en"


def capital_words(response: str, *, capital_frequency: float, capital_relation: str) -> bool:
    """It has fewer than, or at least, so many words all in capitals; one with a hyphen is one word."""
    return compares(
        sum(1 for m in _CAPITAL.finditer(response) if m.group().isupper()), capital_relation, capital_frequency
    )


def has_no_comma(response: str) -> bool:
    """It has no comma, of any script."""
    return not any(c in response for c in COMMAS)
