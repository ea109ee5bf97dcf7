"""Convex augmentation of preference pairs: the outermost of some light rewordings of each chosen completion [17].

A reward that is right on a completion and wrong on the same with a word moved has learnt the wording. Rewordings are
made of each chosen completion, embedded, and brought to two principal components; those on the convex hull, which say
the most different things of one text, become further pairs with the same rejected completion.

Differs from the paper: rewordings are made without a thesaurus (a word left out, said twice, or exchanged with its
neighbour), unless a function of the user's makes them; the completion itself takes part in the hull, so that a
rewording is kept only where it lies outside what is there already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, completion_text
from plaudit.training.objectives.pairs.convex import hull_vertices

Embed = Callable[[Sequence[Sample]], Any]
"""From n samples to their embeddings, (n, d)."""


def light_rewordings(text: str, *, n: int = 5, share: float = 0.05, seed: int = 0) -> list[str]:
    """Different texts that differ from one in at most a share of its words, one at least; fewer where there are none.

    Each change, which counts as one word's, leaves a word out, says it twice, or exchanges it with the next one, drawn
    alike. White space between words is kept.

    Args:
        text: of two words or more; shorter ones have no rewording.
        n: how many are wanted, at least 1.
        share: of the words that may change, in (0, 1].
        seed: of the changes.

    Raises:
        InputError: if n or the share is out of range.

    Source: "ConvexDA" of the Contrast Instructions paper [17]: five augmentations, at most 5% of the words.
    """
    if n < 1 or not 0 < share <= 1:
        raise InputError(f"light_rewordings: n is {n} and share {share}; give at least 1, and a share in (0, 1]")
    words, between = _words(text)
    rng = np.random.default_rng(int(hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()[:12], 16))
    found: dict[str, None] = {}
    for _ in range(20 * n if len(words) > 1 else 0):
        changed, gaps = list(words), list(between)
        for _ in range(max(1, int(share * len(words)))):
            _change(changed, gaps, rng)
        new = "".join(part for pair in zip(gaps, [*changed, ""], strict=True) for part in pair)
        if new != text:
            found.setdefault(new)
        if len(found) == n:
            break
    return list(found)


def convex_pairs(
    pairs: Sequence[Pair], embed: Embed, *, n: int = 5, share: float = 0.05, seed: int = 0,
    reword: Callable[[str], Sequence[str]] | None = None,
) -> list[Pair]:  # fmt: skip
    """The pairs, and behind each one those of its rewordings that lie on the convex hull of their embeddings.

    Args:
        pairs: whose chosen completion is text; others have no rewordings.
        embed: for example `lambda s: last_states(reward, s)` of a reward model.
        n: rewordings of each.
        share: of the words that may change, see `light_rewordings`.
        seed: of the changes.
        reword: makes the rewordings in place of `light_rewordings`, for example with a language model.

    Returns:
        Rewordings carry `meta["reworded"] = True`, and neither margin nor scores, which were given to another text.
        What is to hold of a light rewording as of the text (that it is preferred, how probably, and its aspects) stays.

    Raises:
        InputError: as `light_rewordings`.
        ShapeError: if there is not an embedding for each sample.

    Source: "ConvexDA" of the Contrast Instructions paper [17].
    """
    texts = [_rewordings(p, n, share, seed, reword) for p in pairs]
    samples = [replace(p.samples()[0], completion=t) for p, found in zip(pairs, texts, strict=True) for t in found]
    table = np.zeros((0, 1)) if not samples else np.asarray(embed(samples), dtype=np.float64)
    if table.ndim != 2 or len(table) != len(samples):
        raise ShapeError(f"convex_pairs: embeddings have shape {table.shape} for {len(samples)} samples; give (n, d)")
    found, first = [], 0
    for pair, own in zip(pairs, texts, strict=True):
        found.append(pair)
        found += [
            replace(
                pair, chosen=own[i], margin=None, chosen_score=None, rejected_score=None,
                meta={**pair.meta, "reworded": True},
            )
            for i in _outermost(table[first : first + len(own)])
        ]  # fmt: skip
        first += len(own)
    return found


def _rewordings(
    pair: Pair, n: int, share: float, seed: int, reword: Callable[[str], Sequence[str]] | None
) -> list[str]:
    """The chosen text and its rewordings; nothing where it has none."""
    if not isinstance(pair.chosen, str):
        return []
    text = completion_text(pair.chosen)
    made = light_rewordings(text, n=n, share=share, seed=seed) if reword is None else list(reword(text))[:n]
    made = [t for t in dict.fromkeys(made) if t not in (text, pair.rejected)]
    return [text, *made] if made else []


def _outermost(table: NDArray[np.float64]) -> list[int]:
    """Vertices of the hull but the first row, which is the completion itself."""
    return [] if len(table) < 2 else [i for i in hull_vertices(torch.from_numpy(table)).tolist() if i]


def _words(text: str) -> tuple[list[str], list[str]]:
    """Words, and what stands before, between and behind them."""
    words = text.split()
    between, rest = [], text
    for word in words:
        before, _, rest = rest.partition(word)
        between.append(before)
    return words, [*between, rest]


def _change(words: list[str], between: list[str], rng: np.random.Generator) -> None:
    """One change in place."""
    i = int(rng.integers(len(words)))
    kind = int(rng.integers(3))
    if kind == 0 and len(words) > 1:
        del words[i], between[i if i else 1]
    elif kind == 1:
        words.insert(i, words[i])
        between.insert(i + 1, " ")
    elif len(words) > 1:
        i = min(i, len(words) - 2)
        words[i], words[i + 1] = words[i + 1], words[i]
