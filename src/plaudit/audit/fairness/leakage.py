"""How much of an attribute stands in a reward model's features: Fisher's discriminant [4].

    FLD = (m1 - m0)^T (S1 + S0 + eps I)^-1 (m1 - m0)

with m the mean and S the covariance of the features of either group. It is 0 where the means coincide, and without
`eps` the same for every invertible linear map of the features: what a linear probe can see does not depend on units.

Source: "Poisoning fair representations" ([4]), where it is what the attack raises; Fisher 1936.

Differs from the paper: it is measured, and nothing is poisoned by gradients of it (`attacks.poisoned` has rows that
anybody could have added). Covariances divide by n - 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from plaudit.errors import InputError, ShapeError


def fisher_discriminant(
    features: Float[np.ndarray, "n d"], attribute: Bool[np.ndarray, " n"], *, eps: float = 0.0
) -> float:
    """Squared distance of the groups' means in units of their spread; at least 0, without a unit.

    Args:
        features: (n, d), for example the hidden states from which a reward is read.
        attribute: (n,), True for one group.
        eps: added to the spread, in squared feature units: needed where features are nearly collinear.

    Returns:
        The discriminant. Without `eps`, directions in which neither group varies are left out where the means agree in
        them too.

    Raises:
        ShapeError: if the two differ in length.
        InputError: if a group has fewer than two rows, eps is negative, or the groups differ in a direction in which
            neither varies (the discriminant is then infinite).

    Source: [4]; Fisher 1936.
    """
    x, inside = np.asarray(features, dtype=np.float64), np.asarray(attribute, dtype=bool)
    if inside.shape != (len(x),):
        raise ShapeError(
            f"fisher_discriminant: {inside.shape} attributes for {len(x)} rows of features; give one a row"
        )
    if eps < 0:
        raise InputError(f"fisher_discriminant: eps is {eps:g}; it is added to a variance and is at least 0")
    groups = (x[inside], x[~inside])
    if min(len(g) for g in groups) < 2:
        raise InputError("fisher_discriminant: a group has fewer than two rows, so it has no spread; give more")
    gap = groups[0].mean(axis=0) - groups[1].mean(axis=0)
    spread = sum((_covariance(g) for g in groups), np.zeros((x.shape[1], x.shape[1]))) + eps * np.eye(x.shape[1])
    solved = np.linalg.lstsq(spread, gap, rcond=None)[0]
    if not np.allclose(spread @ solved, gap, rtol=1e-6, atol=1e-9 * max(float(np.abs(gap).max(initial=0.0)), 1e-300)):
        raise InputError("fisher_discriminant: the groups differ where neither varies, so it is infinite; pass eps>0")
    return max(float(gap @ solved), 0.0)


def _covariance(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(rows, rowvar=False))
