"""A subset of candidates from several rankings, with a quota for each group: fair multiwinner selection [91].

    Borda   F(S) = sum_v sum_{i in S} (n - 1 - rank_v(i))
    SNTV    F(S) = sum_v [v's first choice is in S]
    CC      F(S) = sum_v max_{i in S} (n - 1 - rank_v(i))         (Chamberlin-Courant)

Judges that rank a group's candidates too low leave it out. A quota puts it back in, without saying who is right: among
the group, and among the others, the rankings still decide. How much of the latent quality that recovers depends on F:
sums (Borda) need few rankings, first choices and maxima (SNTV, CC) many (`committee_curve` measures it).

**What it costs.** Where the rankings are *not* biased a quota costs quality, of the order of 1 / sqrt(k) for groups
that are alike, and more where one group truly is better. It helps only those who are candidates.

Source: Boehmer et al. 2023, "Subset Selection Based On Multiple Rankings in the Presence of Bias" [91]; Nemhauser et
al. 1978 for greedy selection.

Differs from the paper: the greedy choice respects the quotas at every step (a matroid), which is optimal for Borda and
SNTV, and for CC guaranteed half of the best only; 1 - 1/e holds without quotas. Quotas are rounded down by default: the
paper's `ceil(k |G| / n)` can add up to more than k.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import t_interval

Committee = Literal["borda", "sntv", "chamberlin-courant"]


def committee_score(ranks: ArrayLike, subset: Sequence[int], *, rule: Committee = "borda") -> float:
    """F of a subset, a mean over voters; Borda's and CC's points are divided by n - 1, so that a candidate has 0 to 1.

    Args:
        ranks: (m, n), each row a ranking: 0 for the best to n - 1; ties are allowed as equal numbers.
        subset: candidates, each once.
        rule: which F.

    Raises:
        ShapeError: if the ranks are not (m, n) with m and n at least 1.
        InputError: if the rule is not known, or a candidate is none or stands twice.
    """
    gain = _points(ranks, rule)
    chosen = list(subset)
    if len(set(chosen)) != len(chosen) or any(not 0 <= i < gain.shape[1] for i in chosen):
        raise InputError(f"committee_score: subset {chosen} of {gain.shape[1]} candidates; name each once, from 0")
    if not chosen:
        return 0.0
    part = gain[:, chosen]
    return float(part.max(axis=1).mean() if rule == "chamberlin-courant" else part.sum(axis=1).mean())


def proportional_quotas(groups: Sequence[str], k: int, *, rounding: Literal["down", "up"] = "down") -> dict[str, int]:
    """Places of each group in proportion to its candidates: `k |G_g| / n`, rounded.

    Args:
        groups: (n,), the group of each candidate.
        k: size of the subset.
        rounding: `up` is the paper's; it may ask for more than k places.

    Raises:
        InputError: if k is not between 1 and n, or the quotas add up to more than k.
    """
    n = len(groups)
    if not 1 <= k <= n:
        raise InputError(f"proportional_quotas: k is {k} of {n} candidates; give 1 to {n}")
    # exact whole numbers: k * size / n in floats may lie a hair above a whole number, and be rounded up from there
    quotas = {
        g: -(-k * size // n) if rounding == "up" else k * size // n for g, size in sorted(Counter(groups).items())
    }
    if sum(quotas.values()) > k:
        raise InputError(f"proportional_quotas: {quotas} add up to {sum(quotas.values())} of {k} places; round down")
    return quotas


def select_committee(
    ranks: ArrayLike,
    k: int,
    *,
    rule: Committee = "borda",
    groups: Sequence[str] = (),
    quotas: Mapping[str, int] | None = None,
) -> tuple[int, ...]:
    """So many candidates, greedily by F, with at least the quota of each group.

    At each step the candidate that adds most is taken among those that leave enough places for what the quotas still
    ask for; equal ones by their number. Without quotas it is plain greedy; for Borda and SNTV that is the top k.

    Args:
        ranks: (m, n), see `committee_score`.
        k: how many.
        rule: which F.
        groups: (n,), the group of each candidate, where there are quotas.
        quotas: group to the fewest places that it gets; groups that are not named get what they get.

    Returns:
        Candidates in the order in which they were taken.

    Raises:
        ShapeError: if there is not one group a candidate.
        InputError: if k is not between 1 and n, or the quotas cannot be met.

    Source: [91]; Nemhauser et al. 1978.
    """
    gain = _points(ranks, rule)
    n = gain.shape[1]
    if not 1 <= k <= n:
        raise InputError(f"select_committee: k is {k} of {n} candidates; give 1 to {n}")
    need = {g: q for g, q in (quotas or {}).items() if q > 0}
    names = np.asarray(groups if need else [""] * n, dtype=str)
    if names.size != n:
        raise ShapeError(f"select_committee: {names.size} groups for {n} candidates; give one a candidate")
    _check_quotas(need, Counter(names.tolist()), k)
    best, taken = np.zeros(gain.shape[0]), list[int]()
    free = np.ones(n, dtype=bool)
    for place in range(k):
        added = gain.sum(axis=0)
        if rule == "chamberlin-courant":
            added = np.maximum(gain - best[:, None], 0.0).sum(axis=0)
        open_places = k - place > sum(need.values())
        allowed = free if open_places else free & np.isin(names, list(need))
        choice = int(np.argmax(np.where(allowed, added, -np.inf)))
        taken.append(choice)
        free[choice] = False
        best = np.maximum(best, gain[:, choice])
        group = str(names[choice])
        if group in need:
            need = {g: q - (g == group) for g, q in need.items() if q - (g == group) > 0}
    return tuple(taken)


@dataclass(frozen=True, slots=True)
class CommitteePoint:
    """Latent quality of a selection from m observed rankings.

    Attributes:
        m: rankings used.
        with_quotas: quality of the selection with quotas, as a share of the best selection's.
        without: likewise without them.
        gain: the difference, paired within draws.
    """

    m: int
    with_quotas: Estimate
    without: Estimate
    gain: Estimate


def committee_curve(
    observed: ArrayLike,
    latent: ArrayLike,
    groups: Sequence[str],
    k: int,
    ms: Sequence[int],
    *,
    quotas: Mapping[str, int],
    rule: Committee = "borda",
    draws: int = 100,
    seed: int = 0,
) -> tuple[CommitteePoint, ...]:
    """How many rankings are needed: latent quality against the number of observed rankings.

    Args:
        observed: (M, n), the pool of (perhaps biased) rankings, from which m are drawn without replacement.
        latent: (L, n), rankings without bias: what is measured by, `F(S) / F(greedy S of the latent)`.
        groups: (n,), the group of each candidate.
        k: size of the selection.
        ms: numbers of rankings, each 1 to M.
        quotas: group to its places.
        rule: which F, for selecting and measuring.
        draws: random subsets for each m; their spread is the interval.
        seed: of the draws.

    Raises:
        ShapeError: if the two differ in their candidates.
        InputError: if an m is out of range, there are fewer than two draws, or as `select_committee`.

    Source: [91], the experiments on the number of rankings.
    """
    pool, truth = np.asarray(observed, dtype=np.float64), np.asarray(latent, dtype=np.float64)
    if pool.ndim != 2 or truth.ndim != 2 or pool.shape[1] != truth.shape[1]:
        raise ShapeError(f"committee_curve: observed {pool.shape}, latent {truth.shape}; give (M, n) and (L, n)")
    if draws < 2 or any(not 1 <= m <= len(pool) for m in ms):
        raise InputError(f"committee_curve: ms {list(ms)} and {draws} draws; give 1 to {len(pool)}, and at least 2")
    top = committee_score(truth, select_committee(truth, k, rule=rule), rule=rule)
    found = []
    for m in ms:
        rng = np.random.default_rng([seed, m])
        rows = np.empty((draws, 2))
        for d in range(draws):
            part = pool[rng.choice(len(pool), m, replace=False)]
            fair = select_committee(part, k, rule=rule, groups=groups, quotas=quotas)
            plain = select_committee(part, k, rule=rule)
            rows[d] = [committee_score(truth, s, rule=rule) / top if top else math.nan for s in (fair, plain)]
        fair_q, plain_q, gain = (t_interval(v) for v in (rows[:, 0], rows[:, 1], rows[:, 0] - rows[:, 1]))
        found.append(CommitteePoint(m, fair_q, plain_q, gain))
    return tuple(found)


def _points(ranks: ArrayLike, rule: Committee) -> NDArray[np.float64]:
    """What each voter gives each candidate, (m, n), 0 to 1."""
    if rule not in get_args(Committee):
        raise InputError(f"committee: rule {rule!r} is not known; {nearest(rule, get_args(Committee))}")
    table = np.asarray(ranks, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ShapeError(f"committee: ranks are {table.shape}; give (voters, candidates), at least one of each")
    n = table.shape[1]
    if not np.isfinite(table).all() or table.min() < 0 or table.max() > n - 1:
        raise InputError(f"committee: ranks lie between {table.min()} and {table.max()}; give 0 (best) to {n - 1}")
    if rule == "sntv":
        first = (table == table.min(axis=1, keepdims=True)).astype(np.float64)
        return np.asarray(first / first.sum(axis=1, keepdims=True))  # those who tie for the first place share the vote
    return np.asarray((n - 1 - table) / max(n - 1, 1))


def _check_quotas(need: Mapping[str, int], size: Mapping[str, int], k: int) -> None:
    for group, places in need.items():
        if size.get(group, 0) < places:
            raise InputError(f"select_committee: {group!r} has {size.get(group, 0)} candidates for {places} places")
    if sum(need.values()) > k:
        raise InputError(f"select_committee: quotas {dict(need)} ask for {sum(need.values())} of {k} places")
