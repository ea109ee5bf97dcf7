"""Activation patterns: which neurons are nearly always on, or off, for samples of like score; pure mathematics [215].

Differs from the paper: its patterns belong to the classes of a classifier and serve to specify what is verified. Here
the classes are quantiles of a reward model's score, the neurons are the inputs of its head, and the share of the
pattern that a sample breaks is a number that says how unlike the training completions it is. That no two classes'
patterns overlap, which the paper verifies, does not hold of real inputs here, and nothing relies on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Floats

Signs = np.ndarray[tuple[int, int], np.dtype[np.int8]]


@dataclass(frozen=True, slots=True)
class Patterns:
    """What is usual for each bucket of scores.

    Attributes:
        edges: (c - 1,), scores between the c buckets, ascending.
        signs: int8 (c, h): 1 where a neuron is on, -1 where it is off, 0 where it is free.
        delta: share of the samples of which a constrained neuron says the same.
    """

    edges: Floats
    signs: Signs
    delta: float

    def bucket(self, score: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The bucket of each score."""
        return np.searchsorted(self.edges, score, side="right")

    def violated(self, active: Bool[np.ndarray, "n h"], score: Float[np.ndarray, " n"]) -> Floats:
        """Share of its bucket's constrained neurons that each sample breaks; 0 where none is constrained.

        Raises:
            ShapeError: if the samples have another number of neurons.
        """
        if active.ndim != 2 or active.shape[1] != self.signs.shape[1]:
            raise ShapeError(f"patterns: activations are {active.shape}; they must be (n, {self.signs.shape[1]})")
        wanted = self.signs[self.bucket(score)]
        broken = (wanted != 0) & ((wanted > 0) != active)
        return np.asarray(broken.sum(axis=1) / np.maximum((wanted != 0).sum(axis=1), 1))


def mine_patterns(
    active: Bool[np.ndarray, "n h"], bucket: Int[np.ndarray, " n"], *, buckets: int, delta: float = 0.99
) -> Signs:
    """For each bucket and neuron 1 if on in at least `delta` of the samples, -1 if in at most `1 - delta`, else 0.

    Args:
        active: whether a neuron is on.
        bucket: 0 to `buckets - 1`; a bucket without samples constrains nothing.
        buckets: how many.
        delta: above 0.5, at most 1. With 1 only neurons that never change are constrained.

    Raises:
        InputError: if delta is outside its range.
        ShapeError: if there is not one bucket a sample.

    Source: Geng et al. 2023, "Towards Reliable Neural Specifications", definition of a neural activation pattern [215].
    """
    if not 0.5 < delta <= 1:
        raise InputError(f"patterns: delta is {delta}; it must be above 0.5 and at most 1")
    if bucket.shape != active.shape[:1]:
        raise ShapeError(f"patterns: {bucket.shape} buckets for activations {active.shape}; give one a sample")
    signs = np.zeros((buckets, active.shape[1]), dtype=np.int8)
    for c in range(buckets):
        members = active[bucket == c]
        if len(members):
            on = members.mean(axis=0)
            # the comparison allows for the rounding of 1 - delta: 1 - 0.99 is a little above 0.01
            signs[c] = (on >= delta).astype(np.int8) - (1 - on >= delta).astype(np.int8)
    return signs


def patterns_of(
    active: Bool[np.ndarray, "n h"], score: Float[np.ndarray, " n"], *, buckets: int = 5, delta: float = 0.99
) -> Patterns:
    """Patterns of samples by quantiles of their score.

    Args:
        active: whether each neuron is on.
        score: of each sample.
        buckets: quantiles of the score.
        delta: see `mine_patterns`.

    Raises:
        InputError: if there are fewer samples than buckets, or delta is outside its range.
    """
    if not 1 <= buckets <= len(score):
        raise InputError(f"patterns: {buckets} buckets for {len(score)} samples; give at least 1 and at most that many")
    edges = np.quantile(score, np.arange(1, buckets) / buckets)
    found = Patterns(edges, np.zeros((buckets, active.shape[1]), dtype=np.int8), delta)
    return Patterns(edges, mine_patterns(active, found.bucket(score), buckets=buckets, delta=delta), delta)
