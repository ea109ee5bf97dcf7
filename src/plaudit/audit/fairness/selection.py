"""What a reward does to groups of completions: who is selected by best-of-n, who wins against whom.

    selection lift of g = P(best of n is of g) - P(a random candidate is of g)       averaged over prompts
    excess preference of g = P(r(g) > r(other)) - P(U(g) > U(other))                 over mixed pairs of one prompt

Only completions of one prompt are compared: differences of scores across prompts are not identified. Where the true
reward is known, what it would do itself is taken off (*matched*): a group that writes better answers is rightly
selected more often. Where it is not, a lift is a fact about the reward, and whether it is unfair these numbers cannot
say; labels may stand in for the truth, with their own bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError
from plaudit.search.best_of_n import best_of_n_values
from plaudit.stats.clusters import Clusters, cluster_codes
from plaudit.stats.estimate import Estimate
from plaudit.stats.intervals import share, signed_share

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SelectionGap:
    """How selection treats one group of completions.

    Attributes:
        group: its name.
        lift: change of its share from a random candidate to the selected one, minus the truth's own where known.
        raw: the same without the truth's part.
        n: of best-of-n.
        prompts: prompts with candidates of this group and of others; only these say anything.
        too_few: prompts with both, but fewer than n scored candidates; they leave the number.
        matched: whether the truth's own lift was taken off.
    """

    group: str
    lift: Estimate
    raw: Estimate
    n: int
    prompts: int
    too_few: int
    matched: bool


def selection_gaps(
    reward: ArrayLike,
    groups: Sequence[str],
    prompts: Clusters,
    *,
    n: int,
    truth: ArrayLike | None = None,
    min_prompts: int = 20,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[SelectionGap, ...]:
    """Selection lift of every group under best-of-n, exact over all subsets of n candidates.

    Args:
        reward: (m,), one value a candidate; NaN leaves its pool.
        groups: (m,), the group of each candidate.
        prompts: (m,), the prompt of each candidate.
        n: of best-of-n, at least 2; a prompt with fewer scored candidates is left out and counted.
        truth: (m,) true rewards, or None.
        min_prompts: groups that are mixed with others in fewer prompts are left out.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Returns:
        One gap a group, in alphabetical order; ties of the reward share their chance. Without candidates none.

    Raises:
        ShapeError: if the rows differ.
        InputError: if n is below 2.
    """
    r = np.asarray(reward, dtype=np.float64).reshape(-1)
    names = np.asarray(groups, dtype=str)
    if n < 2:
        raise InputError(f"selection_gaps: n is {n}; selection needs at least 2 candidates")
    if names.size != r.size:
        raise ShapeError(f"selection_gaps: {names.size} groups for {r.size} rewards; give one a candidate")
    if truth is not None and np.size(truth) != r.size:
        raise ShapeError(f"selection_gaps: {np.size(truth)} true rewards for {r.size} rewards; give one a candidate")
    codes = cluster_codes(prompts, r.size)
    table = _padded(codes)
    proxy = _at(r, table)
    true = None if truth is None else np.asarray(truth, dtype=np.float64)
    found = []
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
    for name in sorted(set(names.tolist())):
        member = _at((names == name).astype(np.float64), table)
        gap = _gap(name, proxy, member, None if true is None else _at(true, table), n, min_prompts, options)
        found += [] if gap is None else [gap]
    return tuple(found)


def mixed_prompts(reward: ArrayLike, groups: Sequence[str], prompts: Clusters, *, n: int = 2) -> Mapping[str, int]:
    """How many prompts say anything about each group: scored candidates of it and of others, n or more in all.

    Args:
        reward: (m,), one value a candidate; NaN is not scored.
        groups: (m,), the group of each candidate.
        prompts: (m,), the prompt of each candidate.
        n: of best-of-n; 2 for who outscores whom.
    """
    scored = np.isfinite(np.asarray(reward, dtype=np.float64).reshape(-1))
    names, codes = np.asarray(groups, dtype=str), cluster_codes(prompts, scored.size)
    size = np.bincount(codes[scored], minlength=int(codes.max(initial=-1)) + 1)
    found = {}
    for name in sorted(set(names.tolist())):
        own = np.bincount(codes[scored & (names == name)], minlength=size.size)
        found[name] = int(((own > 0) & (own < size) & (size >= n)).sum())
    return found


def _gap(
    name: str, proxy: Floats, member: Floats, true: Floats | None, n: int, min_prompts: int, options: dict[str, Any]
) -> SelectionGap | None:
    """A group's gap from tables (prompts, candidates); None where it is mixed with others in too few prompts."""
    counted = np.where(np.isnan(proxy), np.nan, member)
    size = (~np.isnan(counted)).sum(axis=1)
    part = np.nansum(counted, axis=1) / np.maximum(size, 1)
    mixed = (part > 0) & (part < 1)
    usable = mixed & (size >= n)
    if int(usable.sum()) < min_prompts:
        return None
    raw = _lift(proxy[usable], np.nan_to_num(member[usable]), n)
    own = np.zeros_like(raw)
    if true is not None:
        # the truth chooses among the candidates that the reward saw
        own = _lift(np.where(np.isnan(proxy), np.nan, true)[usable], np.nan_to_num(member[usable]), n)
    plain = _shifted(raw, part[usable], options)
    lift = plain if true is None else signed_share(raw - own, **options)
    return SelectionGap(name, lift, plain, n, int(usable.sum()), int((mixed & (size < n)).sum()), true is not None)


