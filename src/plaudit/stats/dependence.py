"""Distance covariance: 0 exactly under independence, whatever the types of the variables [92].

    D_ij = |x_i - x_j|,   A = D - row means - column means + mean,   dCov^2(x, y) = mean(A * B)
    JdCov^2 = mean_ij prod_p (c - A^(p)_ij) - c^p

The audit tests by it, and training penalises it.

Source: Szekely et al. 2007; Chakraborty and Zhang 2019 (JdCov).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError


def attribute_matrix(columns: Sequence[Sequence[object] | NDArray[np.float64]]) -> Float[np.ndarray, "n d"]:
    """Attributes side by side: numbers standardised, anything else one-hot, each attribute of equal spread.

    Args:
        columns: K attributes of n values each; a column of numbers (not booleans) is continuous.

    Returns:
        (n, d), d at least 1. A constant attribute is a column of zeros: nothing can depend on it.

    Raises:
        ShapeError: if the attributes differ in length.
    """
    if not columns:
        raise InputError("attribute_matrix: there is no attribute; give at least one")
    blocks = []
    for column in columns:
        values = list(column)
        if len(values) != len(columns[0]):
            raise ShapeError(f"attribute_matrix: attributes of {len(columns[0])} and {len(values)} rows; give as many")
        numeric = all(isinstance(v, (int, float, np.number)) and not isinstance(v, (bool, np.bool_)) for v in values)
        if numeric:
            block = np.asarray(values, dtype=np.float64)[:, None]
        else:
            texts = np.asarray([str(v) for v in values])
            block = (texts[:, None] == np.unique(texts)[None, :]).astype(np.float64)
        block = block - block.mean(axis=0)
        spread = math.sqrt(float((block**2).sum(axis=1).mean())) if block.size else 0.0
        blocks.append(block / spread if spread > 0 else block)
    return np.concatenate(blocks, axis=1)


def centred_distances(x: ArrayLike) -> Float[np.ndarray, "n n"]:
    """Euclidean distances between rows, centred over rows and columns.

    Args:
        x: (n,) or (n, d).
    """
    from scipy.spatial.distance import cdist

    rows = np.asarray(x, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    d = cdist(rows, rows)
    return np.asarray(d - d.mean(axis=0) - d.mean(axis=1)[:, None] + d.mean())


def distance_covariance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared distance covariance, `mean_ij A_ij B_ij` (V-statistic), at least 0.

    Args:
        x: (n,) or (n, d).
        y: (n,) or (n, e).

    Raises:
        ShapeError: if the two differ in their number of rows.

    Source: Szekely, Rizzo and Bakirov 2007, definition 4.
    """
    a, b = centred_distances(x), centred_distances(y)
    if a.shape != b.shape:
        raise ShapeError(f"distance_covariance: {len(a)} and {len(b)} rows; give as many")
    return float((a * b).mean())


def joint_distance_covariance(variables: Sequence[ArrayLike], *, c: float = 1.0) -> float:
    """Joint distance covariance of p variables: `mean_ij prod_p (c - A^(p)_ij) - c^p`.

    Args:
        variables: p arrays, each (n,) or (n, d).
        c: weight of lower-order dependence: a large c counts pairs, a small one all variables together.

    Raises:
        InputError: if there are fewer than two variables.

    Source: Chakraborty and Zhang 2019, definition 2.4.
    """
    if len(variables) < 2:
        raise InputError(f"joint_distance_covariance: {len(variables)} variable; dependence needs two or more")
    product = np.ones(())
    for x in variables:
        product = product * (c - centred_distances(x))
    return float(product.mean() - c ** len(variables))
