"""A reward smoothed over the nearest completions that were preferred in training [17].

Differs from the paper: a neighbour weighs its cosine, the completion itself 1; the entry leaves the weights open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, ShapeError
from plaudit.records.reading import read
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Floats, Outcome, Reward, RewardBatch, Scope
from plaudit.rewards.rules.embedding import open_embedder


def fused_rewards(
    rewards: Float[np.ndarray, " q"],
    embeddings: Float[np.ndarray, "q d"],
    *,
    corpus_rewards: Float[np.ndarray, " c"],
    corpus: Float[np.ndarray, "c d"],
    neighbours: int = 5,
    threshold: float = 0.9,
) -> Floats:
    """`(r + sum_i cos_i r_i) / (1 + sum_i cos_i)` over the nearest chosen completions of the training data.

    Args:
        rewards: of the completions to be smoothed; NaN stays NaN.
        embeddings: of the same; one of length zero is near nobody.
        corpus_rewards: rewards of the training data's chosen completions, by the same model, all finite.
        corpus: embeddings of the same.
        neighbours: at most so many of the nearest, at least 1.
        threshold: a neighbour's cosine is at least this, in (0, 1].

    Returns:
        The smoothed rewards; unchanged where no completion is near enough.

    Raises:
        ShapeError: if rewards and embeddings do not belong together.
        InputError: if a hyper-parameter is outside its range, or a corpus reward is not finite.

    Source: "RewardFusion" of the Contrast Instructions paper [17].
    """
    for name, r, e in (("rewards", rewards, embeddings), ("corpus_rewards", corpus_rewards, corpus)):
        if len(r) != len(e):
            raise ShapeError(f"fused_rewards: {len(r)} {name} and {len(e)} embeddings; they must be as many")
    _check(neighbours, threshold)
    if not np.isfinite(corpus_rewards).all():
        raise InputError("fused_rewards: a reward of the corpus is not finite; leave such completions out of it")
    own = np.asarray(rewards, dtype=np.float64)
    if not len(corpus) or not len(own):
        return own.copy()
    alike = _unit(embeddings) @ _unit(corpus).T
    k = min(neighbours, len(corpus))
    nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    cosine = np.take_along_axis(alike, nearest, axis=1)
    share = np.where(cosine >= threshold, cosine, 0.0)
    others = np.asarray(corpus_rewards, dtype=np.float64)[nearest]
    return np.asarray((own + (share * others).sum(axis=1)) / (1 + share.sum(axis=1)))


@final
class FusedReward:
    """A reward whose values are drawn towards those of near completions that people preferred.

    Args:
        of: a reward, or a reference to one.
        corpus: file of preference pairs; their chosen completions are scored once, at first use.
        model: what embeds texts: empty for spelling, else an encoder's folder or hub id.
        neighbours: see `fused_rewards`.
        threshold: see `fused_rewards`.

    Raises:
        InputError: if the reward must be scored in groups, or a hyper-parameter is outside its range; at first use, if
            the corpus holds no pair that the reward can score.
    """

    scope: Scope = "sample"

    def __init__(
        self, of: Reward | str | Mapping[str, Any], corpus: str | Path, model: str = "", neighbours: int = 5,
        threshold: float = 0.9,
    ) -> None:  # fmt: skip
        from plaudit.rewards.registry import load

        self.reward: Reward = load(of) if isinstance(of, str | Mapping) else of
        if self.reward.scope != "sample":
            raise InputError(
                f"shape/fused: {self.reward.name} is scored by the {self.reward.scope}; fuse one that is by the sample"
            )
        _check(neighbours, threshold)
        self.corpus, self.neighbours, self.threshold = Path(corpus), neighbours, threshold
        self.embedder = open_embedder(model, contextual=True)
        self._known: tuple[Floats, Floats] | None = None

    @property
    def name(self) -> str:
        """The reward's, marked."""
        return f"fused({self.reward.name})"

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the reward: a weighted mean stays within them."""
        return self.reward.bounds

    @property
    def fingerprint(self) -> str:
        """Of the reward, the corpus' content, the embedder and the options."""
        data = read(self.corpus).data_hash
        return content_hash(
            ["shape/fused", self.reward.fingerprint, data, self.embedder.fingerprint, self.neighbours, self.threshold]
        )

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """The reward's batch with smoothed values; what does not count stays as it is, the detail keeps the own reward.

        Faults keep the floor: a completion near good ones is no excuse for having none of its own.
        """
        batch = self.reward(samples)
        values, corpus = self._corpus()
        smoothed = fused_rewards(
            batch.reward, self._embedded(samples), corpus_rewards=values, corpus=corpus, neighbours=self.neighbours,
            threshold=self.threshold,
        )  # fmt: skip
        scored = batch.outcome == Outcome.SCORED
        rows = zip(batch.detail, batch.reward, scored, strict=True)
        detail = tuple({**d, "own": float(r)} if ok else d for d, r, ok in rows)
        return replace(batch, reward=np.where(scored, smoothed, batch.reward), detail=detail)

    def _corpus(self) -> tuple[Floats, Floats]:
        """Rewards and embeddings of the chosen completions that count."""
        if self._known is None:
            chosen = [row.samples()[0] for row in read(self.corpus).rows if isinstance(row, Pair)]
            if not chosen:
                raise InputError(f"shape/fused: {self.corpus} holds no pairs; give those that the reward learned from")
            batch = self.reward(chosen)
            if not batch.valid.any():
                raise InputError(f"shape/fused: {self.reward.name} scored none of the completions of {self.corpus}")
            kept = [s for s, ok in zip(chosen, batch.valid, strict=True) if ok]
            self._known = batch.reward[batch.valid], self._embedded(kept)
        return self._known

    def _embedded(self, samples: Sequence[Sample]) -> Floats:
        return np.array([self.embedder(s.text).mean for s in samples], dtype=np.float64).reshape(len(samples), -1)


def _check(neighbours: int, threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise InputError(f"fused_rewards: threshold is {threshold}; it must lie in (0, 1]")
    if neighbours < 1:
        raise InputError(f"fused_rewards: neighbours is {neighbours}; it must be at least 1")


def _unit(vectors: np.ndarray) -> Floats:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, 1.0), dtype=np.float64)
