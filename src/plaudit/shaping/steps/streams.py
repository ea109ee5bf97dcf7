"""Streams: rewards that stay apart until the advantage, each with a discount and a baseline of its own [191, 198]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.shaping.groups.baselines import leave_one_out
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels

Baseline = Literal["none", "mean", "leave-one-out", "standardised", "process-leave-one-out"]


@final
@dataclass(frozen=True, eq=False)
class Stream:
    """Rewards a token of n completions, and how they become returns.

    Attributes:
        values: (n, t); 0 where there is no token.
        discount: of later rewards, in [0, 1].
        weight: of its advantages in the sum.
        baseline: `none`; or of the returns from the first token, within each group: `mean`, that of the others
            (`leave-one-out`), or mean and deviation (`standardised`, over n - 1, epsilon 1e-4); or, of the rewards
            themselves, `process-leave-one-out`.

    Raises:
        ShapeError: if values are not (n, t).
        InputError: if the discount is outside [0, 1] or the baseline not known.
    """

    values: Floats
    discount: float = 1.0
    weight: float = 1.0
    baseline: Baseline = "leave-one-out"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        if self.values.ndim != 2:
            raise ShapeError(f"stream: values have shape {self.values.shape}; give (n, t)")
        if not 0 <= self.discount <= 1:
            raise InputError(f"stream: discount is {self.discount}; give a number between 0 and 1")
        if self.baseline not in get_args(Baseline):
            raise InputError(
                f"stream: baseline {self.baseline!r} is not known; {nearest(self.baseline, get_args(Baseline))}"
            )


def discounted_returns(values: Float[np.ndarray, "n t"], discount: float) -> Float[np.ndarray, "n t"]:
    """`G_t = r_t + discount G_{t+1}`, G after the last token 0.

    Args:
        values: (n, t), 0 where there is no token.
        discount: in [0, 1].
    """
    r = np.asarray(values, dtype=np.float64)
    if discount == 1:
        return np.asarray(r[:, ::-1].cumsum(axis=1)[:, ::-1])
    found, later = np.empty_like(r), np.zeros(len(r))
    for t in range(r.shape[1] - 1, -1, -1):  # over tokens, for all completions at once
        later = r[:, t] + discount * later
        found[:, t] = later
    return found


def process_leave_one_out(
    values: Float[np.ndarray, "n t"], mask: Bool[np.ndarray, "n t"], groups: Labels | Groups
) -> Float[np.ndarray, "n t"]:
    """`K / (K - 1) r_{i,t} - 1 / (K - 1) sum_j mean_t r_{j,t}` over the K completions of a group.

    The second sum runs over all K, as the released code's does, so that the means of the completions are compared as in
    leave one out.

    Args:
        values: rewards a token.
        mask: True where there is a token; 0 elsewhere.
        groups: a label a completion. A completion without tokens, or with a reward that is missing (NaN), leaves it.

    Returns:
        0 in groups of fewer than two completions.

    Source: Cui et al. 2025, "Process Reinforcement through Implicit Rewards" (PRIME), released code [198].
    """
    kept = np.asarray(mask, dtype=bool)
    r = np.where(kept, values, 0.0)
    n = kept.sum(axis=1)
    mean = np.where(n > 0, r.sum(axis=1) / np.maximum(n, 1), np.nan)
    g = Grouped.of("process_leave_one_out", mean, groups)
    k = g.n[g.groups.code][:, None]
    told = np.maximum(k - 1, 1)
    found = (k * r - g.total()[g.groups.code][:, None]) / told
    return np.where(kept & (k >= 2) & ~np.isnan(mean)[:, None], found, 0.0)


def stream_advantages(
    streams: Sequence[Stream], mask: Bool[np.ndarray, "n t"], groups: Labels | Groups, *, whiten: bool = False,
    epsilon: float = 1e-8,
) -> Float[np.ndarray, "n t"]:  # fmt: skip
    """`sum_k w_k A^k_t`, each stream's returns less its own baseline.

    Args:
        streams: all of the mask's shape. A completion with a missing reward (NaN) in any of them has no advantage, and
            enters the baseline of none.
        mask: True where there is a token; 0 elsewhere.
        groups: a label a completion.
        whiten: mean 0 and deviation 1 over all tokens of the batch in the end. Where every stream has a baseline,
            completions without a sibling leave that mean and deviation, and keep their 0.
        epsilon: added to that deviation.

    Raises:
        ShapeError: if a stream has another shape.
        InputError: if there is no stream.

    Source: Yeo et al. 2025 [191] (a discount a stream); Cui et al. 2025 [198] (a baseline a stream, then whitening).
    """
    kept = np.asarray(mask, dtype=bool)
    if not streams:
        raise InputError("stream_advantages: there are no streams; give at least one")
    there = np.asarray(kept.any(axis=1))
    for k, stream in enumerate(streams):
        if stream.values.shape != kept.shape:
            raise ShapeError(f"stream_advantages: stream {k} is {stream.values.shape} and the mask {kept.shape}")
        there &= ~np.isnan(np.where(kept, stream.values, 0.0)).any(axis=1)
    # a completion with a reward that is missing says nothing: it has no tokens, and enters no statistic of any stream
    told, total = kept & there[:, None], np.zeros(kept.shape)
    for stream in streams:
        total += stream.weight * _advantage(stream, told, groups)
    total = np.where(told, total, 0.0)
    if whiten:
        says = told & (_comparable(there, groups)[:, None] | any(s.baseline == "none" and s.weight for s in streams))
        known = total[says]
        total = np.where(says, (total - known.mean()) / (known.std() + epsilon), 0.0) if known.size else total
    return total


def _comparable(there: Bool[np.ndarray, " n"], groups: Labels | Groups) -> Bool[np.ndarray, " n"]:
    """Whether a completion and at least one of its siblings are there."""
    return Grouped.of("stream_advantages", np.where(there, 0.0, np.nan), groups).comparable


def _advantage(stream: Stream, mask: np.ndarray, groups: Labels | Groups) -> Floats:
    values = np.where(mask, stream.values, 0.0)
    if stream.baseline == "process-leave-one-out":
        return np.asarray(discounted_returns(process_leave_one_out(values, mask, groups), stream.discount))
    returns = np.asarray(discounted_returns(values, stream.discount))
    if stream.baseline == "none":
        return returns
    # one baseline a completion, that of its return from the first token: it knows nothing of what comes later
    begin = mask.argmax(axis=1) if mask.shape[1] else np.zeros(len(mask), dtype=np.int64)
    first = np.full(len(mask), np.nan)
    some = mask.any(axis=1)
    first[some] = returns[some, begin[some]]
    g = Grouped.of("stream", first, groups)
    others = first - leave_one_out(first, g.groups) if stream.baseline == "leave-one-out" else g.mean[g.groups.code]
    scale = np.ones(len(first))
    if stream.baseline == "standardised":
        scale = np.nan_to_num(g.std(ddof=1))[g.groups.code] + 1e-4
    return np.where(g.comparable[:, None], (returns - others[:, None]) / scale[:, None], 0.0)
