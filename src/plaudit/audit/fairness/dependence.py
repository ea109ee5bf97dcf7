"""Whether a reward depends on attributes, of any type and together: distance covariance [92].

    D_ij = |x_i - x_j|,   A = D - row means - column means + mean,   dCov^2(x, y) = mean(A * B)
    CCdCov = dCov^2(y, [a_1; ...; a_K])       (attributes concatenated, scaled, one-hot where nominal)
    JdCov^2 = mean_ij prod_p (c - A^(p)_ij) - c^p

dCov is 0 exactly under independence, so it also finds what correlation and gaps between marginal groups miss: a
reward that is bad to (a=1, b=0) and (a=0, b=1) alone has no gap by a and none by b. JdCov additionally counts
dependence among the attributes themselves, so it is never 0 where these are related.

**Null.** The plain (V-statistic) dCov^2 is above 0 by chance alone. The p-value comes from permuting the values
against the attributes, within prompts where prompts are given: rewards of different prompts are not comparable.

Source: Szekely et al. 2007; Chakraborty and Zhang 2019 (JdCov); the regulariser: "Machine Learning with Multitype
Protected Attributes" ([92]).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import ShapeError
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.dependence import centred_distances

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dependence:
    """Dependence of values on attributes, tested by permutation.

    Attributes:
        statistic: dCov^2 of the values and the concatenated attributes, in (value unit) x (attribute unit).
        null: its mean under permutation: what independence shows at this size.
        correlation: distance correlation, 0 to 1, without a unit.
        p_value: share of permutations with as large a statistic, at least 1 / (permutations + 1).
        n: rows used.
    """

    statistic: float
    null: float
    correlation: float
    p_value: float
    n: int


def dependence_test(
    values: ArrayLike,
    attributes: Float[np.ndarray, "n d"],
    clusters: Clusters | None = None,
    *,
    permutations: int = 999,
    max_rows: int = 1500,
    seed: int = 0,
) -> Dependence:
    """Whether values depend on attributes, concatenated (CCdCov), by a permutation test.

    Args:
        values: (n,); NaN rows are left out.
        attributes: (n, d), as `attribute_matrix` makes them.
        clusters: (n,) prompts; values are centred and permuted within them. None permutes freely.
        permutations: number of them.
        max_rows: a random subset of so many rows is used: memory and time grow with its square.
        seed: of subset and permutations.

    Returns:
        The test; NaN statistics with p-value 1 where fewer than 4 rows are left.

    Raises:
        ShapeError: if the rows differ.
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(attributes) != x.size:
        raise ShapeError(f"dependence_test: {len(attributes)} rows of attributes for {x.size} values")
    rng = np.random.default_rng(seed)
    codes = cluster_codes(clusters, x.size) if clusters is not None else np.zeros(x.size, dtype=np.int64)
    if clusters is not None:
        known = np.isfinite(x)
        size = np.bincount(codes[known], minlength=codes.max() + 1)
        total = np.bincount(codes[known], weights=x[known], minlength=codes.max() + 1)
        x = np.where(size[codes] > 1, x - (total / np.maximum(size, 1))[codes], np.nan)
    keep = np.flatnonzero(np.isfinite(x))
    if keep.size > max_rows:
        keep = np.sort(rng.choice(keep, max_rows, replace=False))
    if keep.size < 4:
        return Dependence(math.nan, math.nan, math.nan, 1.0, int(keep.size))
    a, b = centred_distances(x[keep]), centred_distances(attributes[keep])
    statistic = float((a * b).mean())
    scale = math.sqrt(float((a * a).mean()) * float((b * b).mean()))
    orders = _permutations(codes[keep], permutations, rng)
    drawn = _few_valued(x[keep], b, orders)
    if drawn is None:
        drawn = np.array([(a * b[np.ix_(p, p)]).mean() for p in orders])
    # the statistic of a permutation that changes nothing equals it up to rounding: count it as at least as large
    at_least = int((drawn >= statistic - 1e-9 * abs(statistic)).sum())
    correlation = math.sqrt(max(statistic, 0.0) / scale) if scale > 0 else 0.0
    return Dependence(statistic, float(drawn.mean()), correlation, (at_least + 1) / (permutations + 1), int(keep.size))


FEW = 8
"""Values of x (right, tied, wrong) up to which permutations are quadratic forms of indicators."""


def _few_valued(x: Floats, b: Floats, orders: list[NDArray[np.int64]]) -> Floats | None:
    """The permuted statistics in one product of matrices, where x has few values; None where it has many.

    `|x_i - x_j| = sum_t gap_t |z_ti - z_tj|` over the thresholds t between its values, z_t = [x > t]; and since the
    rows of b sum to 0, `sum_ij |z_i - z_j| b_ij = -2 z' b z`.
    """
    values = np.unique(x)
    if len(values) > FEW or not orders:
        return None
    total = np.zeros(len(orders))
    place = np.stack(orders, axis=1)  # row i of x goes to place[i]
    for low, high in itertools.pairwise(values):
        z = np.zeros(place.shape)
        np.put_along_axis(z, place, np.broadcast_to((x > low).astype(np.float64)[:, None], place.shape), axis=0)
        total += (high - low) * -2 * np.einsum("nr,nr->r", z, b @ z)
    return total / x.size**2


def _permutations(codes: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Row orders that move rows within their clusters only."""
    order = np.argsort(codes, kind="stable")
    found = []
    for _ in range(count):
        shuffled = np.lexsort((rng.random(codes.size), codes))
        p = np.empty(codes.size, dtype=np.int64)
        p[order] = shuffled
        found.append(p)
    return found
