"""What to ask a person next, and a scale on which people's rewards can be compared [145]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import expit, xlogy

from plaudit.errors import ShapeError


def query_information(first: Float[np.ndarray, "n k"], second: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """What the answer to each pair would say about the person: `H(mean p) - mean H(p)`, in nats, 0 to log 2.

    With `p` the probability that the first is preferred under each of k draws from the person's posterior.

    Args:
        first: scores of the first of each pair under each draw (log-odds units).
        second: scores of the second.

    Raises:
        ShapeError: if the shapes differ or there is no draw.

    Source: Poddar et al. 2024, section 4.3 [145]; Houlsby et al. 2011.
    """
    if np.shape(first) != np.shape(second) or np.ndim(first) != 2 or not np.shape(first)[1]:
        raise ShapeError(f"query_information: scores are {np.shape(first)} and {np.shape(second)}; give (n, k) twice")
    p = expit(np.asarray(first, np.float64) - np.asarray(second, np.float64))
    return np.asarray(np.maximum(_entropy(p.mean(axis=1)) - _entropy(p).mean(axis=1), 0.0))


def win_probability(scores: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """`mean over others of sigmoid(score - other)`: a person's scores on a scale that all people share, 0 to 1.

    Args:
        scores: of a person, in log-odds units.
        others: scores of a reference population under the same person.

    Source: Poddar et al. 2024, equation 7 (VPL-SPO) [145].
    """
    return np.asarray(expit(np.asarray(scores)[:, None] - np.asarray(others)[None, :]).mean(axis=1))


def _entropy(p: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    return np.asarray(-xlogy(p, p) - xlogy(1 - p, 1 - p))
