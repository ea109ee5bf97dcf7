"""What best-of-n is worth, estimated without bias from one pool of candidates a prompt.

Of a pool of N candidates the best of n by a proxy is the candidate of rank i (ascending) with probability
`C(i-1, n-1) / C(N, n)`: the mean over all subsets of size n, in closed form, without drawing any.

Source: Coste et al. 2023, "Reward Model Ensembles Help Mitigate Overoptimization", section 4 ([150]); the KL
bound: Stiennon et al. 2020, appendix G.3; that it is only a bound: Beirami et al. 2024.

Differs from the paper: candidates that the proxy cannot tell apart share their ranks' weight equally (an
`argsort` breaks ties by position, which rewards whatever order the pool came in); n is at most a quarter of
the pool, because beyond it the estimate rests on a handful of top candidates and its interval is not to be
trusted; intervals come from a bootstrap over prompts, not over candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from plaudit.errors import InputError, ShapeError
from plaudit.stats.bootstrap import bootstrap_mean
from plaudit.stats.estimate import Estimate


@dataclass(frozen=True, slots=True)
class BestOfNCurve:
    """Proxy, true and oracle reward of best-of-n, one `Estimate` an n.

    Attributes:
        ns: the n's, ascending.
        kl_bound: upper bound on the KL from the sampling policy, nats, one an n.
        proxy: expected proxy of the candidate that the proxy picks; that it rises is a tautology.
        truth: expected true reward of that candidate.
        oracle: expected true reward of the candidate that the truth itself would pick: the ceiling.
        excluded: prompts left out because their pool was too small for the largest n.
        abstained: candidates that left their pool because the proxy is NaN there.
        gain: true reward of the candidate that the proxy picks minus that of a random one, paired within prompts: its
            interval is narrower than those of the two, between which most of the prompts' differences lie.
    """

    ns: tuple[int, ...]
    kl_bound: tuple[float, ...]
    proxy: tuple[Estimate, ...]
    truth: tuple[Estimate, ...]
    oracle: tuple[Estimate, ...]
    excluded: int = 0
    abstained: int = 0
    gain: tuple[Estimate, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether the true reward falls again under more optimisation.

    Attributes:
        peak: the n at which the true reward is highest on the first half of the prompts.
        largest: the largest n.
        drop: true reward at the peak minus at the largest n, on the other half of the prompts.
        turned: whether the drop's interval lies above zero.
    """

    peak: int
    largest: int
    drop: Estimate
    turned: bool


def kl_best_of_n_bound(n: float) -> float:
    """Upper bound on the KL from the base policy to its best-of-n: `log n - (n - 1) / n`, nats.

    Exact for a continuous reward without duplicates; with duplicates it is loose. It is not the measured KL
    of a policy that was trained.

    Args:
        n: number of candidates, at least 1.

    Raises:
        InputError: if n is below 1.

    Source: Stiennon et al. 2020, appendix G.3; Beirami et al. 2024, theorem 1.
    """
    if not n >= 1:
        raise InputError(f"kl_best_of_n_bound: n is {n}; it counts candidates and is at least 1")
    return math.log(n) - (n - 1) / n


