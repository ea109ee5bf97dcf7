"""A policy that is two rewards at once: what it has become likelier to say, and what it answers when asked to judge."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_beta, check_sides
from plaudit.training.objectives.pairs.internal import order_averaged, self_consistent_preference

Pairs = Float[Tensor, " m"]


def scir(
    first: Pairs, second: Pairs, forward: Pairs, backward: Pairs, *, beta: float = 0.1, consistency_coef: float = 1.0,
    entropy_coef: float = 0.1,
) -> Float[Tensor, ""]:  # fmt: skip
    """`sum 1[agree] (-log sigmoid(|z|)) + c (p_z - p_j)(z - j) + e (H(p_z) + H(p_j)) / 2` over pairs without labels.

    `z = beta (x_1 - x_2)` is the implicit reward's opinion that the first is better, j the judge's, the two orders in
    which it was asked averaged. Preferences are learnt from the pairs about which both agree now, and on all pairs the
    two are drawn together; gradients go to the policy as a policy and as a judge.

    Args:
        first: x_1, log-ratios in nats.
        second: x_2.
        forward: logit that the judge says the first is better, where it is shown as the candidate.
        backward: logit that it says the second is better, where that is shown as the candidate.
        beta: reward units per nat.
        consistency_coef: c.
        entropy_coef: e; small, since alone it makes any opinion surer.

    Returns:
        The sum.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.

    Source: "Self-Consistency of the Internal Reward Models Improves Self-Rewarding Language Models" (SCIR) [118].
    Differs from the paper: see `plaudit.training.objectives.pairs.internal`.
    """
    check_sides("scir", first=first, second=second, forward=forward, backward=backward)
    check_beta("scir", beta)
    opinions = torch.stack([beta * (first - second), order_averaged(forward, backward)])
    return self_consistent_preference(opinions, consistency_coef=consistency_coef, entropy_coef=entropy_coef)
