"""Which conjectures and proofs teach, and how much: bands of pass rates, elegance, matching to what is unsolved [208].

All functions are of arrays and have no state.

Source: Dong and Ma 2025, "STP: Self-play LLM Theorem Provers with Iterative Conjecturing and Proving".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from plaudit.errors import InputError, ShapeError
from plaudit.stats.clusters import Clusters, cluster_codes


def conjectures_kept(rate: ArrayLike, *, high: float = 0.25) -> Bool[np.ndarray, " n"]:
    """`0 < rate < high`: what is proved, and seldom. A NaN rate (nothing could be checked) is kept by neither rule.

    Args:
        rate: (n,) share of right proofs of each conjecture among those that could be checked.
        high: above 0, at most 1.

    Raises:
        InputError: if the bound is out of range.
    """
    if not 0 < high <= 1:
        raise InputError(f"conjectures_kept: high is {high}; give a rate above 0, at most 1")
    p = np.asarray(rate, dtype=np.float64)
    return np.asarray((p > 0) & (p < high))


def proofs_kept(rate: ArrayLike, *, high: float = 0.5) -> Bool[np.ndarray, " n"]:
    """`0 < rate <= high`: proofs of what is proved more often teach nothing new.

    Args:
        rate: as in `conjectures_kept`.
        high: above 0, at most 1.

    Raises:
        InputError: if the bound is out of range.
    """
    if not 0 < high <= 1:
        raise InputError(f"proofs_kept: high is {high}; give a rate above 0, at most 1")
    p = np.asarray(rate, dtype=np.float64)
    return np.asarray((p > 0) & (p <= high))


def proof_weights(
    lengths: ArrayLike, statements: Clusters, *, seconds: ArrayLike | None = None, per_token: float = 0.001,
    per_second: float = 0.01,
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """`exp(-per_token length - per_second seconds) / right proofs of the statement`: short and quick ones count more.

    Args:
        lengths: (n,) tokens of each right proof.
        statements: (n,) labels: what each is a proof of.
        seconds: (n,) that checking took; None for 0.
        per_token: at least 0.
        per_second: at least 0.

    Returns:
        (n,) in (0, 1]; those of a statement sum to at most 1.

    Raises:
        ShapeError: if the parts differ in number.
        InputError: if a rate is negative.
    """
    length = np.asarray(lengths, dtype=np.float64)
    took = np.zeros(length.shape) if seconds is None else np.asarray(seconds, dtype=np.float64)
    if length.ndim != 1 or took.shape != length.shape:
        raise ShapeError(f"proof_weights: lengths {length.shape} and seconds {took.shape}; give (n,) of each")
    if min(per_token, per_second) < 0:
        raise InputError(f"proof_weights: rates are {per_token} and {per_second}; give at least 0")
    code = cluster_codes(statements, len(length))
    return np.asarray(np.exp(-per_token * length - per_second * took) / np.bincount(code)[code])


def elegant(
    proof_lengths: ArrayLike, statement_lengths: ArrayLike, lemmas: Clusters, *, drop: float = 0.2
) -> Bool[np.ndarray, " n"]:
    """Drops, within each lemma, the share with the lowest `proof length / statement length`.

    A long statement with a short proof is a trivial one in disguise. Of n conjectures of a lemma `floor(drop n)` are
    dropped; of equal ones those that come last.

    Args:
        proof_lengths: (n,), the shortest right proof of each, say.
        statement_lengths: (n,), above 0.
        lemmas: (n,) labels.
        drop: share, at least 0 and below 1.

    Returns:
        (n,), True for what stays.

    Raises:
        ShapeError: if the parts differ in number.
        InputError: if the share or a length is out of range.
    """
    proof, statement = np.asarray(proof_lengths, dtype=np.float64), np.asarray(statement_lengths, dtype=np.float64)
    if proof.shape != statement.shape or proof.ndim != 1:
        raise ShapeError(f"elegant: proofs {proof.shape} and statements {statement.shape}; give (n,) of each")
    if not 0 <= drop < 1 or not (statement > 0).all():
        raise InputError(f"elegant: drop is {drop}; give a share of at least 0 and below 1, and lengths above 0")
    code = cluster_codes(lemmas, len(proof))
    kept = np.ones(len(proof), dtype=bool)
    for k in range(int(code.max()) + 1 if len(code) else 0):
        at = np.flatnonzero(code == k)[::-1]  # reversed, so that a stable sort puts the last of equals first
        worst = at[np.argsort((proof / statement)[at], kind="stable")]
        kept[worst[: int(drop * len(at) + 1e-9)]] = False
    return kept


def within_cap(lemmas: Sequence[Hashable], *, batch: int, share: float = 0.1) -> Bool[np.ndarray, " n"]:
    """At most `max(1, floor(share batch))` of each lemma, the first ones: no lemma fills a batch.

    Args:
        lemmas: (n,) labels, in order.
        batch: what the share is of, at least 1.
        share: above 0, at most 1.

    Raises:
        InputError: if a number is out of range.
    """
    if batch < 1 or not 0 < share <= 1:
        raise InputError(f"within_cap: batch is {batch} and share {share}; give at least 1, and above 0, at most 1")
    most, seen, kept = max(1, int(share * batch + 1e-9)), Counter[Hashable](), []
    for lemma in lemmas:
        seen[lemma] += 1
        kept.append(seen[lemma] <= most)
    return np.array(kept, dtype=bool)


def matching_weights(candidates: ArrayLike, targets: ArrayLike, *, cap: float = 4.0) -> Float[np.ndarray, " n"]:
    """Weights that move candidates towards the distribution of targets: greedy optimal transport on embeddings.

    Each of m targets has `n / m` to give, and pairs of candidate and target are served from the nearest on, until the
    target has given everything or the candidate has `cap`.

    Args:
        candidates: P, (n, d), of unit length or not.
        targets: Q, (m, d). Without any, all candidates weigh 1.
        cap: greatest weight, at least 1.

    Returns:
        (n,); they sum to n, and equal 1 each where Q is P and its rows differ.

    Raises:
        ShapeError: if widths differ.
        InputError: if the cap is below 1, which would leave weight over.
    """
    p, q = np.asarray(candidates, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if p.ndim != 2 or q.ndim != 2 or (q.shape[0] and p.shape[0] and p.shape[1] != q.shape[1]):
        raise ShapeError(f"matching_weights: candidates {p.shape} and targets {q.shape}; give (n, d) and (m, d)")
    if not cap >= 1:
        raise InputError(f"matching_weights: cap is {cap}; give at least 1")
    n, m = len(p), len(q)
    if not n or not m:
        return np.ones(n)
    left, weight = np.full(m, n / m), np.zeros(n)
    # stable, so that equal distances are served in the order of candidates and targets
    for flat in np.argsort(cdist(p, q), axis=None, kind="stable").tolist():
        i, j = divmod(flat, m)
        given = min(left[j], cap - weight[i])
        if given > 0:
            weight[i] += given
            left[j] -= given
    return weight


__all__ = ["conjectures_kept", "elegant", "matching_weights", "proof_weights", "proofs_kept", "within_cap"]
