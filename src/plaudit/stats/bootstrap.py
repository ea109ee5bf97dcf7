"""Percentile bootstrap over clusters: the interval of nearly every number in a report.

Rows of one prompt share its difficulty, so prompts are resampled, not rows (LAB.md). A resample is a vector
of counts, one a cluster; a statistic that depends on the data through sums (a mean, a ratio, a difference of
two means, a pooled correlation) then costs one matrix product for all resamples.

Up to 20,000 clusters the counts are multinomial, drawn exactly. Beyond, they are independent Poisson(1)
counts: the two differ only in that the total varies by 1/sqrt(k), below 0.7% there, and ratios of sums do not
feel it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.stats.clusters import Clusters, cluster_codes, cluster_totals, complete_rows
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
EXACT_CLUSTERS = 20_000
"""Largest number of clusters that is resampled with multinomial counts."""
FEW = 200
"""Clusters up to which looking for equal ones is not worth it."""
CHUNK = 1 << 19
"""Counts held in memory at once: what a core's cache holds."""


def bootstrap_mean(
    values: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of the rows, with a percentile interval over clusters.

    `sum_k w_k S_k / sum_k w_k C_k` with S_k the sum and C_k the count of cluster k: rows weigh alike, also
    where clusters differ in size.

    Args:
        values: (n,), any unit; NaN rows are left out, and a cluster of NaN rows only does not count in `n`.
        clusters: (n,) labels (prompts); None makes every row its own cluster.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Returns:
        The estimate; `n` counts clusters. Without any value it is NaN with n = 0; with one cluster it has no
        interval. Where all clusters agree the interval has no width: for proportions use `proportion`.

    Source: Efron and Tibshirani 1993, chapter 13; Davison and Hinkley 1997, section 3.8 (clusters).
    """
    column = np.asarray(values, dtype=np.float64)
    return bootstrap_totals(
        _ratio, [column, np.ones_like(column)], clusters, seed=seed, resamples=resamples, level=level
    )


def _ratio(totals: Floats) -> Floats:
    return np.asarray(totals[:, 0] / totals[:, 1])


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of a - b over the rows where both are known, with an interval over clusters.

    Args:
        a: (n,); NaN where unknown.
        b: (n,), the same rows in the same order.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Raises:
        ShapeError: if a and b differ in length.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ShapeError(f"paired_difference: a has shape {first.shape} and b {second.shape}; pairs need equal ones")
    return bootstrap_mean(first - second, clusters, seed=seed, resamples=resamples, level=level)


def bootstrap_totals(
    function: Callable[[Floats], Floats],
    columns: Sequence[ArrayLike],
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
    recentre: bool = False,
) -> Estimate:
    """A statistic that is a function of column sums, with a percentile interval over clusters.

    Args:
        function: from totals (r, c), one row a resample, to the statistic (r,); NaN where it is not defined.
        columns: c columns (n,); rows with a NaN in any of them are left out.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).
        recentre: shift the interval so that the resamples' mean falls on the value: for an estimator whose
            bias resampling adds a second time, such as a calibration error.

    Returns:
        The estimate. Resamples on which the statistic is not defined leave the interval, and `method` says
        how many.

    Raises:
        InputError: if level, resamples or a value is out of range.
    """
    _check(resamples, level)
    table, codes = _complete(columns, clusters)
    totals = cluster_totals(table, codes)
    k = totals.shape[0]
    if k == 0:
        return Estimate(math.nan, n=0, method="no value")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(function(totals.sum(axis=0, keepdims=True))[0])
        if k == 1:
            return Estimate(value, n=1, method="one cluster: no interval")
        drawn = np.concatenate([function(t) for t in _resampled(totals, resamples, np.random.default_rng(seed))])
    return _percentile(value, drawn, k, level, recentre)


def bootstrap_statistic(
    statistic: Callable[..., float],
    columns: Sequence[ArrayLike],
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """Any statistic of rows, with a percentile interval over clusters; one call of `statistic` a resample.

    Args:
        statistic: takes the columns (each (m,)) and returns a number.
        columns: columns (n,); rows with a NaN in any of them are left out.
        clusters: (n,) labels, or None.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Raises:
        InputError: if level, resamples or a value is out of range.
    """
    _check(resamples, level)
    table, codes = _complete(columns, clusters)
    order = np.argsort(codes, kind="stable")
    table, sizes = table[order], np.bincount(codes)
    k = sizes.size
    if k == 0:
        return Estimate(math.nan, n=0, method="no value")
    value = float(statistic(*table.T))
    if k == 1:
        return Estimate(value, n=1, method="one cluster: no interval")
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for r in range(resamples):
        rows = _rows_of(rng.integers(0, k, size=k), starts, sizes)
        drawn[r] = statistic(*table[rows].T)
    return _percentile(value, drawn, k, level)


def _rows_of(picked: NDArray[np.int64], starts: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.int64]:
    """Row numbers of the picked clusters, whole and in a row."""
    count = sizes[picked]
    first = np.repeat(starts[picked] - (np.cumsum(count) - count), count)
    return np.asarray(first + np.arange(count.sum()))


def _check(resamples: int, level: float) -> None:
    if not 0.0 < level < 1.0:
        raise InputError(f"bootstrap: level is {level}; give a coverage between 0 and 1, such as 0.95")
    if resamples < 1:
        raise InputError(f"bootstrap: resamples is {resamples}; give at least 1, better 1000 or more")


def _complete(columns: Sequence[ArrayLike], clusters: Clusters | None) -> tuple[Floats, NDArray[np.int64]]:
    """The rows without NaN as (n, c), with cluster codes that leave no gap."""
    arrays = [np.asarray(c, dtype=np.float64).reshape(-1) for c in columns]
    codes = cluster_codes(clusters, len(arrays[0]))
    keep = complete_rows(arrays, codes)
    table = np.stack([a[keep] for a in arrays], axis=1)
    if np.isinf(table).any():
        raise InputError("bootstrap: a value is infinite; rewards are finite, so look for a division or a log of zero")
    return table, np.asarray(np.unique(codes[keep], return_inverse=True)[1]).reshape(-1)


def _resampled(totals: Floats, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Column sums of resampled clusters (r, c), in chunks of resamples.

    Clusters with equal totals are one kind: the counts of d kinds are multinomial with their shares, exactly,
    which makes the accuracy of any number of pairs (right, tied, wrong) a matter of three counts.
    """
    k = totals.shape[0]
    if k > FEW:
        kinds, size = np.unique(totals, axis=0, return_counts=True)
        if len(kinds) <= k // 8:
            yield rng.multinomial(k, size / k, size=resamples).astype(np.float64) @ kinds
            return
    columns = np.ascontiguousarray(totals.T)
    for counts in _counts(k, resamples, rng):
        # column by column: with few columns a product of matrices takes twice to four times as long
        yield np.stack([counts @ column for column in columns], axis=1)


