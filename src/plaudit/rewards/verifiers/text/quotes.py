"""Quotations found verbatim: how much of an answer, or of what it puts in quotation marks, stands in a corpus.

Differs from the paper: an n-gram that an answer repeats counts as found once (in the paper a passage said twenty times
over scores as high as said once); white space and typographic quotes and dashes are levelled; n, the filter's density
and the rate of false positives are the index's, and stated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import after_thinking
from plaudit.rewards.verifiers.text.corpus_index import CorpusIndex, build_index, open_index
from plaudit.rewards.verifiers.text.ngrams import Hashes, ngram_hashes, plain
from plaudit.rewards.verifiers.text.words import blank, clip

Known = Callable[[Hashes], NDArray[np.bool_]]

_PAIRS = {'"': '"', "\u201c": "\u201d", "\u201e": "\u201d\u201c", "\u00ab": "\u00bb", "\u300c": "\u300d"}
_MARK = re.compile('["\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d]')
_PASSAGE = (
    "The harbour froze in the second week of January, and for eleven days no boat could leave the island. "
    "The keeper wrote in his log that the silence was worse than any storm he had known."
)


def quip(hashes: Hashes, known: Known) -> float:
    """Quoted information precision: the share of an answer's n-grams that the corpus holds.

    `QUIP = |{distinct n-grams of y in C}| / |n-grams of y|`: what is repeated counts once above and each time below.

    Args:
        hashes: of the answer's n-grams, (m,).
        known: says which n-grams the corpus holds.

    Returns:
        A value in [0, 1]; 0 where there is no n-gram.

    Source: Zhang et al. 2024, "Verifiable by Design" (Quote-Tuning), QUIP-Score.
    """
    if hashes.size == 0:
        return 0.0
    return float(known(np.unique(hashes)).sum() / hashes.size)


def quotations(text: str) -> list[str]:
    """What stands between quotation marks within a paragraph, and blocks of lines that begin with `>`; in order."""
    found, block = [], []
    for paragraph in text.split("\n"):
        if paragraph.lstrip().startswith(">"):
            block.append(paragraph.lstrip().lstrip("> "))
            continue
        found += [" ".join(block)] if block else []
        block = []
        found += _marked(paragraph)
    return [q for q in (plain(q) for q in [*found, " ".join(block)]) if q]


def _marked(paragraph: str) -> list[str]:
    inside, start, closing = [], -1, ""
    for mark in _MARK.finditer(paragraph):
        if start >= 0 and mark.group() in closing:
            inside.append(paragraph[start : mark.start()])
            start = -1
        elif start < 0 and mark.group() in _PAIRS:
            start, closing = mark.end(), _PAIRS[mark.group()]
    return inside


@lru_cache(maxsize=32)
def _held(texts: tuple[str, ...], n: int) -> Hashes:
    """The n-grams of a row's own corpus, sorted; the completions of one prompt share it."""
    return np.unique(np.concatenate([ngram_hashes(plain(t), n) for t in texts]))


