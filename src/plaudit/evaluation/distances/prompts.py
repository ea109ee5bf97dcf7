"""What carries over to rewards of language: one step a prompt, and a shift a prompt that no comparison can see.

A prompt is a state, a completion an action, and nothing follows. STARC's value canonicalisation then subtracts the mean
over the reference policy's completions of the prompt, and the scale is one for all prompts. With rho the correlation
within prompts the distance is `sqrt(2 (1 - rho))`. Distances across prompts say nothing and are not offered.

Bounds here hold for completions sampled from the reference policy; of what that policy never writes they say nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.stats.bootstrap import bootstrap_totals
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.correlation import centred
from plaudit.stats.estimate import Estimate


def prompt_distance(
    a: ArrayLike, b: ArrayLike, groups: Clusters, *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """STARC's distance of two rewards on sampled completions, `sqrt(2 (1 - rho))`, with an interval over prompts.

    Args:
        a: rewards, (n,); rows where either is NaN are left out before centring.
        b: rewards of the same rows.
        groups: prompts, (n,); those with a single completion say nothing.
        seed: of the bootstrap.
        resamples: number of resamples.
        level: coverage.

    Returns:
        In [0, 2]: 0 the same order and ratios of differences, sqrt 2 unrelated, 2 opposite. NaN where one reward is
        constant within every prompt.
    """
    x, y = np.asarray(a, dtype=np.float64).reshape(-1), np.asarray(b, dtype=np.float64).reshape(-1)
    missing = np.isnan(x) | np.isnan(y)
    codes = cluster_codes(groups, x.size)
    x, y = (centred(np.where(missing, np.nan, v), codes) for v in (x, y))

    def distance(t: np.ndarray) -> np.ndarray:
        rho = t[:, 0] / np.sqrt(t[:, 1] * t[:, 2])
        return np.asarray(np.sqrt(np.maximum(2 * (1 - rho), 0.0)))

    return bootstrap_totals(distance, [x * y, x * x, y * y], codes, seed=seed, resamples=resamples, level=level)


def disagreement_bound(distance: float, margin: float) -> float:
    """Upper bound on the share of pairs that the first reward tells apart by at least `margin` and the second reverses.

    A pair that is reversed has `|D_1 - D_2| >= |D_1| >= margin`, and of two independent completions `D_1 - D_2` has
    mean square `2 d^2`: Chebyshev's inequality gives `2 d^2 / margin^2`, whatever the distribution.

    Args:
        distance: `prompt_distance`.
        margin: in standard deviations of the first reward within prompts, above 0.

    Raises:
        InputError: if the margin is not above 0.
    """
    if not margin > 0:
        raise InputError(f"disagreement_bound: margin is {margin}; without a margin above 0 no bound below 1 holds")
    return min(1.0, 2 * distance**2 / margin**2)


def gaussian_disagreement(distance: float) -> float:
    """Share of pairs in opposite orders if both rewards are jointly normal within prompts: `arccos(rho) / pi`.

    Args:
        distance: `prompt_distance`, in [0, 2].

    Source: Sheppard 1899.
    """
    return math.acos(max(-1.0, min(1.0, 1 - distance**2 / 2))) / math.pi


def best_of_n_regret_bound(distance: float, n: int) -> float:
    """Upper bound on what best-of-n by one reward loses of best-of-n by the other, in the other's standard deviations.

    The density of best-of-n over the reference policy is at most that of a continuous reward, `n u^(n-1)`, so its
    chi-squared divergence is `(n - 1)^2 / (2 n - 1)`; and by Cauchy and Schwarz a policy changes the mean of the
    difference of two standardised rewards by at most the distance times the divergence's root. Two policies, so
    `2 d (n - 1) / sqrt(2 n - 1)`.

    Args:
        distance: `prompt_distance`.
        n: candidates, at least 1.

    Raises:
        InputError: if n is below 1.
    """
    if n < 1:
        raise InputError(f"best_of_n_regret_bound: n is {n}; it counts candidates and is at least 1")
    return 2 * distance * (n - 1) / math.sqrt(2 * n - 1)
