"""When a verifier should beat imitation at inference: heterogeneity and anti-concentration of rollouts [195].

Learning from a verifier gains on imitating right answers where rewards of a prompt's rollouts vary (heterogeneity), and
where enough of them are clearly above the mean for a policy to move to (anti-concentration).

Heterogeneity is `sigma^2 = sum_t E Var[Q(s_t, a_t) | s_t]`. Text is deterministic given its tokens, so that
`Q(s_t, a_t) = V(s_{t+1})` and the terms are variances of martingale differences that add up to the whole: it *is* the
variance of the return over a prompt's rollouts, which needs no Q. (With random transitions it would be a lower bound.)

Differs from the paper: the estimators, which it does not give.

Source: Setlur et al. 2025, "Scaling Test-Time Compute Without Verification or RL is Suboptimal".
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.strata import without_interval
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share


def heterogeneity(rewards: Float[np.ndarray, "p n"], *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """Mean over prompts of the unbiased variance of the return, in reward units squared.

    Args:
        rewards: returns of n rollouts a prompt, n at least 2; NaN where there is none. Prompts with fewer than two are
            left out.
        seed: of the bootstrap over prompts.
        resamples: of the bootstrap.
    """
    table, count = _checked("heterogeneity", rewards)
    mean = np.nansum(table, axis=1) / np.maximum(count, 1)
    squares = np.nansum((table - mean[:, None]) ** 2, axis=1)
    variance = np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)
    return without_interval(bootstrap_mean(variance, seed=seed, resamples=resamples))


def anticoncentration(
    rewards: Float[np.ndarray, "p n"], *, eps: float = 0.5, seed: int = 0, resamples: int = 2000
) -> Estimate:
    """Share of a prompt's rollouts whose return is at least the mean plus `eps` standard deviations, mean over prompts.

    Args:
        rewards: returns of n rollouts a prompt; NaN where there is none.
        eps: how far above the mean, in the prompt's own standard deviations; at least 0.
        seed: of the bootstrap over prompts.
        resamples: of the bootstrap.

    Returns:
        In [0, 1]. Prompts whose rollouts are all worth the same, or that have fewer than two, are left out: there is
        nothing above them.

    Raises:
        InputError: if eps is negative.
    """
    if not eps >= 0:
        raise InputError(f"anticoncentration: eps is {eps}; give 0 or more")
    table, count = _checked("anticoncentration", rewards)
    mean = np.nansum(table, axis=1) / np.maximum(count, 1)
    std = np.sqrt(np.nansum((table - mean[:, None]) ** 2, axis=1) / np.maximum(count, 1))
    least = (mean + eps * std)[:, None]
    # a hair's breadth for returns that equal the threshold but for rounding
    above = (table >= least - 1e-12 * (1 + np.abs(least))).sum(axis=1) / np.maximum(count, 1)
    return share(np.where((count > 1) & (std > 0), above, np.nan), seed=seed, resamples=resamples)


def _checked(who: str, rewards: Float[np.ndarray, "p n"]) -> tuple[Float[np.ndarray, "p n"], Float[np.ndarray, " p"]]:
    table = np.asarray(rewards, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ShapeError(f"{who}: rewards have shape {table.shape}; give prompts by rollouts")
    return table, (~np.isnan(table)).sum(axis=1).astype(np.float64)
