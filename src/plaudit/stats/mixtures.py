"""A whole set of samples against what was true: distance and spread of a mixture fitted to it [48].

The best of n samples is hardly moved when a sampler shifts or widens: some sample is always near. AMD measures how far
the mixture's centre is from the truth in units of its own spread on the way there; AMV how wide the mixture is.

Differs from the published code: the integral along the segment is taken in logarithms, so that components far away do
not divide 0 by 0.

Source: Mohamed et al. 2022, "Social-Implicit: Rethinking Trajectory Prediction Evaluation"; Tipping 1999 (the
distance).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, logsumexp

from plaudit.errors import InputError, ShapeError

MOST = 5
"""Components at most."""


def fit_mixture(
    samples: Float[np.ndarray, "n d"], *, most: int = MOST, seed: int = 0
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k d"], Float[np.ndarray, "k d d"]]:
    """A mixture of normals with as many components as lower the BIC, stopping at the first that does not.

    Args:
        samples: n points, at least two more than d.
        most: components at most.
        seed: of the starts.

    Returns:
        Weights, means, covariances.

    Raises:
        ShapeError: if samples are no table.
        InputError: if there are too few.
    """
    from sklearn.mixture import GaussianMixture

    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 2:
        raise ShapeError(f"fit_mixture: samples have shape {x.shape}; give (n, d)")
    if len(x) < x.shape[1] + 2 or not np.isfinite(x).all():
        raise InputError(f"fit_mixture: {len(x)} samples of {x.shape[1]} numbers; give more, and finite ones")
    best, lowest = None, math.inf
    for k in range(1, min(most, len(x) - 1) + 1):
        model = GaussianMixture(k, random_state=seed).fit(x)
        bic = float(model.bic(x))
        if bic >= lowest:
            break
        best, lowest = model, bic
    assert best is not None  # the first BIC is finite
    return np.asarray(best.weights_), np.asarray(best.means_), np.asarray(best.covariances_)


def amd(
    target: Float[np.ndarray, " d"],
    weights: Float[np.ndarray, " k"],
    means: Float[np.ndarray, "k d"],
    covariances: Float[np.ndarray, "k d d"],
) -> float:
    """Distance of the mixture's centre from the target: Mahalanobis's with one component.

    `sqrt(v' G v)`, v from the target to the centre and G the mean of the components' inverse covariances, each weighted
    with its probability mass along that segment.

    Args:
        target: the point.
        weights: of the components.
        means: of the components.
        covariances: of the components.
    """
    y, centre = np.asarray(target, dtype=np.float64), weights @ means
    v = centre - y
    if not np.abs(v).max() > 0:
        return 0.0
    inverse = np.linalg.inv(covariances)
    u = means - y
    along = np.einsum("i,kij,j->k", v, inverse, v)
    middle = np.einsum("i,kij,kj->k", v, inverse, u) / along
    rest = np.einsum("ki,kij,kj->k", u, inverse, u) - along * middle**2
    # the segment is t in [0, 1]: N(t; middle, 1 / along) between its ends, of the density at its nearest point
    scale = np.sqrt(along)
    low, high = -middle * scale, (1 - middle) * scale
    # both ends in the lower tail, where differences of logarithms are exact
    swap = low > 0
    low, high = np.where(swap, -high, low), np.where(swap, -low, high)
    inside = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
    # the published weight leaves out the covariance's determinant; Mahalanobis's distance does not feel it
    mass = np.log(weights) - rest / 2 - np.log(scale) + inside
    share = np.exp(mass - logsumexp(mass))
    return float(np.sqrt((share * along).sum()))


def amv(
    weights: Float[np.ndarray, " k"], means: Float[np.ndarray, "k d"], covariances: Float[np.ndarray, "k d d"]
) -> float:
    """Largest eigenvalue of the mixture's covariance, `sum w (C + (m - centre)(m - centre)')`.

    Args:
        weights: of the components.
        means: of the components.
        covariances: of the components.
    """
    off = means - weights @ means
    total = np.einsum("k,kij->ij", weights, covariances) + np.einsum("k,ki,kj->ij", weights, off, off)
    return float(np.linalg.eigvalsh(total)[-1])
