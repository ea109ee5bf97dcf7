"""Returns and advantages of tokens: what comes after each of them, with and without a value function.

Everything is flat: the tokens of n completions one after another, with their lengths. Loops run over places counted
from the ends, for all completions at once.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.policy.advantages.base import AdvantageInputs
from plaudit.shaping.groups.codes import Floats


def token_returns(
    rewards: Float[np.ndarray, " t"], lengths: Int[np.ndarray, " n"], *, gamma: float = 1.0, last: ArrayLike = 0.0
) -> Float[np.ndarray, " t"]:
    """`G_s = r_s + gamma G_{s+1}` within each completion.

    Args:
        rewards: (t,) of each token.
        lengths: (n,) tokens of each completion.
        gamma: discount, in [0, 1].
        last: (n,) or a number: G after the last token; what a completion that was cut off would still have got.

    Raises:
        ShapeError: if the lengths do not add up to t.
        InputError: if gamma is out of range.

    Source: shaping's `discounted_returns` is the same on a rectangle.
    """
    return _discounted("token_returns", rewards, lengths, gamma, last)


def generalised_advantages(
    rewards: Float[np.ndarray, " t"], values: Float[np.ndarray, " t"], lengths: Int[np.ndarray, " n"], *,
    gamma: float = 1.0, lam: float = 0.95, last: ArrayLike = 0.0,
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:  # fmt: skip
    """GAE: `A_s = d_s + gamma lambda A_{s+1}`, `d_s = r_s + gamma V_{s+1} - V_s`; and returns `A + V`.

    `lam = 1` gives the return less the value (no bias, all of the variance), `lam = 0` the one-step error.

    Args:
        rewards: (t,) of each token.
        values: (t,) V of the state in which each token is chosen.
        lengths: (n,) tokens of each completion.
        gamma: discount, in [0, 1].
        lam: lambda, in [0, 1].
        last: (n,) or a number: V after the last token: 0 where the completion ended by itself.

    Returns:
        Advantages (t,), and what the value function should have said (t,).

    Raises:
        ShapeError: if parts differ in number.
        InputError: if gamma or lambda is out of range.

    Source: Schulman et al. 2015, "High-Dimensional Continuous Control Using Generalized Advantage Estimation",
    equations 11 to 16.

    Differs from verl: not whitened here (see `whitened`), and V after the last token may be other than 0.
    """
    v, r = np.asarray(values, dtype=np.float64), np.asarray(rewards, dtype=np.float64)
    if v.shape != r.shape:
        raise ShapeError(f"generalised_advantages: rewards {r.shape} and values {v.shape}; give (t,) both")
    if not 0 <= lam <= 1:
        raise InputError(f"generalised_advantages: lam is {lam}; give a number between 0 and 1")
    length = np.asarray(lengths, dtype=np.int64)
    ends = np.cumsum(length) - 1
    following = np.append(v[1:], 0.0)[: v.size]
    some = length > 0
    if v.size:
        following[ends[some]] = np.broadcast_to(np.asarray(last, dtype=np.float64), length.shape)[some]
    error = r + gamma * following - v
    advantage = _discounted("generalised_advantages", error, length, gamma, 0.0, decay=lam)
    return advantage, advantage + v


def whitened(
    value: Float[np.ndarray, " t"], counted: Bool[np.ndarray, " t"], *, epsilon: float = 1e-8
) -> Float[np.ndarray, " t"]:
    """`(x - mean) / sqrt(var + epsilon)` over what counts (var over n - 1), 0 elsewhere.

    Values that are all equal, and fewer than two, become 0: they say nothing.

    Args:
        value: (t,).
        counted: True where a value enters the statistics and is given back.
        epsilon: in squared units.

    Source: verl's `masked_whiten`.
    """
    x, kept = np.asarray(value, dtype=np.float64), np.asarray(counted, dtype=bool)
    if x.shape != kept.shape:
        raise ShapeError(f"whitened: values {x.shape} and marks {kept.shape}; give as many")
    known = x[kept]
    if known.size < 2 or not np.ptp(known):
        return np.zeros(x.shape)
    return np.where(kept, (x - known.mean()) / np.sqrt(known.var(ddof=1) + epsilon), 0.0)


def placed_rewards(
    inputs: AdvantageInputs, *, kl_coef: float = 0.0, outcome: bool = True, who: str = "placed_rewards"
) -> Float[np.ndarray, " t"]:
    """Rewards a token: its own, the KL penalty `-kl_coef (logp - ref_logp)`, and the outcome at the last token.

    Args:
        inputs: of the batch; `token_rewards` count where there are any, a penalty needs `logp` and `ref_logp`.
        kl_coef: reward units per nat, at least 0.
        outcome: whether the reward of the whole is placed too.
        who: named in errors.

    Returns:
        (t,); 0 throughout for completions without a reward. A completion without tokens has no place for its reward.

    Raises:
        InputError: if the penalty lacks its log-probabilities, or the coefficient is negative.

    Source: Ouyang et al. 2022, "InstructGPT", equation 2, a token.
    """
    found = np.zeros(int(inputs.lengths.sum()))
    if inputs.token_rewards is not None:
        found += inputs.token_rewards
    if kl_coef:
        found += penalties(inputs, kl_coef=kl_coef, who=who)
    if outcome:
        some = inputs.lengths > 0
        found[(np.cumsum(inputs.lengths) - 1)[some]] += inputs.reward[some]
    return np.where(inputs.included[inputs.owner], found, 0.0)


def penalties(inputs: AdvantageInputs, *, kl_coef: float, who: str) -> Float[np.ndarray, " t"]:
    """`-kl_coef k1` of each token, see `losses.kl.kl_penalty`.

    Raises:
        InputError: if log-probabilities are missing or the coefficient is negative.
    """
    import torch

    from plaudit.policy.losses.kl import kl_penalty

    logp, ref = (torch.from_numpy(inputs.need(name, who)) for name in ("logp", "ref_logp"))
    return np.asarray(kl_penalty(logp, ref, kl_coef=kl_coef, estimator="k1").numpy(), dtype=np.float64)


def _discounted(
    who: str, rewards: ArrayLike, lengths: ArrayLike, gamma: float, last: ArrayLike, *, decay: float = 1.0
) -> Floats:
    r, length = np.asarray(rewards, dtype=np.float64), np.asarray(lengths, dtype=np.int64)
    if r.ndim != 1 or length.ndim != 1 or int(length.sum()) != r.size:
        raise ShapeError(f"{who}: {r.shape} tokens for lengths that sum to {length.sum()}; they must be as many")
    if not 0 <= gamma <= 1:
        raise InputError(f"{who}: gamma is {gamma}; give a number between 0 and 1")
    found = np.empty(r.size)
    later = np.broadcast_to(np.asarray(last, dtype=np.float64), length.shape).copy()
    order = np.argsort(-length, kind="stable")  # longest first: those that still have a token stand in front
    ends, sizes = np.cumsum(length)[order] - 1, length[order]
    later, alive = later[order], sizes.size
    for back in range(int(length.max(initial=0))):
        while alive and sizes[alive - 1] <= back:
            alive -= 1
        at = ends[:alive] - back
        later[:alive] = r[at] + gamma * decay * later[:alive]
        found[at] = later[:alive]
    return found
