"""What is attacked: a linear reward over words, fitted to pairs of demonstrations of the assistant world.

It is small and it is trained, so that what it falls for it has learned and nobody planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plaudit.lab.worlds.assistant import Knobs, World, label_pairs
from plaudit.lab.worlds.assistant.grammar import demonstration
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.training.frozen import fit_linear

Floats = NDArray[np.float64]
L2 = 1e-3
"""Penalty of the weights: the most accurate of three, on two seeds that are no instance of any experiment."""


@dataclass(frozen=True)
class WordReward:
    """A weight a word of the completion, one for each word that the prompt has too, and one for their number.

    Attributes:
        words: word to its place.
        weight: of each word's count, then of each word that the prompt has too, then of the log number of words.
    """

    words: dict[str, int]
    weight: Floats
    name: str = "words"
    scope: Scope = "sample"
    bounds: tuple[float, float] = (-1000.0, 1000.0)
    memory: dict[tuple[str, str], float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """Of the words and their weights."""
        return content_hash([self.words, self.weight.tolist()])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards; every one is scored."""
        keys = [(" ".join(m.text for m in s.prompt), s.text) for s in samples]
        new = [i for i, key in enumerate(keys) if key not in self.memory]
        if new:
            found = features([samples[i] for i in new], self.words) @ self.weight
            self.memory.update({keys[i]: float(v) for i, v in zip(new, found, strict=True)})
        return RewardBatch(np.array([self.memory[key] for key in keys]))


def features(samples: Sequence[Sample], words: dict[str, int]) -> Floats:
    """What the reward sees of samples, (n, 2 words + 1).

    Args:
        samples: n samples.
        words: word to its place; others are not seen.
    """
    k = len(words)
    table = np.zeros((len(samples), 2 * k + 1))
    for row, sample in zip(table, samples, strict=True):
        said = sample.text.split()
        asked = {w for m in sample.prompt for w in m.text.split()}
        for word in said:
            if word in words:
                row[words[word]] += 1
                row[k + words[word]] += word in asked
        row[2 * k] = np.log1p(len(said))
    return table


def fit_words(pairs: Sequence[Pair], l2: float = L2) -> WordReward:
    """Bradley-Terry on the words of pairs.

    Args:
        pairs: training pairs.
        l2: penalty of the weights.
    """
    samples = [s for p in pairs for s in p.samples()]
    words = {w: i for i, w in enumerate(sorted({w for s in samples for w in s.text.split()}))}
    table = features(samples, words)
    return WordReward(words, fit_linear(table[::2] - table[1::2], l2=l2))


@lru_cache(maxsize=8)
def demonstrated(seed: int, n: int, part: int) -> tuple[Pair, ...]:
    """Pairs of demonstrations with the labels of the instance's annotators.

    Args:
        seed: of the instance.
        n: prompts; two equal texts make no pair.
        part: 0 to train on, on prompts of the training side; others are held out.
    """
    world, rng = World.drawn(seed), np.random.default_rng([seed, 81, part])
    prompts = world.prompts(n, seed=1000 + part, side="test" if part else "train")
    two = [tuple(Sample(p, demonstration(world.request(p), world.habits, rng)) for _ in range(2)) for p in prompts]
    return tuple(label_pairs(world, [(a, b) for a, b in two if a.text != b.text], Knobs(), seed=seed + part))