def best_of_n_values(
    proxy: Float[np.ndarray, "P N"],
    truth: Float[np.ndarray, "P N"],
    ns: Sequence[int],
    *,
    strict: bool = True,
) -> Float[np.ndarray, "P K"]:
    """Expected true reward of the best of n by the proxy, for every prompt and n.

    `E[truth | n] = sum_{i >= n} C(i-1, n-1) / C(N, n) * truth_(i)`, truth averaged over ties of the proxy.

    Args:
        proxy: what selects, one row a prompt; NaN where it abstained: the candidate leaves its pool.
        truth: what is measured, same shape; must be finite wherever the proxy counts.
        ns: numbers of candidates, each at least 1.
        strict: refuse an n above a quarter of a prompt's pool. If False, n may go up to the pool's size,
            and a prompt whose pool is smaller than n is NaN there.

    Raises:
        ShapeError: if the two differ in shape or are not matrices.
        InputError: if an n is below 1, or too large for a pool, or the truth is NaN where the proxy counts.

    Source: Coste et al. 2023, section 4.
    """
    proxy, truth = _checked(proxy, truth)
    wanted = _counts(ns)
    pool = (~np.isnan(proxy)).sum(axis=1)
    if strict:
        _quarter(pool, int(wanted.max()))
    order = np.argsort(proxy, axis=1, kind="stable")  # NaN sorts last, so the pool is the first `pool` columns
    levelled = _tie_means(np.take_along_axis(proxy, order, 1), np.take_along_axis(truth, order, 1))
    inside = np.arange(proxy.shape[1])[None, :] < pool[:, None]
    levelled = np.where(inside, levelled, 0.0)
    columns = [(_weights(int(n), pool, proxy.shape[1]) * levelled).sum(axis=1) for n in wanted]
    values = np.stack(columns, axis=1)
    values[wanted[None, :] > pool[:, None]] = np.nan
    return values


def best_of_n_curve(
    proxy: Float[np.ndarray, "P N"],
    truth: Float[np.ndarray, "P N"],
    ns: Sequence[int],
    *,
    seed: int,
    strict: bool = True,
    resamples: int = 2000,
) -> BestOfNCurve:
    """Best-of-n by the proxy: proxy, true and oracle reward with intervals over prompts.

    All n's are measured on the same prompts: one whose pool is too small for the largest n (possible with
    `strict=False` only) is left out everywhere, and counted.

    Args:
        proxy: what selects, one row a prompt; NaN where it abstained.
        truth: what is measured, same shape.
        ns: numbers of candidates.
        seed: of the bootstrap.
        strict: see `best_of_n_values`.
        resamples: bootstrap resamples.

    Raises:
        ShapeError: if the two differ in shape or are not matrices.
        InputError: as `best_of_n_values`, and if no prompt is left.
    """
    proxy, truth = _checked(proxy, truth)
    counts = tuple(int(n) for n in sorted(set(_counts(ns).tolist())))
    ceiling = np.where(np.isnan(proxy), np.nan, truth)
    values = {
        "proxy": best_of_n_values(proxy, np.where(np.isnan(proxy), 0.0, proxy), counts, strict=strict),
        "truth": best_of_n_values(proxy, truth, counts, strict=strict),
        "oracle": best_of_n_values(ceiling, truth, counts, strict=strict),
    }
    kept = ~np.isnan(values["truth"]).any(axis=1)
    if not kept.any():
        raise InputError(f"best_of_n_curve: no prompt has {max(counts)} valid candidates; give a smaller n")

    def estimates(table: Float[np.ndarray, "P K"]) -> tuple[Estimate, ...]:
        return tuple(bootstrap_mean(c, seed=seed, resamples=resamples) for c in table[kept].T)

    return BestOfNCurve(
        ns=counts,
        kl_bound=tuple(kl_best_of_n_bound(n) for n in counts),
        proxy=estimates(values["proxy"]),
        truth=estimates(values["truth"]),
        oracle=estimates(values["oracle"]),
        gain=estimates(values["truth"] - best_of_n_values(proxy, truth, [1], strict=strict)),
        excluded=int((~kept).sum()),
        abstained=int(np.isnan(proxy).sum()),
    )