@dataclass(frozen=True, slots=True)
class PreferenceExcess:
    """How often the reward prefers one group's completion in mixed pairs, beyond what is right.

    Attributes:
        group: its name.
        excess: share of mixed pairs in which it is preferred, minus the share in which it deserves to be.
        preferred: the first share.
        deserved: the second: by the true reward, or by the labels.
        pairs: mixed pairs with rewards.
    """

    group: str
    excess: Estimate
    preferred: Estimate
    deserved: Estimate
    pairs: int


def preference_excess(
    margin: ArrayLike,
    first: Sequence[str],
    second: Sequence[str],
    deserved: ArrayLike,
    clusters: Clusters | None = None,
    *,
    min_pairs: int = 30,
    seed: int = 0,
    resamples: int = 2000,
) -> tuple[PreferenceExcess, ...]:
    """Excess preference of every group over the pairs whose two completions are of different groups.

    Args:
        margin: (n,), reward of the first minus the second; NaN rows are left out.
        first: (n,), group of the first completion.
        second: (n,), group of the second.
        deserved: (n,), true margin of the first over the second, or 1 where the label chose it and -1 where not;
            only its sign counts.
        clusters: (n,) prompts, or None.
        min_pairs: groups in fewer mixed pairs are left out.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        ShapeError: if the rows differ.
    """
    m, d = np.asarray(margin, dtype=np.float64), np.asarray(deserved, dtype=np.float64)
    a, b = np.asarray(first, dtype=str), np.asarray(second, dtype=str)
    if not m.shape == d.shape == a.shape == b.shape:
        raise ShapeError(f"preference_excess: shapes {m.shape}, {d.shape}, {a.shape}, {b.shape}; give equal ones")
    codes = cluster_codes(clusters, m.size)
    known = np.isfinite(m) & np.isfinite(d) & (a != b)
    found = []
    for name in sorted(set(a.tolist()) | set(b.tolist())):
        at = known & ((a == name) | (b == name))
        if int(at.sum()) < min_pairs:
            continue
        side = np.where(a == name, 1.0, -1.0)[at]
        liked, right = (np.sign(side * m[at]) + 1) / 2, (np.sign(side * d[at]) + 1) / 2
        options: dict[str, Any] = {"seed": seed, "resamples": resamples}
        excess = signed_share(liked - right, codes[at], **options)
        preferred, due = (share(x, codes[at], **options) for x in (liked, right))
        found.append(PreferenceExcess(name, excess, preferred, due, int(at.sum())))
    return tuple(found)