def _counts(k: int, resamples: int, rng: np.random.Generator) -> Iterator[Float[np.ndarray, "r k"]]:
    """How often each cluster is drawn, in chunks of resamples; a chunk is overwritten by the next."""
    chunk = max(1, CHUNK // k)
    poisson = _Poisson(min(chunk, resamples) * k) if k > EXACT_CLUSTERS else None
    for start in range(0, resamples, chunk):
        r = min(chunk, resamples - start)
        if poisson is not None:
            yield poisson.draw(r * k, rng).reshape(r, k)
        else:
            drawn = rng.integers(0, k, size=(r, k), dtype=np.int64) + k * np.arange(r)[:, None]
            yield np.bincount(drawn.reshape(-1), minlength=r * k).reshape(r, k).astype(np.float64)


class _Poisson:
    """Poisson(1) counts by the inverse distribution function on 2^16 equal steps.

    A count is the number of steps of the distribution function that a 16-bit word has passed: a handful of comparisons
    of whole arrays, in buffers that are used again, which takes a tenth of looking each word up in a table.
    """

    def __init__(self, size: int) -> None:
        self.passed, self.count = np.empty(size, dtype=bool), np.empty(size, dtype=np.uint8)
        self.out = np.empty(size)

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """The next `size` counts, in a buffer that the next call overwrites."""
        words = rng.integers(0, 2**64 - 1, size=-(-size // 4), dtype=np.uint64, endpoint=True).view(np.uint16)[:size]
        passed, count = self.passed[:size], self.count[:size]
        count[:] = 0
        for step in _poisson_steps():
            np.greater_equal(words, step, out=passed)
            np.add(count, passed.view(np.uint8), out=count)
        np.copyto(self.out[:size], count)
        return self.out[:size]


@cache
def _poisson_steps() -> tuple[int, ...]:
    """The least 16-bit words that stand for counts of at least 1, 2, ..."""
    cdf = np.cumsum([math.exp(-1.0) / math.factorial(j) for j in range(12)])
    first = np.ceil(cdf * (1 << 16) - 0.5).astype(np.int64)
    return tuple(int(x) for x in first if x < 1 << 16)


def _percentile(value: float, drawn: Floats, k: int, level: float, recentre: bool = False) -> Estimate:
    defined = drawn[~np.isnan(drawn)]
    method = f"bootstrap over {k} clusters, {drawn.size} resamples, {level:.0%}"
    if defined.size < drawn.size:
        method += f" ({drawn.size - defined.size} resamples undefined)"
    if 2 * defined.size < drawn.size:
        # what most resamples lack stands in the others by the same few clusters: their spread is none of the value's
        return Estimate(value, n=k, method=f"{method}: no interval")
    if math.isnan(value) or not defined.size:
        return Estimate(value, n=k, method=method)
    if recentre:
        method, defined = f"recentred {method}", defined - defined.mean() + value
    with np.errstate(invalid="ignore"):  # between two infinities there is no number
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    if math.isnan(low) or math.isnan(high):
        return Estimate(value, n=k, method=f"{method}: no interval")
    return Estimate(value, float(low), float(high), k, method)
