"""Whether a passage says what a claim says, by its words: in the same order, with the same numbers and negations.

Order tells "France beat Brazil" from "Brazil beat France", which a bag of words does not. It is a cautious test: a
claim in other words is not found to be supported. For that, name an entailment model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from plaudit.rewards.verifiers.text.words import content_words, sentences

_NUMBER = re.compile(r"\d")


def common_in_order(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits: one pass over `second` with integers of `len(first)` bits.

    Source: Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    ones = (1 << len(first)) - 1
    row = ones
    for word in second:
        matching = places.get(word)
        if matching:
            kept = row & matching
            row = ((row + kept) | (row - kept)) & ones
    return len(first) - row.bit_count()


def support(claim: Sequence[str], passage: Sequence[str]) -> float:
    """Share of a claim's content words that a passage has in the same order, less the share that it has in another.

    `s = max(0, LCS - moved) / |claim|`, where moved counts the claim's words that the passage holds and the common
    subsequence does not; 0 where a number of the claim is missing, or the one denies and the other does not.

    Args:
        claim: content words, as `content_words` gives them.
        passage: content words.

    Returns:
        A value in [0, 1]; 0 for a claim without content words.
    """
    if not claim:
        return 0.0
    held = Counter(passage)
    if any(_NUMBER.search(w) and w not in held for w in claim) or ("not" in claim) != (
        "not" in _aligned(claim, passage)
    ):
        return 0.0
    ordered = common_in_order(claim, passage)
    moved = sum((Counter(claim) & held).values()) - ordered
    return max(0, ordered - moved) / len(claim)


def _aligned(claim: Sequence[str], passage: Sequence[str]) -> Sequence[str]:
    """The stretch of the passage between the first and the last word that the claim shares, negations apart."""
    words = set(claim) - {"not"}
    at = [i for i, w in enumerate(passage) if w in words]
    return passage[max(0, at[0] - 1) : at[-1] + 2] if at else ()


def windows(text: str) -> list[list[str]]:
    """The content words of each sentence of a text, and of each two in a row."""
    each = [w for w in map(content_words, sentences(text)) if w]
    return [*each, *([*a, *b] for a, b in pairwise(each))]


def together(claim: Sequence[str], passage: Sequence[str]) -> float:
    """Share of the claim's neighbouring words that are neighbours in the passage too; 1 for a claim of one word.

    A bag of keywords has the words of many claims, in the order of some of them, but not side by side.
    """
    pairs = list(pairwise(claim))
    held = set(pairwise(passage))
    return sum(pair in held for pair in pairs) / len(pairs) if pairs else 1.0


def best_support(
    claim: Sequence[str], passages: Sequence[Sequence[str]], *, enough: float = 1.0, neighbours: float = 0.0
) -> float:
    """The largest support by any passage: adding passages never lowers it.

    Args:
        claim: content words.
        passages: content words of each.
        enough: the search stops at the first passage that supports so much.
        neighbours: passages count that keep at least this share of the claim's neighbouring words `together`.

    Returns:
        A value in [0, 1]; 0 without passages.
    """
    best, words = 0.0, set(claim)
    for passage in passages:
        if len(words.intersection(passage)) < best * len(words):
            continue  # the share of words bounds the share in order
        found = support(claim, passage)
        if found > best and together(claim, passage) >= neighbours:
            best = found
        if best >= enough:
            break
    return best


def contradicts(claim: Sequence[str], passage: Sequence[str], *, enough: float = 0.8) -> bool:
    """Whether a passage says a claim's words, but denies what it does not (or the reverse), or with other numbers.

    Args:
        claim: content words.
        passage: content words.
        enough: share of the claim's words, numbers and negations apart, that the passage must have in order.
    """
    bare = [w for w in claim if w != "not" and not _NUMBER.search(w)]
    if not bare or len(set(bare) - set(passage)) > (1.0 - enough) * len(bare):
        return False
    if common_in_order(bare, passage) < enough * len(bare):
        return False
    numbers, others = {w for w in claim if _NUMBER.search(w)}, {w for w in passage if _NUMBER.search(w)}
    return ("not" in claim) != ("not" in _aligned(claim, passage)) or bool(others and numbers and not numbers & others)
