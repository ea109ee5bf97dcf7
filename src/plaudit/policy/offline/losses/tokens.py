"""Losses token by token: demonstrations that the model half believes, and preferences with a reward a token."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.policy.offline.losses.difference import dpo
from plaudit.training.objectives.pairs.checking import check_number


def dft(logps: Float[Tensor, " t"], said: Float[Tensor, " t"]) -> Float[Tensor, ""]:
    """`-sum_t w_t sg(pi(y_t)) log pi(y_t)`: cross-entropy weighted by the model's own probability, a constant.

    The gradient is that of `-sum_t w_t pi(y_t)`: tokens that the model finds impossible teach it next to nothing, where
    cross-entropy would teach them most. It sharpens what is believed, and drifts from the base model without an anchor.

    Args:
        logps: log-probabilities of the tokens in nats.
        said: w, 1 for tokens of what is to be said, else 0.

    Returns:
        The sum.

    Raises:
        ShapeError: if the two differ.

    Source: Wu et al. 2025, "On the Generalization of SFT" (DFT); the first term of ASFT [124].
    """
    if logps.shape != said.shape or logps.ndim != 1:
        raise ShapeError(
            f"dft: {tuple(logps.shape)} log-probabilities and {tuple(said.shape)} weights; both must be (t,)"
        )
    return -(said * logps.detach().exp() * logps).sum()


def asft(
    logps: Float[Tensor, " t"], divergence: Float[Tensor, " t"], said: Float[Tensor, " t"], *, kl_coef: float = 0.1
) -> Float[Tensor, ""]:
    """`dft + kl_coef sum_t w_t KL(pi_0(.|s_t) || pi(.|s_t))`: sharpened where it half believes, held where it began.

    `KL(pi_0 || pi)` covers what the base model covered: a token that it found likely and the policy forbids costs
    without bound. Without it (`kl_coef=0`) the weights feed on themselves: what is believed is believed ever more.

    Args:
        logps: log-probabilities of the tokens in nats.
        divergence: KL from the frozen base over the whole vocabulary where each token is chosen, nats, at least 0.
        said: w, 1 for tokens of what is to be said, else 0.
        kl_coef: lambda, in nats of likelihood a nat of divergence; the paper's is 0.03 to 0.1.

    Returns:
        The sum.

    Raises:
        ShapeError: if the three differ.
        InputError: if `kl_coef` is negative.

    Source: Zhu et al. 2025, "Anchored Supervised Fine-Tuning" (ASFT) [124].
    """
    return dft(logps, said) + _anchor("asft", divergence, said, kl_coef)


def superhf(
    logps: Float[Tensor, " t"], divergence: Float[Tensor, " t"], said: Float[Tensor, " t"], *, kl_coef: float = 0.3
) -> Float[Tensor, ""]:
    """`-sum_t w_t log pi(y_t) + kl_coef sum_t w_t KL(pi_0(.|s_t) || pi(.|s_t))`: likelihood of the best, held back.

    The second term is the prior of a Bayesian who begins from the base model.

    Args:
        logps: log-probabilities of the tokens in nats.
        divergence: see `asft`.
        said: w, 1 for tokens of the best completions, else 0.
        kl_coef: beta; the paper's is 0.23 to 0.35, and 0 is `sft`.

    Returns:
        The sum.

    Raises:
        ShapeError: if the three differ.
        InputError: if `kl_coef` is negative.

    Source: Mukobi et al. 2023, "SuperHF: Supervised Iterative Learning from Human Feedback" [220].
    """
    if logps.shape != said.shape or logps.ndim != 1:
        raise ShapeError(
            f"superhf: {tuple(logps.shape)} log-probabilities and {tuple(said.shape)} weights; both must be (t,)"
        )
    return -(said * logps).sum() + _anchor("superhf", divergence, said, kl_coef)


def _anchor(who: str, divergence: Tensor, said: Tensor, kl_coef: float) -> Tensor:
    check_number(who, "kl_coef", kl_coef, low=0)
    if divergence.shape != said.shape:
        raise ShapeError(
            f"{who}: {tuple(divergence.shape)} divergences and {tuple(said.shape)} weights; both must be (t,)"
        )
    return kl_coef * (said * divergence).sum()


def token_regularisation(
    differences: Float[Tensor, " t"], rewards: Float[Tensor, " t"], owner: Int[Tensor, " t"], pairs: Int[Tensor, "m 2"],
    *, beta: float, alpha: float,
) -> Float[Tensor, " m"]:  # fmt: skip
    """`-alpha w (mean_t r_t b_t over chosen + the same over rejected)`, `b_t = beta (log pi - log pi_ref)(y_t)`.

    The implicit token rewards b are to point where the token rewards r point. The weight of a pair,
    `w = sigmoid(sum b over rejected - sum b over chosen)`, without gradient, is DPO's own: pairs that are in order
    need no help.

    Args:
        differences: log pi - log pi_ref of each counted token, nats.
        rewards: r, in (-1/2, 1/2), see `plaudit.shaping.steps.contrastive_token_rewards`.
        owner: which sequence each token belongs to.
        pairs: indices of chosen and rejected.
        beta: reward units per nat.
        alpha: weight of the whole, at least 0; the paper's is 0.1 to 0.5.

    Returns:
        A term a pair, (m,), to be added to DPO's.

    Raises:
        ShapeError: if what belongs to tokens differs in number.

    Source: Zhou et al. 2024, "T-REG: Preference Optimization with Token-Level Reward Regularization" [14].
    """
    if not differences.shape == rewards.shape == owner.shape:
        raise ShapeError(
            f"token_regularisation: {tuple(differences.shape)} log-ratios, {tuple(rewards.shape)} rewards and "
            f"{tuple(owner.shape)} owners; they must be as many"
        )
    n = int(max(owner.max(), pairs.max())) + 1
    implicit = beta * differences
    total = implicit.new_zeros(n).index_add(0, owner, implicit)
    counts = torch.bincount(owner, minlength=n).to(implicit.dtype)
    agreement = implicit.new_zeros(n).index_add(0, owner, rewards * implicit) / counts
    better, worse = pairs.unbind(dim=1)
    weight = torch.sigmoid(total[worse] - total[better]).detach()
    return -alpha * weight * (agreement[better] + agreement[worse])


def t_reg(
    chosen: Float[Tensor, " m"], rejected: Float[Tensor, " m"], differences: Float[Tensor, " t"],
    rewards: Float[Tensor, " t"], owner: Int[Tensor, " t"], pairs: Int[Tensor, "m 2"], *, beta: float = 0.1,
    alpha: float = 0.25, label_smoothing: float = 0.0,
) -> Float[Tensor, " m"]:  # fmt: skip
    """`dpo` plus `token_regularisation`.

    Args:
        chosen: log-ratios in nats.
        rejected: as many.
        differences: see `token_regularisation`.
        rewards: see there.
        owner: see there.
        pairs: see there.
        beta: reward units per nat.
        alpha: weight of the regularisation; 0 is DPO.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: as the two.
        InputError: if a number is outside its range.

    Source: Zhou et al. 2024, "T-REG" [14].
    """
    check_number("t_reg", "alpha", alpha, low=0)
    plain = dpo(chosen, rejected, beta=beta, label_smoothing=label_smoothing)
    return plain + token_regularisation(differences, rewards, owner, pairs, beta=beta, alpha=alpha)
