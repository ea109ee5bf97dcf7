"""Outcome labels, one a completion: cross-entropy and KTO on a policy's log-ratios.

Differs from the papers: sums, so that any division into rows adds up; KTO's baseline is an argument, since how it is
estimated belongs to the trainer.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_columns, check_number, check_values, weighted_sum


def implicit_ce(
    log_ratio: Float[Tensor, " n"], *, items: Int[Tensor, " m"], labels: Float[Tensor, " m"], beta: float = 0.05,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum of cross-entropies of outcome labels: `-l log sigmoid(r) - (1 - l) log sigmoid(-r)`, `r = beta * log_ratio`.

    Args:
        log_ratio: sum over a completion's tokens of log pi - log pi_ref, in nats.
        items: which completions have a label.
        labels: 1 right, 0 wrong, or a share between.
        beta: reward units per nat.
        weight: of each, default 1.

    Returns:
        The weighted sum; 0 for no items.

    Raises:
        ShapeError: if labels or weights do not have m entries.
        InputError: if a label is outside [0, 1] or beta is not positive.

    Source: Yuan et al. 2024, "Free Process Rewards without Process Labels" (its cross-entropy form).
    """
    _check("implicit_ce", items, labels, beta, weight)
    return weighted_sum(F.binary_cross_entropy_with_logits(beta * log_ratio[items], labels, reduction="none"), weight)


def implicit_kto(
    log_ratio: Float[Tensor, " n"], *, items: Int[Tensor, " m"], labels: Float[Tensor, " m"],
    baseline: Float[Tensor, ""], beta: float = 0.05, desirable: float = 1.0, undesirable: float = 1.0,
) -> Float[Tensor, ""]:  # fmt: skip
    """Sum of KTO losses: `w_d (1 - sigmoid(beta (x - z)))` of wanted completions, `w_u (1 - sigmoid(beta (z - x)))`.

    Args:
        log_ratio: x, sum over a completion's tokens of log pi - log pi_ref, in nats.
        items: which completions have a label.
        labels: 1 wanted, 0 not.
        baseline: z, an estimate of KL(pi, pi_ref) in nats, without gradient; negative estimates count as 0.
        beta: reward units per nat.
        desirable: weight of wanted completions.
        undesirable: weight of the others.

    Returns:
        The sum; 0 for no items.

    Raises:
        ShapeError: if the labels do not have m entries.
        InputError: if a label is outside [0, 1], beta is not positive or a weight negative.

    Source: Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization".
    """
    _check("implicit_kto", items, labels, beta, None)
    for name, value in (("desirable", desirable), ("undesirable", undesirable)):
        check_number("implicit_kto", name, value, low=0.0)
    lead = beta * (log_ratio[items] - baseline.detach().clamp(min=0))
    wanted, unwanted = desirable * F.sigmoid(-lead), undesirable * F.sigmoid(lead)
    return (labels * wanted + (1 - labels) * unwanted).sum()


def _check(who: str, items: Tensor, labels: Tensor, beta: float, weight: Tensor | None) -> None:
    check_columns(who, "items", len(items), labels=labels, weight=weight)
    check_values(who, "labels", labels, low=0.0, high=1.0)
    check_number(who, "beta", beta, low=0.0, within="(]")
