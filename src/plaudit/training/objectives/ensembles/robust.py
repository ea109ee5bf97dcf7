"""Several heads, each with a mean and a deviation, and the worst of them [149].

Differs from the paper: by the published objective, squared error of a sample, the deviation has no reason to stay:
`E (mean + sigma eps - y)^2 = (mean - y)^2 + sigma^2`, whose minimum is at sigma 0 everywhere, so the deviations tell
only how far training has got. `heads_likelihood` is the alternative whose sigma is the raters' noise.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.errors import ShapeError
from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def sampled_regression(
    mean: Float[Tensor, "n k"],
    sigma: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    targets: Float[Tensor, " m"],
    eps: Float[Tensor, "m k"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over items of the mean over heads of `(mean + sigma eps - target)^2`.

    Args:
        mean: of each head, for all sequences of the row.
        sigma: deviation of each head, positive.
        items: indices of the m sequences that have a target.
        targets: rewards of the first stage (or ratings).
        eps: standard normal numbers, drawn by the caller.
        weight: weight of each item, default 1.

    Returns:
        The sum over the m items; 0 for none.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a target is not finite.

    Source: Yan et al. 2024, "Reward-Robust RLHF in LLMs", section 3 [149].
    """
    _check("sampled_regression", mean, sigma, items, targets, weight)
    if eps.shape != (items.numel(), mean.shape[1]):
        raise ShapeError(
            f"sampled_regression: eps has shape {tuple(eps.shape)}; it must be {(items.numel(), mean.shape[1])}"
        )
    error = mean[items] + sigma[items] * eps - targets[:, None]
    return weighted_sum(error.square().mean(dim=1), weight)


def heads_likelihood(
    mean: Float[Tensor, "n k"],
    sigma: Float[Tensor, "n k"],
    *,
    items: Int[Tensor, " m"],
    targets: Float[Tensor, " m"],
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over items of the mean over heads of the Gaussian's negative log-likelihood, in nats.

    Args:
        mean: of each head, for all sequences of the row.
        sigma: deviation of each head, positive.
        items: indices of the m sequences that have a target.
        targets: ratings.
        weight: weight of each item, default 1.

    Returns:
        The sum over the m items; 0 for none. May be negative.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if a target is not finite.

    Source: Nix and Weigend 1994; Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation".
    """
    _check("heads_likelihood", mean, sigma, items, targets, weight)
    scaled = (targets[:, None] - mean[items]) / sigma[items]
    loss = 0.5 * math.log(2 * math.pi) + sigma[items].log() + 0.5 * scaled.square()
    return weighted_sum(loss.mean(dim=1), weight)


def nominal_member(mean: Float[Tensor, "n k"], sigma: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """The mean of the head whose deviation is smallest, for each sequence.

    Args:
        mean: of each head.
        sigma: deviation of each head.

    Raises:
        ShapeError: if the two differ in shape.

    Source: Yan et al. 2024, section 3 [149].
    """
    if mean.shape != sigma.shape or mean.ndim != 2:
        raise ShapeError(f"nominal_member: mean is {tuple(mean.shape)} and sigma {tuple(sigma.shape)}; both are (n, k)")
    return mean.gather(1, sigma.argmin(dim=1, keepdim=True))[:, 0]


def robust_value(
    nominal: Float[Tensor, " n"], members: Float[Tensor, "n k"], *, alpha: float = 0.4
) -> Float[Tensor, ""]:
    """`alpha E[nominal] + (1 - alpha) min over heads of E[head]`: what the robust policy maximises, before the KL.

    The minimum is over expectations: one head is the worst for the whole batch. The mean of each sample's own worst
    head is lower still, and another objective; see `plaudit.shaping`.

    Args:
        nominal: reward of each of n samples of the policy.
        members: the same by each head.
        alpha: weight of the nominal term, 0 to 1; the paper's best lie between 0.2 and 0.4.

    Raises:
        ShapeError: if shapes do not belong together.
        InputError: if alpha is outside [0, 1].

    Source: Yan et al. 2024, equation of the reward-robust objective [149].
    """
    check_number("robust_value", "alpha", alpha, low=0, high=1)
    if members.ndim != 2 or nominal.shape != members.shape[:1]:
        raise ShapeError(
            f"robust_value: nominal is {tuple(nominal.shape)} and members {tuple(members.shape)}; give (n,) and (n, k)"
        )
    return torch.add(alpha * nominal.mean(), (1 - alpha) * members.mean(dim=0).min())


def _check(who: str, mean: Tensor, sigma: Tensor, items: Tensor, targets: Tensor, weight: Tensor | None) -> None:
    if mean.ndim != 2 or sigma.shape != mean.shape:
        raise ShapeError(f"{who}: mean is {tuple(mean.shape)} and sigma {tuple(sigma.shape)}; both are (n, k)")
    check_columns(who, "items", items.numel(), targets=targets, weight=weight)
    check_values(who, "targets", targets)
