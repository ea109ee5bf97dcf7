"""Annotators weighed by reputation: how far each one's gradient points where all together point [221].

    u_i = g_i / |g_i|,   u = sum_i r_i u_i,   r_i <- a r_i + (1 - a) cos(u_i, u),   r <- max(r, 0) / sum(r)

with the gradient g_i of annotator i's log-likelihood under the model of the moment. Whoever falls below
`threshold / N` is dropped for good. It ends when the mean gradient, having been longer, is shorter than two of its
standard errors. No labels of known truth are needed.

**Why it ends.** At the fitted model the gradients of honest annotators are the noise of their labels: they point
nowhere in common, and reputations that go on moving drop the honest one after another.

**When it is wrong.** The aggregate is the majority's. An annotator who turns labels round and one whose honest taste
differs look the same to it: a minority of people is dropped like a minority of cheats. Look at who is dropped, by group
(`plaudit audit --group annotator`), before weights are used; where taste divides people, use models of several people
(`docs/people.md`). And where cheats are the majority, it drops the honest.

Source: Xu and Lyu 2021, "A Reputation Mechanism Is All You Need: Collaborative Fairness and Adversarial Robustness in
Federated Learning" [221], RFFL.

Differs from the paper: participants are annotators of one file, not machines, so nobody is sent a sparsified model;
gradients are those of a linear Bradley-Terry model on features that are given (standard or frozen ones, or the states
that a reward model's head reads, which makes them the head's gradients); it ends as above; an aggregate of length 0
changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.records.rows import Pair

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reputations:
    """What rounds of gradients made of annotators.

    Attributes:
        weights: annotator to reputation; they add up to 1, those who were dropped have 0.
        agreement: annotator to the cosine with the aggregate in the last round; of one who was dropped, in that round.
        dropped: annotator to the round (from 1) in which they were dropped.
        coefficients: (d,), of the linear model, in the features' standard deviations.
        pairs: annotator to their pairs.
        rounds: of gradients until nothing but noise was left, or all of them.
    """

    weights: Mapping[str, float]
    agreement: Mapping[str, float]
    dropped: Mapping[str, int]
    coefficients: Floats
    pairs: Mapping[str, int]
    rounds: int


def updated_reputations(
    gradients: ArrayLike, reputation: ArrayLike, *, memory: float = 0.95
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " d"]]:
    """One round.

    Args:
        gradients: (n, d), one an annotator; a row of zeros agrees with nobody (cosine 0).
        reputation: (n,), at least 0; those with 0 take no part and stay there.
        memory: a, 0 to 1; the paper's 0.95.

    Returns:
        New reputations, with sum 1; the cosines; the aggregate u. Where nobody is left with a reputation above 0, the
        old ones stay.

    Raises:
        ShapeError: if there is not one reputation a gradient.
        InputError: if a number is not finite, a reputation negative or none above 0, or memory outside 0 to 1.

    Source: Xu and Lyu 2021, algorithm 1 [221].
    """
    g, r = np.asarray(gradients, dtype=np.float64), np.asarray(reputation, dtype=np.float64)
    if g.ndim != 2 or r.shape != g.shape[:1]:
        raise ShapeError(f"reputation: gradients {g.shape} and reputations {r.shape}; give (n, d) and (n,)")
    if not (np.isfinite(g).all() and np.isfinite(r).all() and (r >= 0).all() and r.sum() > 0):
        raise InputError("reputation: gradients must be finite, and reputations at least 0, one of them above it")
    if not 0 <= memory <= 1:
        raise InputError(f"reputation: memory is {memory}; give a share between 0 and 1")
    length = np.linalg.norm(g, axis=1, keepdims=True)
    unit = np.divide(g, length, out=np.zeros_like(g), where=length > 0)
    r = r / r.sum()
    aggregate = r @ unit
    size = float(np.linalg.norm(aggregate))
    cosine = unit @ aggregate / size if size > 0 else np.zeros(len(r))
    if size == 0:
        return r, cosine, aggregate
    fresh = np.where(r > 0, np.maximum(memory * r + (1 - memory) * cosine, 0.0), 0.0)
    return (fresh / fresh.sum() if fresh.sum() > 0 else r), cosine, aggregate


def annotator_reputations(
    difference: ArrayLike,
    annotators: Sequence[str],
    *,
    rounds: int = 60,
    rate: float = 0.1,
    memory: float = 0.95,
    threshold: float = 1 / 3,
    errors: float = 2.0,
) -> Reputations:
    """Reputations of annotators while a linear Bradley-Terry model is fitted to their pairs.

    In each round every annotator's mean gradient at the current model is compared with the aggregate, the reputations
    move, and the model takes a step of `rate` along the aggregate.

    Args:
        difference: (m, d), features of chosen minus rejected; scaled to mean square 1 a column here.
        annotators: (m,), who labelled each pair.
        rounds: of gradients, at most.
        rate: length of a step, in standard deviations of a feature's weight.
        memory: see `updated_reputations`.
        threshold: an annotator below `threshold / N` is dropped; the paper's 1/3. 0 drops nobody.
        errors: standard errors below which the mean gradient counts as noise, which ends it; 0 never does, as in the
            paper.

    Returns:
        The reputations. The last annotator is never dropped.

    Raises:
        ShapeError: if there is not one annotator a pair.
        InputError: if a feature is not finite, there are fewer than two annotators, or an option is outside its range.

    Source: Xu and Lyu 2021 [221].
    """
    x, who = np.asarray(difference, dtype=np.float64), np.asarray(annotators, dtype=str)
    if x.ndim != 2 or who.shape != x.shape[:1]:
        raise ShapeError(f"reputation: differences {x.shape} and annotators {who.shape}; give (m, d) and (m,)")
    names, code = np.unique(who, return_inverse=True)
    if len(names) < 2 or not np.isfinite(x).all():
        raise InputError(f"reputation: {len(names)} annotators and finite features are needed: at least two, and all")
    if rounds < 1 or not rate > 0 or not 0 <= threshold <= 1 or not errors >= 0:
        raise InputError(
            f"reputation: rounds {rounds}, rate {rate}, threshold {threshold}, errors {errors}; "
            "give >= 1, > 0, 0 to 1, >= 0"
        )
    size = np.sqrt((x**2).mean(axis=0))
    x = x / np.where(size > 0, size, 1.0)
    count = np.bincount(code)
    share = np.zeros((len(names), len(x)))
    share[code, np.arange(len(x))] = 1 / count[code]
    r, w = np.full(len(names), 1 / len(names)), np.zeros(x.shape[1])
    agreement, dropped, risen, t = np.zeros(len(names)), dict[str, int](), False, 0
    for t in range(1, rounds + 1):
        there = r > 0
        gradient = (share * _wrong(x @ w)) @ x
        clear = _signal(gradient, r) > errors**2
        if risen and not clear:
            break
        risen = risen or clear
        r, cosine, aggregate = updated_reputations(gradient, r, memory=memory)
        agreement = np.where(there, cosine, agreement)
        r = _without(r, threshold / len(names))
        dropped |= {str(names[i]): t for i in np.flatnonzero(there & (r == 0))}
        w = w + rate * aggregate
    return Reputations(
        weights=dict(zip(names.tolist(), r.tolist(), strict=True)),
        agreement=dict(zip(names.tolist(), agreement.tolist(), strict=True)),
        dropped=dropped, coefficients=w, pairs=dict(zip(names.tolist(), count.tolist(), strict=True)), rounds=t,
    )  # fmt: skip


def reputation_rows(pairs: Sequence[Pair], reputations: Reputations) -> list[Pair]:
    """The pairs with a `weight`: N times their annotator's reputation, so that equal reputations weigh 1.

    `plaudit train --row-weight weight` reads it; rows of annotators who were dropped weigh 0 and are left out there.

    Args:
        pairs: with `annotator`.
        reputations: of all of them.

    Raises:
        InputError: if a pair's annotator is unknown.
    """
    found, n = [], len(reputations.weights)
    for i, pair in enumerate(pairs):
        if pair.annotator is None or pair.annotator not in reputations.weights:
            raise InputError(f"reputation: row {i + 1} is of annotator {pair.annotator!r}, who has no reputation")
        weight = n * reputations.weights[pair.annotator]
        found.append(replace(pair, meta={**pair.meta, "weight": weight}))
    return found


def _wrong(margin: Floats) -> Floats:
    """`1 - sigmoid(margin)`: how far each pair still pulls."""
    from scipy.special import expit

    return np.asarray(expit(-margin))


def _signal(gradient: Floats, r: Floats) -> float:
    """Squared length of the mean gradient, in squared standard errors: about 1 where nothing is in common."""
    mean = r @ gradient
    error = float(r**2 @ ((gradient - mean) ** 2).sum(axis=1))
    return float(mean @ mean) / error if error > 0 else math.inf


def _without(r: Floats, least: float) -> Floats:
    """Reputations without those below; the largest stays whatever it is."""
    kept = np.where((r >= least) | (r == r.max()), r, 0.0)
    return np.asarray(kept / kept.sum())
