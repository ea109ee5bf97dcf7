"""Simulated feedback: annotators who see six attributes with noise and speak of those that strike them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from plaudit.curation.principles import ExtractedPrinciple, Verdict

ATTRIBUTES = ("accuracy", "clarity", "brevity", "warmth", "structure", "examples")
ANNOTATORS = ("ann", "ben", "cem")
NAMED = 3
"""Attributes that an annotator speaks of."""
PHRASINGS = 8
"""Ways to put an attribute; the last is not used in training."""
EMBEDDING = 24
NOISE = 0.8
"""Deviation of what an annotator sees of an attribute; attributes have deviation 1 and are met above 0."""
MISNAMED = 0.1
"""Share of extracted principles that name another attribute than the annotator spoke of."""
INVENTED = 0.05
"""Share whose evidence is not in the feedback."""
UNSURE = 0.2
"""Nearer to 0 than this the verdict is "partially"."""


@dataclass(frozen=True)
class Items:
    """Completions and what people think of them.

    Attributes:
        strength: (n, 6), an attribute is met where it is above 0.
        seen: (n, annotators, 6), as each annotator sees it.
        features: (n, d), what a model sees.
    """

    strength: np.ndarray
    seen: np.ndarray
    features: np.ndarray


@final
class People:
    """Draws completions and the feedback on them.

    Args:
        seed: of the instance.
        features: numbers that a model sees of a completion.
    """

    def __init__(self, seed: int, features: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        self.mixing = rng.normal(size=(len(ATTRIBUTES), features)) / np.sqrt(len(ATTRIBUTES))
        self.weight = rng.lognormal(0, 0.5, len(ATTRIBUTES))
        center = rng.normal(size=(len(ATTRIBUTES), 1, EMBEDDING))
        # phrasings of one attribute have cosines around 0.85, some below 0.8
        off = rng.uniform(0.2, 0.6, (len(ATTRIBUTES), PHRASINGS, 1)) * rng.normal(
            size=(len(ATTRIBUTES), PHRASINGS, EMBEDDING)
        )
        found = center + off
        self.phrasing = found / np.linalg.norm(found, axis=2, keepdims=True)

    def items(self, n: int, part: int) -> Items:
        """Draws n completions; `part` is of the random stream."""
        rng = np.random.default_rng([self.seed, part])
        strength = rng.normal(size=(n, len(ATTRIBUTES)))
        seen = strength[:, None] + NOISE * rng.normal(size=(n, len(ANNOTATORS), len(ATTRIBUTES)))
        features = np.tanh(strength @ self.mixing) + 0.2 * rng.normal(size=(n, self.mixing.shape[1]))
        return Items(strength, seen, features)

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """Embedding of each phrasing."""
        return {phrase(i, j): self.phrasing[i, j] for i in range(len(ATTRIBUTES)) for j in range(PHRASINGS)}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of principles, (n, d)."""
        return np.array([self.vectors[t] for t in texts])

    def feedback(self, items: Items, salience: float) -> list[list[ExtractedPrinciple]]:
        """What a model extracted from the feedback on each completion.

        Args:
            items: the completions.
            salience: by how much an attribute is rather named the more pronounced the annotator sees it; 0 names
                attributes at random, by annotators who are never unsure: then that an attribute is named says nothing
                of its verdict.
        """
        rng = np.random.default_rng([self.seed, 3])
        strikes = salience * np.abs(items.seen) + rng.gumbel(size=items.seen.shape)
        named = np.argsort(-strikes, axis=2)[:, :, :NAMED]
        unsure = UNSURE if salience else 0.0
        return [
            [e for a in range(len(ANNOTATORS)) for e in _extracted(a, items.seen[i, a], named[i, a], unsure, rng)]
            for i in range(len(items.strength))
        ]


def phrase(attribute: int, way: int) -> str:
    """A principle in words."""
    return f"{ATTRIBUTES[attribute]} {way}"


def _extracted(
    annotator: int, seen: np.ndarray, named: np.ndarray, unsure: float, rng: np.random.Generator
) -> list[ExtractedPrinciple]:
    """One annotator's feedback on one completion, as a model that sometimes errs reads it."""
    said = [f"its {ATTRIBUTES[k]} is {'good' if seen[k] > 0 else 'poor'} (remark {rng.integers(10**6)})" for k in named]
    feedback = "I find that " + ", and ".join(said) + "."
    found = []
    for k, span in zip(named, said, strict=True):
        attribute = int(rng.integers(len(ATTRIBUTES))) if rng.random() < MISNAMED else int(k)
        evidence = "".join(map(chr, rng.integers(65, 91, 30))) if rng.random() < INVENTED else span
        verdict: Verdict = "partially" if abs(seen[k]) < unsure else "yes" if seen[k] > 0 else "no"
        words = phrase(attribute, int(rng.integers(PHRASINGS - 1)))
        found.append(ExtractedPrinciple(words, verdict, evidence, ANNOTATORS[annotator], feedback))
    overall: Verdict = "yes" if seen.sum() > 0 else "no"
    return [*found, ExtractedPrinciple("helpfulness", overall, feedback, ANNOTATORS[annotator], feedback)]
