"""How much two texts mean the same, token by token, on embeddings [126], [223]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from plaudit.errors import ShapeError


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """Greedy token matching.

    Attributes:
        precision: how well the candidate's tokens are found in the reference, in [-1, 1].
        recall: how well the reference's tokens are found in the candidate, in [-1, 1].
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean; 0 where either is not above 0."""
        if self.precision <= 0 or self.recall <= 0:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    @property
    def mean(self) -> float:
        """Arithmetic mean: the bidirectional max-average similarity of [126]."""
        return 0.5 * (self.precision + self.recall)


def token_match(
    candidate: Float[np.ndarray, "n d"],
    reference: Float[np.ndarray, "m d"],
    *,
    candidate_weights: Float[np.ndarray, " n"] | None = None,
    reference_weights: Float[np.ndarray, " m"] | None = None,
) -> TokenMatch:
    """Each token with the one most like it on the other side, by cosine.

    `P = mean_i max_j cos(c_i, r_j)`, `R = mean_j max_i cos(c_i, r_j)`, means with the weights given.

    Args:
        candidate: token embeddings, (n, d), of any length; a zero vector is like nothing (cosine 0).
        reference: token embeddings, (m, d).
        candidate_weights: such as inverse document frequencies, (n,); equal by default.
        reference_weights: the same, (m,).

    Returns:
        Precision and recall; both 0 where either side has no tokens.

    Raises:
        ShapeError: if the widths differ.

    Source: Zhang et al. 2020, "BERTScore", equation 1, as used by [223]; with the arithmetic mean, BMAS of [126].
    """
    if candidate.ndim != 2 or reference.ndim != 2 or candidate.shape[1] != reference.shape[1]:
        raise ShapeError(f"token_match: shapes {candidate.shape} and {reference.shape}; give (n, d) and (m, d)")
    if not len(candidate) or not len(reference):
        return TokenMatch(0.0, 0.0)
    cosine = _unit(candidate) @ _unit(reference).T
    return TokenMatch(
        float(np.average(cosine.max(axis=1), weights=candidate_weights)),
        float(np.average(cosine.max(axis=0), weights=reference_weights)),
    )


def bidirectional_similarity(candidate: Float[np.ndarray, "n d"], reference: Float[np.ndarray, "m d"]) -> float:
    """Bidirectional max-average similarity: `(mean_i max_j S_ij + mean_j max_i S_ij) / 2` with S the cosines.

    Args:
        candidate: token embeddings, (n, d).
        reference: token embeddings, (m, d).

    Source: Mixed-R1 [126].
    """
    return token_match(candidate, reference).mean


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = np.asarray(rows, dtype=np.float64)
    norm = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(np.divide(wide, norm, out=np.zeros_like(wide), where=norm > 0))
