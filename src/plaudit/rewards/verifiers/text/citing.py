"""Claims and what they cite: sentences with their citation marks, `[1]`, `[2, 3]`, `[smith-2020]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from plaudit.errors import InputError
from plaudit.rewards.verifiers.text.words import blank, sentences

_BRACKET = re.compile(r"\[([^\[\]\n]{1,120})\]")
_AFTER_STOP = re.compile(
    r"([.!?\u2026\u3002]['\"\u201d\u2019)]{0,2})[ \t]{0,4}((?:\[[^\[\]\n]{1,120}\][ \t]{0,2}){1,50})"
)
_MARK = re.compile(r"\^?[\w.:#/-]{1,80}")


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer.

    Attributes:
        text: the sentence without its citation marks.
        cited: what it cites, each once, in order.
    """

    text: str
    cited: tuple[str, ...]


def sources(reference: Any) -> dict[str, str]:
    """The texts that may be cited, by the mark that cites them.

    Args:
        reference: a list of texts (cited from 1 on), a mapping of mark to text, or either under `sources`; a text may
            be an object with `text` and perhaps `title`.

    Raises:
        InputError: if it is none of these, or a text is empty.
    """
    given = reference.get("sources", reference) if isinstance(reference, Mapping) else reference
    if isinstance(given, list | tuple):
        given = {str(i): text for i, text in enumerate(given, start=1)}
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"reference is {reference!r:.80}; give the sources: a list of texts, or mark to text")
    found = {}
    for mark, entry in given.items():
        parts = [entry.get("title", ""), entry.get("text", "")] if isinstance(entry, Mapping) else [entry]
        if not all(isinstance(p, str) for p in parts) or blank("".join(parts)):
            raise InputError(f"reference has the source {mark!r}: {entry!r:.60}; give a text that is not empty")
        found[str(mark).strip()] = "\n\n".join(p for p in parts if p)
    return found


def claims(text: str, known: Collection[str]) -> list[Claim]:
    """The sentences of an answer with what they cite; marks after a full stop belong to the sentence before.

    Args:
        text: the answer.
        known: the marks that cite a source. A bracket that holds none of them and is no single word is prose.
    """
    moved = _AFTER_STOP.sub(lambda m: f" {m[2]}{m[1]} ", text)
    found = []
    for sentence in sentences(moved):
        cited = dict.fromkeys(mark for m in _BRACKET.finditer(sentence) for mark in _marks(m[1], known))
        bare = _BRACKET.sub(lambda m: "" if _marks(m[1], known) else m[0], sentence)
        found.append(Claim(" ".join(bare.split()), tuple(cited)))
    return found


def _marks(inside: str, known: Collection[str]) -> list[str]:
    if inside.strip() in known:
        return [inside.strip()]
    parts = [part.strip().lstrip("^") for part in re.split("[,;]", inside)]
    return parts if all(part in known or _MARK.fullmatch(part) for part in parts) else []
