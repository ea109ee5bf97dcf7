"""Losses of completions that are wanted or not, each by itself."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_sides
from plaudit.training.objectives.pairs.checking import check_values
from plaudit.training.objectives.policies.outcome import implicit_kto

Items = Float[Tensor, " m"]


def kto(
    ratio: Items, label: Items, baseline: Float[Tensor, ""], *, beta: float = 0.1, desirable: float = 1.0,
    undesirable: float = 1.0,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum of `w_d (1 - sigmoid(beta (x - z)))` over wanted completions, `w_u (1 - sigmoid(beta (z - x)))` over others.

    Args:
        ratio: x, log-ratios in nats.
        label: 1 wanted, 0 not.
        baseline: z, an estimate of KL(pi, pi_ref) in nats; negative estimates count as 0, and no gradient passes.
        beta: reward units per nat.
        desirable: w_d.
        undesirable: w_u; with f times as many unwanted ones the paper wants `w_d / (f w_u)` in [1, 4/3].

    Raises:
        ShapeError: if ratios and labels are not (m,).
        InputError: if a number is outside its range.

    Source: Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization", equation 7.
    """
    check_sides("kto", ratio=ratio, label=label)
    items = torch.arange(len(label), device=label.device)
    return implicit_kto(
        ratio, items=items, labels=label, baseline=baseline, beta=beta, desirable=desirable, undesirable=undesirable
    )


def sft(logp: Items, label: Items) -> Float[Tensor, ""]:
    """`-sum l_i log pi(y_i)`: the negative log-likelihood of what is wanted, which a trainer divides by the tokens.

    Args:
        logp: summed log-probability in nats.
        label: l, 1 for what is to be said and 0 for what is not looked at; a share between weighs it.

    Returns:
        The sum.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a label is outside [0, 1].
    """
    check_sides("sft", logp=logp, label=label)
    check_values("sft", "label", label, low=0.0, high=1.0)
    return -(label * logp).sum()
