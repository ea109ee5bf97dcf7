"""B-Coder: a language model as the advantage part of a Q function, fitted by a conservative temporal difference [199].

`Q(s, a) = alpha (l(s, a) - max_a' l(s, a')) + V(s)`: the model's logits l say how much worse a token is than the best
one, the value V how good the state is. `softmax(Q / alpha)` is the language model itself, exactly, at any time.

Differs from the paper: what it calls beta_adv and beta_ce are arguments whose defaults are ours, since the catalogue's
entry has not read theirs; V is one tensor, `V_res + V_phi` where a caller keeps them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import InputError, ShapeError


@final
@dataclass(frozen=True, eq=False)
class ConservativeLoss:
    """Parts of the loss a token, each (t,); `total` is what is minimised.

    Attributes:
        error: squared temporal differences.
        margin: how far each demonstrated token is from the model's best, `-A(s, a*)`, at least 0; 0 elsewhere.
        likelihood: cross-entropy of demonstrated tokens; 0 elsewhere.
        total: weighted sum of the three.
    """

    error: Float[Tensor, " t"]
    margin: Float[Tensor, " t"]
    likelihood: Float[Tensor, " t"]
    total: Float[Tensor, " t"]


def q_values(
    logits: Float[Tensor, "t v"], value: Float[Tensor, " t"], *, alpha: float = 1.0, highest: float | None = 1.0
) -> Float[Tensor, "t v"]:
    """`min(alpha (l - max l) + V, highest)`.

    Args:
        logits: l, of each next token.
        value: V of each state.
        alpha: temperature, above 0.
        highest: the greatest reward there is, which no return exceeds; None for no bound.

    Raises:
        ShapeError: if there is not one value a state.
        InputError: if alpha is not positive.
    """
    if value.shape != logits.shape[:-1]:
        raise ShapeError(f"q_values: values {tuple(value.shape)} for logits {tuple(logits.shape)}; give one a state")
    if not alpha > 0:
        raise InputError(f"q_values: alpha is {alpha}; give a positive temperature")
    q = alpha * (logits - logits.amax(-1, keepdim=True)) + value[..., None]
    return q if highest is None else q.clamp(max=highest)


def conservative_targets(
    reward: Float[Tensor, " t"], next_q: Float[Tensor, "t v"], next_prior: Float[Tensor, "t v"],
    last: Float[Tensor, " t"], *, gamma: float = 0.999,
) -> Float[Tensor, " t"]:  # fmt: skip
    """`(B^q Q)(s, a) = r + gamma Q(s', argmax_a q(a | s'))`: the prior chooses the next token, not Q itself.

    With Q's own greatest token the target climbs on its own errors; the prior's choice is fixed, so the operator is a
    gamma-contraction.

    Args:
        reward: (t,) of each token: the program's at its last, else 0.
        next_q: Q of the state that each token leads to; constants.
        next_prior: logits of the frozen pre-trained model there.
        last: True (or 1) for the last token of a completion: nothing follows.
        gamma: discount, in [0, 1].

    Returns:
        Constants (t,).

    Raises:
        ShapeError: if shapes differ.
        InputError: if gamma is out of range.
    """
    if next_q.shape != next_prior.shape or reward.shape != next_q.shape[:-1] or last.shape != reward.shape:
        raise ShapeError(
            f"conservative_targets: rewards {tuple(reward.shape)}, Q {tuple(next_q.shape)}, prior "
            f"{tuple(next_prior.shape)} and ends {tuple(last.shape)} do not belong together"
        )
    if not 0 <= gamma <= 1:
        raise InputError(f"conservative_targets: gamma is {gamma}; give a number between 0 and 1")
    follows = next_q.gather(-1, next_prior.argmax(-1, keepdim=True))[..., 0]
    return (reward + gamma * torch.where(last.bool(), torch.zeros_like(follows), follows)).detach()


def conservative_loss(
    logits: Float[Tensor, "t v"], value: Float[Tensor, " t"], taken: Int[Tensor, " t"], target: Float[Tensor, " t"],
    demonstrated: Float[Tensor, " t"], *, alpha: float = 1.0, highest: float | None = 1.0, beta_adv: float = 0.1,
    beta_ce: float = 0.1,
) -> ConservativeLoss:  # fmt: skip
    """`(Q(s, a) - target)^2 + beta_adv |A(s, a*)| + beta_ce * (-log softmax(l)(a*))` a token.

    Args:
        logits: l; carry the gradient.
        value: V; carries it where it is trained.
        taken: a, the tokens.
        target: from `conservative_targets`.
        demonstrated: True (or 1) where the token is that of a person's program a*: the last two terms count there.
        alpha: see `q_values`.
        highest: see `q_values`.
        beta_adv: at least 0.
        beta_ce: at least 0.

    Raises:
        ShapeError: if shapes differ.
        InputError: if a weight is negative.

    Source: Yu et al. 2023, "B-Coder: Value-Based Deep Reinforcement Learning for Program Synthesis" [199].
    """
    if not taken.shape == target.shape == demonstrated.shape == logits.shape[:-1]:
        raise ShapeError(
            f"conservative_loss: tokens {tuple(taken.shape)}, targets {tuple(target.shape)}, marks "
            f"{tuple(demonstrated.shape)} for logits {tuple(logits.shape)}; give (t,) each"
        )
    logps = logits.log_softmax(-1)
    return conservative_token_loss(
        logps.gather(-1, taken[..., None])[..., 0], logps.amax(-1), value, target, demonstrated, alpha=alpha,
        highest=highest, beta_adv=beta_adv, beta_ce=beta_ce,
    )  # fmt: skip


def conservative_token_loss(
    logp: Float[Tensor, " t"], best: Float[Tensor, " t"], value: Float[Tensor, " t"], target: Float[Tensor, " t"],
    demonstrated: Float[Tensor, " t"], *, alpha: float = 1.0, highest: float | None = 1.0, beta_adv: float = 0.1,
    beta_ce: float = 0.1,
) -> ConservativeLoss:  # fmt: skip
    """`conservative_loss` from two numbers a state, so that no table of logits is needed: `l(a) - max l` is theirs.

    Args:
        logp: log-probability of each token taken, nats; carries the gradient.
        best: of the likeliest token of its state; carries it too.
        value: see `conservative_loss`.
        target: see there.
        demonstrated: see there.
        alpha: see `q_values`.
        highest: see `q_values`.
        beta_adv: at least 0.
        beta_ce: at least 0.

    Raises:
        ShapeError: if shapes differ.
        InputError: if a weight is negative.
    """
    if not logp.shape == best.shape == value.shape == target.shape == demonstrated.shape:
        raise ShapeError(
            f"conservative_token_loss: tokens {tuple(logp.shape)}, best {tuple(best.shape)}, values "
            f"{tuple(value.shape)}, targets {tuple(target.shape)} and marks {tuple(demonstrated.shape)}; give (t,) each"
        )
    if min(beta_adv, beta_ce) < 0:
        raise InputError(f"conservative_loss: weights are {beta_adv} and {beta_ce}; give at least 0")
    error = (q_of_tokens(logp, best, value, alpha=alpha, highest=highest) - target).square()
    shown = demonstrated.to(error.dtype)
    margin, likelihood = shown * alpha * (best - logp), -shown * logp
    return ConservativeLoss(error, margin, likelihood, error + beta_adv * margin + beta_ce * likelihood)


def q_of_tokens(
    logp: Float[Tensor, " t"], best: Float[Tensor, " t"], value: Float[Tensor, " t"], *, alpha: float = 1.0,
    highest: float | None = 1.0,
) -> Float[Tensor, " t"]:  # fmt: skip
    """`min(alpha (logp - best) + V, highest)`: `q_values` of single tokens.

    Args:
        logp: of each token, nats.
        best: of the likeliest token of its state.
        value: V of its state.
        alpha: see `q_values`.
        highest: see `q_values`.

    Raises:
        InputError: if alpha is not positive.
    """
    if not alpha > 0:
        raise InputError(f"q_values: alpha is {alpha}; give a positive temperature")
    q = alpha * (logp - best) + value
    return q if highest is None else q.clamp(max=highest)


@torch.no_grad()
def recovered_rewards(
    q: Float[Tensor, "t v"], taken: Int[Tensor, " t"], next_q: Float[Tensor, "t v"], next_prior: Float[Tensor, "t v"],
    last: Float[Tensor, " t"], *, gamma: float = 0.999,
) -> Float[Tensor, " t"]:  # fmt: skip
    """`Q(s, a) - gamma Q(s', argmax_a q(a | s'))`: the reward that would make this Q a fixed point.

    Summed over a program it ranks candidates without running them.

    Args:
        q: of the states.
        taken: the tokens.
        next_q: of the states that they lead to.
        next_prior: see `conservative_targets`.
        last: see `conservative_targets`.
        gamma: see `conservative_targets`.

    Source: as `conservative_loss`, the free reward model.
    """
    nothing = torch.zeros(taken.shape, dtype=q.dtype, device=q.device)
    return q.gather(-1, taken[..., None])[..., 0] - conservative_targets(nothing, next_q, next_prior, last, gamma=gamma)
