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
    return _drawn(own, corpus_rewards, *_nearest(embeddings, corpus, neighbours, threshold))


def _nearest(
    embeddings: Float[np.ndarray, "q d"], corpus: Float[np.ndarray, "c d"], neighbours: int, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row its nearest in the corpus, and their cosines; 0 for those that are not near enough."""
    alike = _unit(embeddings) @ _unit(corpus).T
    k = min(neighbours, len(corpus))
    nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
    cosine = np.take_along_axis(alike, nearest, axis=1)
    return nearest, np.where(cosine >= threshold, cosine, 0.0)


def _drawn(own: np.ndarray, others: np.ndarray, nearest: np.ndarray, share: np.ndarray) -> Floats:
    found = np.asarray(others, dtype=np.float64)[nearest]
    theirs = np.where(share > 0, share * found, 0.0)  # what is not near says nothing, also where it has no number
    return np.asarray((own + theirs.sum(axis=1)) / (1 + share.sum(axis=1)))


@final
class FusedReward:
    """A reward whose values are drawn towards those of near completions that people preferred.

    Near is what asks and says nearly the same: a sample's embedding is its prompt's beside its completion's, both of
    length 1, so that a cosine is the mean of the two's. Members are drawn like the reward; so are deviations, which is
    the most that theirs can be. Aspects, steps and tokens are the reward's own.

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
        self._known: tuple[RewardBatch, Floats] | None = None

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
        options = [self.neighbours, self.threshold]
        return content_hash(["shape/fused", 2, self.reward.fingerprint, data, self.embedder.fingerprint, *options])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """The reward's batch with smoothed values; what does not count stays as it is, the detail keeps the own reward.

        Faults keep the floor: a completion near good ones is no excuse for having none of its own.
        """
        batch = self.reward(samples)
        if not samples:
            return batch
        known, corpus = self._corpus()
        nearest, share = _nearest(self._embedded(samples), corpus, self.neighbours, self.threshold)
        scored = batch.outcome == Outcome.SCORED

        def drawn(own: Floats, theirs: Floats) -> Floats:
            return np.where(scored, _drawn(own, theirs, nearest, share), own)

        def column(own: Floats | None, theirs: Floats | None) -> Floats | None:
            return None if own is None or theirs is None else drawn(own, theirs)

        members = None
        if batch.members is not None and known.members is not None:
            members = np.stack([drawn(a, b) for a, b in zip(batch.members.T, known.members.T, strict=True)], axis=1)
        rows = zip(batch.detail, batch.reward, scored, strict=True)
        return replace(
            batch, reward=drawn(batch.reward, known.reward), members=members, std=column(batch.std, known.std),
            noise=column(batch.noise, known.noise),
            detail=tuple({**d, "own": float(r)} if ok else d for d, r, ok in rows),
        )  # fmt: skip

    def _corpus(self) -> tuple[RewardBatch, Floats]:
        """What the reward says of the chosen completions that count, and their embeddings."""
        if self._known is None:
            chosen = [row.samples()[0] for row in read(self.corpus).rows if isinstance(row, Pair)]
            if not chosen:
                raise InputError(f"shape/fused: {self.corpus} holds no pairs; give those that the reward learned from")
            batch = self.reward(chosen)
            if not batch.valid.any():
                raise InputError(f"shape/fused: {self.reward.name} scored none of the completions of {self.corpus}")
            kept = [s for s, ok in zip(chosen, batch.valid, strict=True) if ok]
            self._known = batch.take(batch.valid), self._embedded(kept)
        return self._known

    def _embedded(self, samples: Sequence[Sample]) -> Floats:
        prompts = ["\n".join(m.text for m in s.prompt) for s in samples]
        asked = {text: self.embedder(text).mean for text in dict.fromkeys(prompts)}
        sides = ([asked[text] for text in prompts], [self.embedder(s.text).mean for s in samples])
        return np.concatenate([_unit(np.array(side, np.float64).reshape(len(samples), -1)) for side in sides], axis=1)


def _check(neighbours: int, threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise InputError(f"fused_rewards: threshold is {threshold}; it must lie in (0, 1]")
    if neighbours < 1:
        raise InputError(f"fused_rewards: neighbours is {neighbours}; it must be at least 1")


def _unit(vectors: np.ndarray) -> Floats:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, 1.0), dtype=np.float64)
