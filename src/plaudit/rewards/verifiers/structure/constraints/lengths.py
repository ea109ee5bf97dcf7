"""Constraints on how long a response is, and how it is cut into paragraphs.

Differs from the paper: IFEval cuts sentences with a model of NLTK's that must be downloaded; here a rule for Unicode
text does it (see `text.words.sentences`), which also ends a sentence at an empty line. A
colon or semicolon ends the first word of a paragraph too.
"""

from __future__ import annotations

import re

from plaudit.rewards.verifiers.structure.constraints.base import compares
from plaudit.rewards.verifiers.text.words import sentences

_WORD = re.compile(r"\w+")
_WORD_END = re.compile(r"[.,?!'\":;]")


def number_of_sentences(response: str, *, num_sentences: float, relation: str) -> bool:
    """It has fewer than, or at least, so many sentences."""
    return compares(len(sentences(response)), relation, num_sentences)


def number_of_words(response: str, *, num_words: float, relation: str) -> bool:
    """It has fewer than, or at least, so many words: runs of letters, digits and underscores (`don't` is two)."""
    return compares(sum(1 for _ in _WORD.finditer(response)), relation, num_words)


def number_of_paragraphs(response: str, *, num_paragraphs: float) -> bool:
    """It has exactly so many paragraphs, separated by `***`; only the first and the last part may be empty."""
    parts = response.split("***")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    return sum(1 for part in parts if part.strip()) == num_paragraphs


def nth_paragraph_first_word(response: str, *, num_paragraphs: float, nth_paragraph: float, first_word: str) -> bool:
    """It has exactly so many paragraphs, separated by empty lines, and the n-th begins with a word.

    Quotes before the word and what follows a punctuation mark in it do not count, nor does case.
    """
    parts = response.split("\n\n")
    count = sum(1 for part in parts if part.strip())
    if count != num_paragraphs or nth_paragraph > count:
        return False
    words = parts[int(nth_paragraph) - 1].split(maxsplit=1)
    if not words:
        return False
    word = _WORD_END.split(words[0].lstrip("'").lstrip('"'), maxsplit=1)[0]
    return word.lower() == first_word.strip().lower()