@dataclass(frozen=True)
class QuotesVerifier(Verifier):
    """The share of an answer's n-grams, or of its quotations, that stand verbatim in the corpus.

    The corpus is the index, where one is named; else the reference: a text or a list of texts. A quotation shorter than
    an n-gram says nothing and is not counted. In an index a quotation counts as found when all its n-grams are.
    """

    kind: ClassVar[str] = "verify/quotes"

    index: str = ""
    """An index made by `build_index`; empty where each row's reference is its corpus."""
    corpus: str = ""
    """A text file or a folder of them; the index is made from it where it is not there yet."""
    n: int = 25
    """Characters of an n-gram; an index that is there keeps its own."""
    score: str = "quip"
    """quip: share of all n-grams; spans: share of the quotations."""

    def __post_init__(self) -> None:
        if self.score not in ("quip", "spans"):
            raise InputError(f"{self.kind}: score is {self.score!r}; give quip or spans")
        if not 2 <= self.n <= 1000:
            raise InputError(f"{self.kind}: n is {self.n}; give 2 to 1000 characters")
        if self.corpus and not self.index:
            raise InputError(f"{self.kind}: corpus is given and index is not; name the file to keep the index in")
        if self.index and not Path(self.index).exists():
            if not self.corpus:
                raise MissingError(f"{self.kind}: {self.index} is not there; name the corpus to make it from")
            build_index(self.corpus, self.index, n=self.n)

    def options(self) -> dict[str, Any]:
        """The options, with the index's checksum in place of its path: rewards depend on what it holds."""
        found = super().options()
        if self.index:
            found |= {"index": open_index(self.index).digest, "corpus": ""}
        return found

    def verdict(self, sample: Sample) -> Verdict:
        """Hashes the answer's n-grams and looks them up."""
        n, known = self._corpus(sample.reference)
        text = after_thinking(sample.text)
        if blank(text):
            return Verdict.fault("empty answer")
        hashes = ngram_hashes(plain(text), n)
        if hashes.size == 0:
            return Verdict.fault(f"shorter than {n} characters", characters=len(plain(text)))
        spans = list(dict.fromkeys(q for q in quotations(text) if len(q) >= n))
        found = [bool(known(ngram_hashes(q, n)).all()) for q in spans]
        share = quip(hashes, known)
        aspects = {"quip": share, **({"spans": sum(found) / len(found)} if found else {})}
        shown = [{"text": clip(q, 80), "found": f} for q, f in zip(spans[:20], found, strict=False)]
        detail = {"ngrams": int(hashes.size), "n": n, "quip": share, "quotations": len(spans), "spans": shown}
        if self.score == "quip":
            return Verdict.scored(share, aspects=aspects, **detail)
        if not found:
            return Verdict.fault(f"no quotation of {n} characters", **detail)
        return Verdict.scored(aspects["spans"], aspects=aspects, **detail)

    def _corpus(self, reference: Any) -> tuple[int, Known]:
        if self.index:
            opened: CorpusIndex = open_index(self.index)
            return opened.n, opened.contains
        texts = [reference] if isinstance(reference, str) else reference
        whole = isinstance(texts, list | tuple) and all(isinstance(t, str) for t in texts)
        if not whole or not any(len(plain(t)) >= self.n for t in texts):
            raise InputError(
                f"reference is {reference!r:.80}; give a text of at least {self.n} characters, or a list of texts "
                f"(or name an index)"
            )
        held = _held(tuple(texts), self.n)
        return self.n, lambda hashes: np.isin(hashes, held)

    def honest(self) -> Sequence[Sample]:
        """A passage of the corpus, whole; in quotation marks where quotations are scored."""
        passage, reference = (open_index(self.index).passage, None) if self.index else (_PASSAGE, _PASSAGE)
        text = passage.replace('"', "'") if self.score == "quip" else f"It says: \u201c{passage}\u201d"
        return (case("What does the source say?", passage if self.score == "quip" else text, reference),)

    def twins(self) -> Sequence[Twin]:
        """Invented quotations, look-alikes, shuffled words, and a passage said over and over."""
        passage, reference = (open_index(self.index).passage, None) if self.index else (_PASSAGE, _PASSAGE)
        words = passage.split()
        attacks: dict[str, tuple[str, float]] = {
            "invented quotation": ("\u201cNobody has ever written down these particular words, zyx.\u201d", 0.05),
            "look-alike letters": (passage.translate(str.maketrans("aeo", "\u0430\u0435\u043e")), 0.5),
            "keyword stuffing": (" ".join(sorted(words, reverse=True)), 0.5),
            "contradiction": (f"\u201c{' '.join(reversed(words))}\u201d", 0.5),
            "every candidate listed": (f"\u201c{' zzz '.join(words)}\u201d", 0.5),
        }
        if self.score == "quip":
            attacks["over-long answer"] = ((passage + " ") * 50, 0.1)
        return tuple(Twin(name, case("What does the source say?", text, reference), most)
                     for name, (text, most) in attacks.items())  # fmt: skip
