"""Credit at the branches of a group: what the completions that share a prefix are worth on average [138].

Differs from the paper: completions without a reward take no part in any mean; a prefix that only such completions share
has the value of the last prefix that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.engine.tree import Ids, common_prefix
from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats


def prefix_values(completions: Sequence[Sequence[int] | Ids], reward: ArrayLike) -> list[Float[np.ndarray, " _"]]:
    """`V(first t tokens)`, the mean reward of the completions of a group that share them, for t = 0 to the length.

    Args:
        completions: token ids of one group's completions; an end-of-sequence token keeps one that ends from one that
            goes on.
        reward: (g,), NaN where there is none.

    Returns:
        For each completion `length + 1` values: the first is the group's mean, the last that of its equals (its own
        reward, if it has none). Values change at branching tokens only.

    Raises:
        ShapeError: if completions and rewards differ in number.
        InputError: if no completion has a reward, or a token id is none.
    """
    r = np.asarray(reward, dtype=np.float64)
    if r.shape != (len(completions),):
        raise ShapeError(f"prefix_values: {len(completions)} completions and rewards of shape {r.shape}; give as many")
    if np.isnan(r).all():
        raise InputError("prefix_values: no completion has a reward; leave out groups without any")
    ids = [_ids(c) for c in completions]
    order = sorted(range(len(ids)), key=lambda i: ids[i].tobytes())
    # sorted by bytes, completions that share a prefix stand together, and share with all between them at least as much
    shared = np.array([common_prefix(ids[a], ids[b]) for a, b in pairwise(order)], dtype=np.int64)
    values: list[Floats] = [np.empty(0)] * len(ids)
    for place, i in enumerate(order):
        values[i] = _along(place, ids[i].size, shared, r[order])
    return values


def _ids(completion: Sequence[int] | Ids) -> Ids:
    given = np.asarray(completion, dtype=np.int64)
    if given.size and not (0 <= given.min() and given.max() < 2**31):
        raise InputError(f"prefix_values: token ids from {given.min()} to {given.max()}; give ids from 0 to 2^31 - 1")
    return np.ascontiguousarray(given, dtype=np.int32)


def _along(place: int, length: int, shared: np.ndarray, reward: Floats) -> Floats:
    """Values of the prefixes of the completion at a place of the sorted order."""
    reach = np.full(len(reward), length, dtype=np.int64)  # tokens that each completion shares with this one
    reach[place + 1 :] = np.minimum.accumulate(shared[place:]) if place < len(shared) else 0
    reach[:place] = np.minimum.accumulate(shared[:place][::-1])[::-1] if place else 0
    known = ~np.isnan(reward)
    at = np.minimum(reach[known], length)
    # sums over those that share at least t tokens: counted from the end
    total = np.bincount(at, weights=reward[known], minlength=length + 1)[::-1].cumsum()[::-1]
    count = np.bincount(at, minlength=length + 1)[::-1].cumsum()[::-1]
    last = int(np.flatnonzero(count > 0)[-1])  # V(0) is over all, so there is one
    found = np.full(length + 1, total[last] / count[last])
    found[: last + 1] = total[: last + 1] / count[: last + 1]
    return found


def branch_advantages(
    completions: Sequence[Sequence[int] | Ids], reward: ArrayLike, *, epsilon: float = 1e-6
) -> list[Float[np.ndarray, " _"]]:
    """`A_{i,t} = (r_i - mean + V(s_{t+1}) - V(s_t)) / (std + epsilon)`, a value a token.

    Tokens that do not branch get the group's advantage; one that leads to a better branch gets besides what that branch
    is worth more than the fork. Over a completion without equals the differences of V sum to `r_i - mean`.

    Args:
        completions: token ids of one group's completions.
        reward: (g,), NaN where there is none: zeros.
        epsilon: added to the deviation (over g), in units of the reward.

    Returns:
        (length,) for each completion; zeros where fewer than two have a reward, or all rewards are equal.

    Source: Tran et al. 2025, "Exploiting Tree Structure for Credit Assignment in RL Training of LLMs" (TEMPO) [138].
    """
    r = np.asarray(reward, dtype=np.float64)
    if r.shape != (len(completions),):
        raise ShapeError(f"branch_advantages: {len(completions)} completions and rewards of {r.shape}; give as many")
    known = r[~np.isnan(r)]
    if np.isinf(known).any():
        raise InputError("branch_advantages: a reward is infinite; give finite values, and NaN where there is none")
    spread = float(known.std()) if known.size >= 2 and np.ptp(known) > 0 else 0.0
    if not spread:
        return [np.zeros(len(c)) for c in completions]
    values = prefix_values(completions, r)
    return [
        np.zeros(v.size - 1) if np.isnan(x) else (x - known.mean() + np.diff(v)) / (spread + epsilon)
        for v, x in zip(values, r.tolist(), strict=True)
    ]
