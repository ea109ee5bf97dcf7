"""Clusters (prompts) as integer codes: rows of a prompt are not independent and are resampled whole."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from plaudit.errors import ShapeError

Clusters = Sequence[Hashable] | NDArray[Any]


def cluster_codes(clusters: Clusters | None, n: int) -> Int[np.ndarray, " n"]:
    """Integer codes 0..k-1 of cluster labels; every row is its own cluster where there are none.

    Args:
        clusters: n labels of any hashable kind, or None.
        n: number of rows.

    Raises:
        ShapeError: if there are not n labels.
    """
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ShapeError(f"clusters: {len(clusters)} labels for {n} rows; give one label a row")
    if isinstance(clusters, np.ndarray) and clusters.dtype != object:
        return np.asarray(np.unique(clusters, return_inverse=True)[1]).reshape(-1)
    seen: dict[Hashable, int] = {}
    return np.fromiter((seen.setdefault(c, len(seen)) for c in clusters), dtype=np.int64, count=n)


def cluster_totals(columns: Float[np.ndarray, "n c"], codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "k c"]:
    """Sums of the columns within clusters.

    Args:
        columns: float64 (n, c), without NaN.
        codes: (n,), values 0..k-1; every value occurs.
    """
    k = int(codes.max()) + 1 if codes.size else 0
    sums = np.zeros((k, columns.shape[1]))  # bincount of nothing would be whole numbers
    for j in range(columns.shape[1]):
        sums[:, j] = np.bincount(codes, weights=columns[:, j], minlength=k)
    return sums


def complete_rows(columns: Sequence[Any], codes: Int[np.ndarray, " n"]) -> NDArray[np.bool_]:
    """True where no column is NaN, (n,): a row that lacks one value takes part in nothing.

    Raises:
        ShapeError: if a column has not as many rows as there are codes.
    """
    keep = np.ones(len(codes), dtype=bool)
    for j, column in enumerate(columns):
        if len(column) != len(codes):
            raise ShapeError(f"columns: column {j} has {len(column)} rows where there are {len(codes)}")
        keep &= ~np.isnan(np.asarray(column, dtype=np.float64))
    return keep
