"""A gate before a reward: samples whose activations are unlike the training data's abstain, or count for less [215].

A candidate can bring about strange activations. Where a policy is optimised, `abstain` leaves such samples out of its
baseline and lets it hide there; `shrink` does not, and is the safer choice in training. `none` only reports.

Differs from the paper: which abstains. Shrinking goes from above towards the mean over the training completions, and
never up: a factor on rewards of either sign would make -4 a -1, and pay a bad completion for being strange. Shrinking
towards the floor would let a number that is arbitrary (10 deviations below the mean) decide what strangeness costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch

from plaudit.errors import InputError, MissingError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Outcome, RewardBatch, Scope
from plaudit.rewards.models import ModelReward, batch_of
from plaudit.rewards.uncertainty.features import check_linear, head_scores, leaf_features
from plaudit.rewards.uncertainty.files import open_base, read_arrays, read_pairs, write_arrays
from plaudit.rewards.uncertainty.pairing import compared
from plaudit.rewards.uncertainty.patterns import Patterns, patterns_of

FILE = "patterns.safetensors"
Action = Literal["abstain", "shrink", "none"]
ACTIONS = ("abstain", "shrink", "none")


@final
class PatternGate:
    """A reward model that knows what its training completions look like from inside.

    The aspect `violated` is the share of the pattern that a sample breaks. Above `most`, `abstain` gives no reward, and
    `shrink` multiplies a reward above 0, the mean over the training completions, by `most / violated`, with its
    deviations and members; a reward at or below 0 stays as it is. So nothing is worth more for being strange, and of
    two samples that are as strange the better one stays the better.

    Args:
        reward: the model.
        patterns: mined from its training pairs, see `fit_patterns`.
        most: share of the pattern that may be broken.
        action: `abstain`, `shrink` or `none`.

    Raises:
        InputError: if `most` is outside [0, 1] or the action is not known.
    """

    scope: Scope = "sample"

    def __init__(
        self, reward: ModelReward, patterns: Patterns, *, most: float = 0.1, action: Action = "abstain"
    ) -> None:
        check_linear(reward)
        if not 0 <= most <= 1:
            raise InputError(f"gate/patterns: most is {most}; it is a share, 0 to 1")
        if action not in ACTIONS:
            raise InputError(f"gate/patterns: action is {action!r}; give one of {', '.join(ACTIONS)}")
        self.reward, self.patterns, self.most, self.action, self.name = reward, patterns, most, action, reward.name

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the model."""
        return self.reward.bounds

    @property
    def fingerprint(self) -> str:
        """Hash of the model, its patterns and the gate."""
        p = self.patterns
        said = [p.edges.tolist(), p.signs.tolist(), self.most, self.action]
        return content_hash(["gate/patterns", self.reward.fingerprint, *said])

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Scores samples; what the gate did stands in their detail."""
        if not samples:
            return RewardBatch(np.zeros(0))
        states = leaf_features(self.reward, samples)
        readout = self.reward.head.read(head_scores(self.reward, states))
        score = readout.score
        share = self.patterns.violated(_active(states), score)
        said = replace(readout, aspects={**readout.aspects, "violated": share})
        detail = [{"violated": float(v)} for v in share]
        return self._gated(batch_of(score, self.reward.manifest, detail, readout=said), share)

    def _gated(self, batch: RewardBatch, share: np.ndarray[tuple[int], np.dtype[np.float64]]) -> RewardBatch:
        strange = batch.valid & (share > self.most)
        if self.action == "none" or not strange.any():
            return batch
        if self.action == "abstain":
            kept = np.where(strange, np.nan, 1.0)
            outcome = np.where(strange, Outcome.ABSTAINED, batch.outcome)
        else:
            kept = np.divide(self.most, share, out=np.ones_like(share), where=strange & (batch.reward > 0))
            outcome = batch.outcome
        return replace(
            batch,
            reward=batch.reward * kept,
            outcome=outcome,
            std=None if batch.std is None else batch.std * kept,
            noise=None if batch.noise is None else batch.noise * kept,
            members=None if batch.members is None else batch.members * kept[:, None],
        )

    def save(self, folder: str | Path) -> None:
        """Writes the patterns beside the weights, with the model's fingerprint."""
        p = self.patterns
        said = {"model": self.reward.fingerprint, "delta": repr(p.delta)}
        write_arrays(Path(folder) / FILE, {"edges": p.edges, "signs": p.signs}, said)


def fit_patterns(
    reward: ModelReward, rows: Sequence[Pair | Ranked], *, buckets: int = 5, delta: float = 0.99,
    most: float = 0.1, action: Action = "abstain",
) -> PatternGate:  # fmt: skip
    """A gate whose patterns are those of the completions of training pairs that the model ranks as they are labelled.

    Args:
        reward: a fitted model with a linear head.
        rows: its training pairs.
        buckets: quantiles of the score, each with a pattern of its own.
        delta: share of a bucket's samples that a constrained neuron must agree for.
        most: see `PatternGate`.
        action: see `PatternGate`.

    Raises:
        InputError: if no pair is ranked as it is labelled, or an option is outside its range.
        UnsupportedError: if the model's head is not a linear one at the last token.
    """
    check_linear(reward)
    samples, better, worse = compared(rows)
    states = leaf_features(reward, samples)
    score = reward.head.read(head_scores(reward, states)).score
    right = score[better] > score[worse]
    used = np.unique(np.concatenate([better[right], worse[right]]))
    if not used.size:
        raise InputError(f"{reward.name}: ranks none of {len(better)} pairs as they are labelled; are these its pairs?")
    patterns = patterns_of(_active(states)[used], score[used], buckets=buckets, delta=delta)
    return PatternGate(reward, patterns, most=most, action=action)


def open_gate(
    of: str, pairs: str = "", most: float = 0.1, action: str = "abstain", buckets: int = 5, delta: float = 0.99
) -> PatternGate:
    """A model folder behind its gate.

    Args:
        of: the model's folder, or its run's.
        pairs: file of the training pairs; where it is given the patterns are mined and stored beside the weights.
        most: see `PatternGate`.
        action: see `PatternGate`.
        buckets: see `fit_patterns`; used where `pairs` is given.
        delta: see `fit_patterns`; used where `pairs` is given.

    Raises:
        MissingError: if there are no patterns and no file of pairs.
        IntegrityError: if the patterns are another model's.
    """
    reward, folder = open_base("gate/patterns", of)
    how: Action = action  # type: ignore[assignment]  # checked by the class
    if pairs:
        gate = fit_patterns(reward, read_pairs(pairs), buckets=buckets, delta=delta, most=most, action=how)
        gate.save(folder)
        return gate
    if not (folder / FILE).is_file():
        raise MissingError(f"{of}: holds no {FILE}; mine it with gate/patterns?of={of}&pairs=FILE")
    arrays, said = read_arrays(folder / FILE, of=reward.fingerprint)
    return PatternGate(reward, Patterns(arrays["edges"], arrays["signs"], float(said["delta"])), most=most, action=how)


def _active(states: torch.Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return np.asarray((states > 0).cpu().numpy())
