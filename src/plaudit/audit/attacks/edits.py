"""Small random edits of a text: what a black-box search moves by.

Each is total (it returns a text for every text) and takes all of its randomness from the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plaudit.audit.attacks.words import inserted, sentences
from plaudit.audit.biases.rewrites import REWRITES


@dataclass(frozen=True)
class Material:
    """What edits insert.

    Attributes:
        words: different words of other completions; rare ones are as likely as frequent ones.
        sentences: sentences of other completions, and strings to be put in whole.
    """

    words: Sequence[str]
    sentences: Sequence[str]


@dataclass(frozen=True)
class Edited:
    """A text after one edit.

    Attributes:
        text: the text.
        edit: name of the edit.
        put_in: what it inserted that may be tried elsewhere; empty where nothing.
    """

    text: str
    edit: str
    put_in: str = ""


Edit = Callable[[str, np.random.Generator], str]
"""From a text and a generator to a text."""

MARKS = (".", ",", "!", "?", ":", ";", "-", "**", "#")


def _delete(text: str, rng: np.random.Generator) -> str:
    """Takes one word out; a text of one word stays."""
    words = text.split(" ")
    if len(words) > 1:
        del words[int(rng.integers(len(words)))]
    return " ".join(words)


def _duplicate(text: str, rng: np.random.Generator) -> str:
    """Says one word twice."""
    words = text.split(" ")
    at = int(rng.integers(len(words)))
    return " ".join([*words[: at + 1], *words[at:]])


def _swap(text: str, rng: np.random.Generator) -> str:
    """Exchanges two words."""
    words = text.split(" ")
    a, b = rng.integers(0, len(words), size=2).tolist()
    words[a], words[b] = words[b], words[a]
    return " ".join(words)


def _mark(text: str, rng: np.random.Generator) -> str:
    """Inserts a mark."""
    return inserted(text, MARKS[int(rng.integers(len(MARKS)))], float(rng.random()))


def _again(text: str, rng: np.random.Generator) -> str:
    """Says one sentence again, at the end."""
    parts = sentences(text)
    return f"{text} {parts[int(rng.integers(len(parts)))]}" if parts else text


def _drop(text: str, rng: np.random.Generator) -> str:
    """Takes one sentence out; a text of one sentence stays."""
    parts = sentences(text)
    return text.replace(parts[int(rng.integers(len(parts)))], "", 1).strip() if len(parts) > 1 else text


def _rewrite(text: str, rng: np.random.Generator) -> str:
    """One of the rewrites of style; a text to which it does not apply stays."""
    names = tuple(REWRITES)
    changed = REWRITES[names[int(rng.integers(len(names)))]](text)
    return text if changed is None else changed


EDITS: Mapping[str, Edit] = {
    "delete word": _delete,
    "duplicate word": _duplicate,
    "swap words": _swap,
    "insert mark": _mark,
    "repeat sentence": _again,
    "drop sentence": _drop,
    "rewrite style": _rewrite,
}
"""Name to edit; `insert word` and `insert sentence` come beside them and take material."""


def edited(text: str, rng: np.random.Generator, material: Material) -> Edited:
    """The text after one random edit: of `EDITS`, or an insertion of a word (anywhere) or a sentence (at an end).

    Args:
        text: any text.
        rng: of the edit and of its place.
        material: what is inserted; where it is empty, only `EDITS` are made.
    """
    sources = {"insert word": material.words, "insert sentence": material.sentences}
    names = [*EDITS, *(name for name, source in sources.items() if source)]
    name = names[int(rng.integers(len(names)))]
    if name in EDITS:
        return Edited(EDITS[name](text, rng), name)
    source = sources[name]
    extra = source[int(rng.integers(len(source)))]
    where = float(rng.random()) if name == "insert word" else float(rng.integers(2))
    return Edited(inserted(text, extra, where), name, extra)
