"""PRIME's implicit process rewards: a token's log-ratio as its reward, fitted by outcomes alone [198]."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.policy.losses.tokens import check_owner, sum_by
from plaudit.training.objectives.policies.outcome import implicit_ce


def implicit_rewards(
    reward_logp: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"], *, beta: float = 1.0
) -> Float[Tensor, " t"]:
    """`beta (log pi_phi - log pi_ref)` of each token; over a completion they sum to its implicit reward.

    Args:
        reward_logp: (t,) under the reward's model, nats.
        ref_logp: (t,) under its reference.
        beta: reward units per nat; the released code has 1 here, which the normalisation of `StreamCredit` undoes.

    Returns:
        Constants: the `token_rewards` of an estimator.

    Raises:
        ShapeError: if shapes differ.
    """
    if reward_logp.shape != ref_logp.shape:
        raise ShapeError(f"implicit_rewards: {tuple(reward_logp.shape)} and {tuple(ref_logp.shape)}; give as many")
    return beta * (reward_logp - ref_logp).detach()


def implicit_reward_loss(
    reward_logp: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int,
    outcome: Float[Tensor, " n"], *, beta: float = 0.05, clip: float | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum over completions of the cross-entropy of `sigmoid(beta * sum_t (log pi_phi - log pi_ref))` and the outcome.

    One forward pass of pi_phi on the current rollouts serves both: its rewards first, then its update.

    Args:
        reward_logp: (t,) under the reward's model; carries the gradient.
        ref_logp: (t,) under its reference.
        owner: int64 (t,).
        n: completions.
        outcome: (n,) 1 right, 0 wrong, or a share between; NaN where there is none: left out.
        beta: reward units per nat.
        clip: greatest size of a completion's log-ratio, nats; beyond it there is no gradient. None for none.

    Returns:
        The sum; divide by the outcomes of the step that are known.

    Raises:
        ShapeError: if parts differ in number.
        InputError: if an outcome is outside [0, 1] or beta is not positive.

    Source: Cui et al. 2025, "Process Reinforcement through Implicit Rewards", equation 5 [198]; the loss is
    `training.objectives.policies.implicit_ce`.
    """
    if not reward_logp.shape == ref_logp.shape == owner.shape or outcome.shape != (n,):
        raise ShapeError(
            f"implicit_reward_loss: {tuple(reward_logp.shape)}, {tuple(ref_logp.shape)}, {tuple(owner.shape)} and "
            f"outcomes {tuple(outcome.shape)} of {n} completions; give (t,) three times, and (n,)"
        )
    check_owner("implicit_reward_loss", owner, n)
    ratio = sum_by(reward_logp - ref_logp, owner, n)
    ratio = ratio if clip is None else ratio.clamp(-clip, clip)
    items = outcome.isfinite().nonzero()[:, 0]
    return implicit_ce(ratio, items=items, labels=outcome[items].to(ratio.dtype), beta=beta)


@torch.no_grad()
def right_order(
    reward_logp: Float[Tensor, " t"], ref_logp: Float[Tensor, " t"], owner: Int[Tensor, " t"], n: int,
    outcome: Float[Tensor, " n"], groups: Int[Tensor, " n"],
) -> float:  # fmt: skip
    """Share of pairs of a group, one right and one wrong, that implicit rewards put in order; ties count half.

    What to watch: at 1/2 the process rewards are noise.

    Args:
        reward_logp: (t,).
        ref_logp: (t,).
        owner: int64 (t,).
        n: completions.
        outcome: (n,), right from 1/2 on; NaN left out.
        groups: int64 (n,).

    Returns:
        NaN without such pairs.
    """
    ratio = sum_by(reward_logp - ref_logp, owner, n)
    right, wrong = (outcome >= 0.5).nonzero()[:, 0], (outcome < 0.5).nonzero()[:, 0]
    both = groups[right][:, None] == groups[wrong][None, :]
    ahead = ratio[right][:, None] - ratio[wrong][None, :]
    if not both.any():
        return float("nan")
    return float(((ahead > 0).double() + (ahead == 0).double() / 2)[both].mean())
