"""Fifty policies that write letters two by two, prompts with topics of their own, and how good their answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from plaudit.records.rows import Ranked
from plaudit.records.sample import Sample, conversation

LETTERS = "abcdefghijkl"
POLICIES, UNSEEN = 50, 10
"""How many there are, and how many of them pre-training never sees: they write all that is ranked."""
STYLE, TOPIC, GOOD = 0.7, 0.8, 0.5
"""Deviations of the logits by which policies and prompts differ, and what a unit of general quality adds to them."""
GENERAL = 0.5
"""What a deviation of general quality is worth beside one of likeness to the prompt's expert."""


@final
class Writers:
    """Letter-pair language models: a logit for each next letter given the last one, by policy and by prompt.

    Args:
        seed: of the instance.
        length: letters of a completion.
        style: deviation of the logits by which policies differ.
    """

    def __init__(self, seed: int, length: int, style: float) -> None:
        self.seed, self.length, n = seed, length, len(LETTERS)
        rng = np.random.default_rng([seed, 1])
        self.base = rng.normal(size=(n, n))
        self.style = style * rng.normal(size=(POLICIES, n, n))
        self.good = np.where(rng.permutation(n) < n // 2, 1.0, -1.0)

    def policy_samples(
        self, prompts: int, policies: Sequence[int], each: int, part: int
    ) -> tuple[list[Sample], list[str]]:
        """Two completions each of some policies to each prompt, and whose they are.

        Args:
            prompts: how many.
            policies: to draw from.
            each: policies a prompt.
            part: of the random stream.
        """
        rng = np.random.default_rng([self.seed, part])
        whose = np.stack([rng.permutation(np.asarray(policies))[:each] for _ in range(prompts)]).repeat(2, axis=1)
        logits = self._topics(prompts, rng)[:, None] + self.style[whose]
        texts = self._write(_softmax(logits).reshape(-1, *self.base.shape), rng)
        samples = [Sample(conversation(f"prompt {part}-{i // whose.shape[1]}"), t) for i, t in enumerate(texts)]
        return samples, [f"policy {p}" for p in whose.ravel()]

    def rankings(self, n: int, part: int, sharpness: float = np.inf) -> list[Ranked]:
        """Three completions a prompt with scores; each mixes the prompt's expert and another unseen policy.

        The worth is `z(share of the expert) + GENERAL * general quality`, z of deviation 1; the score adds Gumbel noise
        of scale `1 / sharpness`.

        Args:
            n: prompts.
            part: of the random stream.
            sharpness: log-odds a unit of worth.
        """
        rng = np.random.default_rng([self.seed, part])
        unseen = np.arange(POLICIES - UNSEEN, POLICIES)
        expert, other = np.stack([rng.permutation(unseen)[:2] for _ in range(n)]).T
        share, quality = rng.random((n, 3)), rng.normal(size=(n, 3))
        topic = self._topics(n, rng)
        tilt = GOOD * quality[..., None, None] * self.good  # of the next letter
        mine, theirs = (_softmax(topic[:, None] + self.style[p][:, None] + tilt) for p in (expert, other))
        rows = share[..., None, None] * mine + (1 - share[..., None, None]) * theirs
        texts = self._write(rows.reshape(-1, *self.base.shape), rng)
        worth = np.sqrt(12) * (share - 0.5) + GENERAL * quality
        score = worth + rng.gumbel(size=worth.shape) / sharpness
        return [
            Ranked(conversation(f"prompt {part}-{i}"), tuple(texts[3 * i : 3 * i + 3]), tuple(score[i].tolist()))
            for i in range(n)
        ]

    def _topics(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.base + TOPIC * rng.normal(size=(n, *self.base.shape)))

    def _write(self, rows: np.ndarray, rng: np.random.Generator) -> list[str]:
        """A completion of each table of next-letter probabilities, (n, letters, letters)."""
        upto = rows.cumsum(axis=-1)
        at = rng.integers(len(LETTERS), size=len(rows))
        found = [at]
        for coin in rng.random((self.length - 1, len(rows))):
            at = (upto[np.arange(len(rows)), at] < coin[:, None]).sum(axis=1).clip(max=len(LETTERS) - 1)
            found.append(at)
        signs = np.array(list(LETTERS))[np.stack(found, axis=1)]
        return ["".join(row) for row in signs]


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