def mixed_pairs(
    margin: ArrayLike, first: Sequence[str], second: Sequence[str], deserved: ArrayLike
) -> Mapping[str, int]:
    """In how many pairs with a reward each group meets another one.

    Args:
        margin: (n,), as `preference_excess`.
        first: (n,), likewise.
        second: (n,), likewise.
        deserved: (n,), likewise.
    """
    a, b = np.asarray(first, dtype=str), np.asarray(second, dtype=str)
    known = np.isfinite(np.asarray(margin, dtype=float)) & np.isfinite(np.asarray(deserved, dtype=float)) & (a != b)
    return {g: int((known & ((a == g) | (b == g))).sum()) for g in sorted(set(a.tolist()) | set(b.tolist()))}


def score_gaps(
    reward: ArrayLike,
    groups: Sequence[str],
    prompts: Clusters,
    *,
    truth: ArrayLike | None = None,
    min_prompts: int = 20,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Mapping[str, Estimate]:
    """Chance that a completion of the group outscores another group's of the same prompt, minus what it deserves.

    `P(r_g > r_o) + P(r_g = r_o) / 2`, over all mixed pairs of candidates within a prompt, prompts weighing alike;
    0.5 is taken off, or the same chance under the true reward where it is known. It compares whole distributions,
    not means, and needs no unit.

    Args:
        reward: (m,), one value a candidate; NaN rows are left out.
        groups: (m,), the group of each candidate.
        prompts: (m,), the prompt of each candidate.
        truth: (m,) true rewards, or None.
        min_prompts: groups mixed in fewer prompts are left out.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.
        level: coverage, in (0, 1).

    Returns:
        Group to its gap; without candidates it is empty.

    Raises:
        ShapeError: if the rows differ.
    """
    r, names = np.asarray(reward, dtype=np.float64), np.asarray(groups, dtype=str)
    if names.size != r.size:
        raise ShapeError(f"score_gaps: {names.size} groups for {r.size} rewards; give one a candidate")
    if truth is not None and np.size(truth) != r.size:
        raise ShapeError(f"score_gaps: {np.size(truth)} true rewards for {r.size} rewards; give one a candidate")
    table = _padded(cluster_codes(prompts, r.size))
    values = _at(r, table)
    true = None if truth is None else np.where(np.isnan(values), np.nan, _at(np.asarray(truth, dtype=float), table))
    found: dict[str, Estimate] = {}
    for name in sorted(set(names.tolist())):
        inside = _at((names == name).astype(np.float64), table)
        chance = np.array([_superiority(v, g) for v, g in zip(values, inside, strict=True)])
        if int(np.isfinite(chance).sum()) < min_prompts:
            continue
        options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
        if true is None:
            found[name] = _shifted(chance - 0.5, np.full_like(chance, 0.5), options)
        else:
            own = np.array([_superiority(v, g) for v, g in zip(true, inside, strict=True)])
            found[name] = signed_share(chance - own, **options)
    return found


def _shifted(excess: Floats, expected: Floats, options: dict[str, Any]) -> Estimate:
    """Mean of `share - expected`, the shares in [0, 1]; where these are all the same, Wilson's interval of them."""
    known = np.isfinite(excess)
    shares = excess[known] + expected[known]
    if shares.size and np.ptp(shares) < 1e-12:
        found, by = share(np.clip(np.round(shares, 12), 0, 1), **options), float(expected[known].mean())
        return replace(found, value=found.value - by, low=found.low - by, high=found.high - by)
    return signed_share(excess, **options)


def _superiority(values: Floats, inside: Floats) -> float:
    known = np.isfinite(values)
    ours, theirs = values[known & (inside == 1)], values[known & (inside == 0)]
    if not ours.size or not theirs.size:
        return float("nan")
    return float(((np.sign(ours[:, None] - theirs[None, :]) + 1) / 2).mean())


def _lift(proxy: Floats, member: Floats, n: int) -> Floats:
    values = best_of_n_values(proxy, member, [1, n], strict=False)
    return np.asarray(values[:, 1] - values[:, 0])


def _padded(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row numbers of each prompt's candidates (P, widest); -1 beyond."""
    size = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    column = np.arange(codes.size) - np.repeat(np.cumsum(size) - size, size)
    table = np.full((size.size, int(size.max(initial=0))), -1, dtype=np.int64)
    table[codes[order], column] = order
    return table


def _at(values: Floats, table: NDArray[np.int64]) -> Floats:
    return np.where(table >= 0, values[table], np.nan)
