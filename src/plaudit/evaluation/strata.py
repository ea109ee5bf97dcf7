"""An interval for a weighted mean of parts where resampling rows has nothing to say.

The bootstrap of a mean knows only what was seen: where every row of a part agrees it gives that part no width, and
where a part has few rows many resamples lack it. There each part's Wilson interval stands in, and they are combined.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import difference, wilson

FLAT = 1e-12
"""Width, of a unit of the value, up to which an interval has none: what rounding leaves."""
UNDEFINED = 0.01
"""Share of undefined resamples up to which the others' interval stands."""


def flat(found: Estimate) -> bool:
    """Whether an interval has no width: every resample says the same, which is no certainty.

    Args:
        found: an estimate; without an interval it is not flat.
    """
    return bool(found.high - found.low <= FLAT * max(1.0, abs(found.value)))


def without_interval(found: Estimate) -> Estimate:
    """The estimate, its interval taken away where it says too little and no bounds say how wide it might be.

    That is where it has no width, or more than one resample in a hundred was undefined: the interval is then one of the
    data sets that happen to define the number.

    Args:
        found: from a bootstrap, which names its undefined resamples in `method`.
    """
    if flat(found):
        return Estimate(found.value, n=found.n, method="no interval: every resample says the same")
    lost, drawn = (re.search(rf"(\d+) resamples{end}", found.method) for end in (" undefined", ","))
    if lost and drawn and int(lost[1]) > UNDEFINED * int(drawn[1]):
        return Estimate(found.value, n=found.n, method=f"no interval: {lost[1]} of {drawn[1]} resamples undefined")
    return found


def stratified(
    values: ArrayLike,
    inside: Bool[np.ndarray, "n g"] | None = None,
    weights: Sequence[float] = (1.0,),
    clusters: Clusters | None = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Estimate:
    """`sum_g w_g mean_g` of bounded values, with the parts' Wilson intervals combined (MOVER).

    `v - sqrt(sum_g w_g^2 (m_g - l_g)^2)` to `v + sqrt(sum_g w_g^2 (u_g - m_g)^2)`, with l_g and u_g Wilson's ends about
    the part's mean on the scale of the bounds, over its clusters: no variable in [0, 1] with mean p varies more than a
    success with probability p, so that a part's interval is at least as wide as needed. Parts that share clusters (the
    languages of one prompt) may err together: their distances are added instead of squared.

    Args:
        values: (n,) within the bounds; NaN rows are left out.
        inside: which rows belong to which part, (n, g); None for one part of all.
        weights: of the g parts; they are made to sum to 1.
        clusters: (n,) labels of the prompts, or None.
        bounds: lowest and highest value.
        level: coverage, in (0, 1).

    Returns:
        The estimate, within the bounds; `n` counts the clusters. NaN where a part has no value.

    Source: Wilson 1927; Zou and Donner 2008 (method of variance estimates recovery).
    """
    share = np.asarray(weights, dtype=np.float64) / float(np.sum(weights))
    low, high = bounds
    ends, n = _parts(values, inside, clusters, bounds, level)
    if any(math.isnan(e.value) for e in ends):
        return Estimate(math.nan, n=n, method="no value: a part has none")
    mean = float(share @ [e.value for e in ends])
    apart = sum(e.n for e in ends) == n
    down, up = (
        float(np.linalg.norm(share * distance, 2 if apart else 1))
        for distance in ([e.value - e.low for e in ends], [e.high - e.value for e in ends])
    )
    scale = high - low
    words = f"Wilson, {level:.0%}" if len(ends) == 1 else f"Wilson of {len(ends)} parts combined, {level:.0%}"
    reach = max(mean - down, 0.0), min(mean + up, 1.0)
    return Estimate(low + scale * mean, low + scale * reach[0], low + scale * reach[1], n, words)


def between_parts(
    function: Callable[[Float[np.ndarray, " g"]], float],
    values: ArrayLike,
    inside: Bool[np.ndarray, "n g"],
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """A number that rises in each of several shares: from all their lower to all their upper ends, Wilson's.

    At least as wide as needed: all shares would have to be at their ends at once.

    Args:
        function: of the g parts' means.
        values: (n,) in [0, 1]; NaN rows are left out.
        inside: which rows belong to which part.
        clusters: (n,) labels, or None.
        level: coverage.
    """
    ends, n = _parts(values, inside, clusters, (0.0, 1.0), level)
    value, low, high = (function(np.array([getattr(e, end) for e in ends])) for end in ("value", "low", "high"))
    return Estimate(value, low, high, n, f"between Wilson's ends of {len(ends)} parts, {level:.0%}")


def signed_stratified(
    values: ArrayLike,
    inside: Bool[np.ndarray, "n g"] | None = None,
    weights: Sequence[float] = (1.0,),
    clusters: Clusters | None = None,
    *,
    bound: float = 1.0,
    level: float = 0.95,
) -> Estimate:
    """`stratified` of differences in [-bound, bound]: what went up less what went down, their intervals combined.

    Args:
        values: (n,); NaN rows are left out.
        inside: as in `stratified`.
        weights: as in `stratified`.
        clusters: (n,) labels, or None.
        bound: largest difference.
        level: coverage.
    """
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    up, down = (
        stratified(np.maximum(s * x, 0), inside, weights, clusters, bounds=(0.0, bound), level=level) for s in (1, -1)
    )
    found = difference(up, down)
    if math.isnan(found.value):
        return found
    low, high = max(found.low, -bound), min(found.high, bound)
    return Estimate(found.value, low, high, up.n, f"MOVER of gains and losses, {level:.0%}")


def _parts(
    values: ArrayLike, inside: Bool[np.ndarray, "n g"] | None, clusters: Clusters | None, bounds: tuple[float, float],
    level: float,
) -> tuple[list[Estimate], int]:  # fmt: skip
    """Each part's mean on the scale of the bounds with Wilson's interval, and the clusters of all."""
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    codes, known = cluster_codes(clusters, x.size), ~np.isnan(x)
    parts = np.ones((x.size, 1), dtype=bool) if inside is None else np.asarray(inside, dtype=bool)
    p = np.clip((x - bounds[0]) / (bounds[1] - bounds[0]), 0.0, 1.0)
    ends = [_part(p, codes, known & parts[:, g], level) for g in range(parts.shape[1])]
    return ends, int(np.unique(codes[known & parts.any(axis=1)]).size)


def _part(
    p: Float[np.ndarray, " n"], codes: Int[np.ndarray, " n"], rows: Bool[np.ndarray, " n"], level: float
) -> Estimate:
    k = int(np.unique(codes[rows]).size)
    return wilson(k * float(p[rows].mean()), k, level=level) if k else Estimate(math.nan)
