"""Which completions of a group an update learns from: filters by reliability, and how to choose one [105].

Differs from the paper: where all rewards of a group are equal, every member has the same weight (there is no best one),
and of several best (or worst) members each has its share of their weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels


def best_weights(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """1 for the best of each group, 0 for the others: best-of-n.

    Args:
        reward: (n,), NaN where there is none: weight 0.
        groups: a label a sample.
    """
    r = Grouped.of("best_weights", reward, groups)
    return _shared(r, r.greatest)


def best_random_weights(reward: ArrayLike, groups: Labels | Groups, *, best: float = 0.5) -> Float[np.ndarray, " n"]:
    """The best of each group with the probability `best`, each of the others with an equal part of the rest.

    The paper's weights for five completions, 0.4 for the best and 0.1 for each other, are these times 0.8: only their
    ratios matter.

    Args:
        reward: (n,), NaN where there is none: weight 0.
        groups: a label a sample.
        best: in [0, 1]. A group of one has weight 1.

    Raises:
        InputError: if `best` is outside [0, 1].
    """
    if not 0 <= best <= 1:
        raise InputError(f"best_random_weights: best is {best}; give a probability")
    r = Grouped.of("best_random_weights", reward, groups)
    first = _shared(r, r.greatest)
    top = np.bincount(r.groups.code, weights=(first > 0), minlength=r.groups.count)[r.groups.code]
    n = r.n[r.groups.code]
    others = np.where(first > 0, 0.0, (1 - best) / np.maximum(n - top, 1))
    found = np.where(n > top, np.where(first > 0, best * first, others), first)
    return np.where(np.isnan(r.value), 0.0, found)


def best_worst_weights(reward: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
    """1/2 for the best and 1/2 for the worst of each group, 0 for the others.

    Args:
        reward: (n,), NaN where there is none: weight 0.
        groups: a label a sample.
    """
    r = Grouped.of("best_worst_weights", reward, groups)
    return (_shared(r, r.greatest) + _shared(r, r.least)) / 2


def power_weights(reward: ArrayLike, groups: Labels | Groups, *, power: float = 2.0) -> Float[np.ndarray, " n"]:
    """`|r|^power`, so that what the reward is sure of counts; sums to 1 in each group.

    Args:
        reward: (n,) normalised over the whole buffer beforehand, so that 0 is "cannot say"; NaN where there is none.
        groups: a label a sample.
        power: at least 0; 0 is no filter.

    Raises:
        InputError: if the power is negative.
    """
    if not power >= 0:
        raise InputError(f"power_weights: power is {power}; give a number of at least 0")
    r = Grouped.of("power_weights", reward, groups)
    code = r.groups.code
    size = np.abs(r.value)
    top = float(np.nanmax(size)) if r.n.any() else 0.0
    raw = (size / top if top > 0 else size) ** power  # only ratios matter, and large numbers have larger squares
    total = r.total(raw)
    found = raw * (1 / np.where(total > 0, total, 1.0))[code]
    if (total <= 0).any():  # where every reward is 0, no one counts more than another
        found = np.where((total > 0)[code], found, (1 / np.maximum(r.n, 1))[code])
    return found if r.missing is None else np.where(r.missing, 0.0, found)


Filter = Callable[[ArrayLike, Labels | Groups], Floats]
FILTERS: Mapping[str, Filter] = {
    "none": lambda reward, groups: power_weights(reward, groups, power=0.0), "best": best_weights,
    "best-random": best_random_weights, "best-worst": best_worst_weights, "power": power_weights,
}  # fmt: skip
"""The paper's filters, by name."""


def reliability(reward: ArrayLike, actual: ArrayLike, weight: ArrayLike) -> float:
    """R squared: the squared weighted correlation of rewards and what completions are worth, in [0, 1].

    Args:
        reward: (n,), NaN where there is none.
        actual: (n,) what they are worth, by a verifier or a person.
        weight: (n,) of a filter.

    Returns:
        NaN where fewer than two samples have weight, or one of the two does not vary under it.

    Source: Shen and Zhang 2024, "Policy Filtration in RLHF", section 4.3 [105].
    """
    r, a, w = (np.asarray(x, dtype=np.float64) for x in (reward, actual, weight))
    kept = ~np.isnan(r + a) & (w > 0)
    r, a, w = r[kept], a[kept], w[kept]
    if r.size < 2 or not np.ptp(r) or not np.ptp(a):
        return float("nan")
    centred = [x - np.average(x, weights=w) for x in (r, a)]
    across, own = (w * centred[0] * centred[1]).sum(), [(w * x**2).sum() for x in centred]
    return float(across**2 / (own[0] * own[1]))


def most_reliable(
    reward: ArrayLike, actual: ArrayLike, groups: Labels | Groups, *, filters: Mapping[str, Filter] = FILTERS
) -> tuple[str, dict[str, float]]:
    """The filter under which rewards say most of what completions are worth, and the R squared of each.

    Args:
        reward: (n,) on completions of the starting policy.
        actual: (n,) what they are worth.
        groups: a label a sample.
        filters: name to weights.

    Raises:
        InputError: if no filter leaves anything to correlate.
    """
    g = Groups.of(groups)
    found = {name: reliability(reward, actual, weigh(reward, g)) for name, weigh in filters.items()}
    known = {name: value for name, value in found.items() if not np.isnan(value)}
    if not known:
        raise InputError("most_reliable: under no filter do rewards and worth both vary; give more completions")
    return max(known, key=lambda name: known[name]), found


def _shared(r: Grouped, extreme: Floats) -> Floats:
    """1 divided between the members that reach the extreme of their group."""
    code = r.groups.code
    at = np.flatnonzero(r.value == extreme[code])
    found = np.zeros(r.value.size)
    found[at] = (1 / np.maximum(np.bincount(code[at], minlength=r.groups.count), 1))[code[at]]
    return found