def peak_and_turn(
    proxy: Float[np.ndarray, "P N"],
    truth: Float[np.ndarray, "P N"],
    ns: Sequence[int],
    *,
    seed: int,
    strict: bool = True,
    resamples: int = 2000,
) -> Turn:
    """Whether true reward falls again: peak chosen on one half of the prompts, tested on the other.

    Choosing and testing on the same prompts would show a drop where there is only noise.

    Args:
        proxy: what selects, one row a prompt; NaN where it abstained.
        truth: what is measured, same shape.
        ns: numbers of candidates; at least two of them.
        seed: of the split into halves and of the bootstrap.
        strict: see `best_of_n_values`.
        resamples: bootstrap resamples.

    Raises:
        ShapeError: if the two differ in shape or are not matrices.
        InputError: as `best_of_n_values`, and with fewer than four prompts or two n's.
    """
    counts = sorted(set(_counts(ns).tolist()))
    values = best_of_n_values(proxy, truth, counts, strict=strict)
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < 4 or len(counts) < 2:
        raise InputError(
            f"peak_and_turn: {len(values)} usable prompts and {len(counts)} n's; give at least 4 and 2 of them"
        )
    shuffled = np.random.default_rng(seed).permutation(len(values))
    choose, test = np.split(shuffled, [len(values) // 2])
    peak = int(np.argmax(values[choose].mean(axis=0)))
    drop = bootstrap_mean(values[test, peak] - values[test, -1], seed=seed, resamples=resamples)
    return Turn(peak=counts[peak], largest=counts[-1], drop=drop, turned=bool(drop.low > 0))


def _weights(n: int, pool: Int[np.ndarray, " P"], width: int) -> Float[np.ndarray, "P N"]:
    """Probability that the best of n has rank i: `C(i-1, n-1) / C(N, n) = n/N * C(i-1, n-1)/C(N-1, n-1)`."""
    i = np.arange(1, width + 1, dtype=np.float64)[None, :]
    size = np.maximum(pool, n).astype(np.float64)[:, None]
    usable = (i >= n) & (i <= pool[:, None])
    rank = np.where(usable, i, n)
    # log C(i-1, n-1) - log C(N-1, n-1); the two (n-1)! cancel
    log = gammaln(rank) - gammaln(rank - n + 1) - gammaln(size) + gammaln(size - n + 1)
    return np.asarray(np.where(usable, np.exp(log) * n / size, 0.0))


def _tie_means(key: Float[np.ndarray, "P N"], value: Float[np.ndarray, "P N"]) -> Float[np.ndarray, "P N"]:
    """Values averaged over runs of equal keys within each row; keys are sorted."""
    starts = np.ones(key.shape, dtype=bool)
    starts[:, 1:] = key[:, 1:] != key[:, :-1]
    block = np.cumsum(starts.ravel()) - 1  # rows start a block, so blocks never span rows
    size = np.bincount(block)
    clean = np.where(np.isnan(key), 0.0, value).ravel()  # beyond the pool: weighted zero later
    return np.asarray((np.bincount(block, weights=clean) / size)[block].reshape(key.shape))


def _checked(
    proxy: Float[np.ndarray, "P N"], truth: Float[np.ndarray, "P N"]
) -> tuple[Float[np.ndarray, "P N"], Float[np.ndarray, "P N"]]:
    proxy, truth = np.asarray(proxy, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if proxy.ndim != 2 or proxy.shape != truth.shape:
        raise ShapeError(f"best_of_n: proxy is {proxy.shape} and truth {truth.shape}; both are (prompts, candidates)")
    if not proxy.size:
        raise InputError("best_of_n: the pool is empty; give at least one prompt with one candidate")
    bad = np.argwhere(~np.isnan(proxy) & ~np.isfinite(truth))
    if bad.size:
        p, i = (int(x) for x in bad[0])
        raise InputError(
            f"best_of_n: truth of prompt {p}, candidate {i} is {truth[p, i]} where the proxy counts; "
            "set the proxy to NaN there, or give the true reward"
        )
    return proxy, truth


def _counts(ns: Sequence[int]) -> Int[np.ndarray, " K"]:
    wanted = np.asarray(list(ns))
    if wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer) or wanted.min() < 1:
        raise InputError(f"best_of_n: ns is {list(ns)!r}; give whole numbers, each at least 1")
    return wanted


def _quarter(pool: Int[np.ndarray, " P"], largest: int) -> None:
    worst = int(np.argmin(pool))
    if 4 * largest > pool[worst]:
        raise InputError(
            f"best_of_n: n = {largest} is more than a quarter of prompt {worst}'s pool of {int(pool[worst])} "
            f"valid candidates; give n up to {int(pool[worst]) // 4}, a larger pool, or strict=False"
        )
