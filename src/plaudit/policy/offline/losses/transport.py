"""Alignment by optimal transport: sorted margins are compared with sorted margins, so the whole distribution must win.

`aot_paired` and `aot_unpaired` sort what they are given. Which quantile a pair is compared with depends on all pairs of
a step, and a step is run in parts: `matched_*` take each pair's partner as an argument, so that a step whose partners
were found beforehand (`aot_partners`) has the gradient of the whole, however it is divided.

Differs from the paper: the sort is over a whole optimisation step, over processes and accumulation; published code
sorts a micro-batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plaudit.policy.offline.losses.checking import check_beta, check_sides
from plaudit.policy.offline.losses.difference import smoothed
from plaudit.training.objectives.pairs.checking import check_number

Pairs = Float[Tensor, " m"]


def aot_paired(
    chosen: Pairs, rejected: Pairs, chosen_reference: Pairs, rejected_reference: Pairs, *, beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Pairs:  # fmt: skip
    """`-log sigmoid(beta (u_(k) - v_(k)))` for each rank k, of `u = l_c - l_r` and of v, the same under the reference.

    The policy's margins are to dominate the reference's as a distribution (stochastic dominance of first order).

    Args:
        chosen: l_c, summed log-probability in nats.
        rejected: l_r.
        chosen_reference: of chosen under the reference.
        rejected_reference: of rejected.
        beta: reward units per nat.
        label_smoothing: see `dpo`.

    Returns:
        A loss a rank, ascending: their order is not the pairs'.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.

    Source: Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport".
    """
    check_sides(
        "aot_paired", chosen=chosen, rejected=rejected, chosen_reference=chosen_reference,
        rejected_reference=rejected_reference,
    )  # fmt: skip
    margin, other = (chosen - rejected).sort().values, (chosen_reference - rejected_reference).sort().values
    return _logistic("aot_paired", margin - other, beta, label_smoothing)


def aot_unpaired(chosen: Pairs, rejected: Pairs, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Pairs:
    """`-log sigmoid(beta (x_(k) - x'_(k)))` for each rank k of the log-ratios of chosen and of rejected ones.

    Args:
        chosen: x, log-ratios in nats.
        rejected: x', as many.
        beta: reward units per nat.
        label_smoothing: see `dpo`.

    Returns:
        A loss a rank, ascending.

    Raises:
        ShapeError: if the two are not (m,).
        InputError: if a number is outside its range.

    Source: Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport".
    """
    check_sides("aot_unpaired", chosen=chosen, rejected=rejected)
    return _logistic("aot_unpaired", chosen.sort().values - rejected.sort().values, beta, label_smoothing)


def matched_aot_paired(
    chosen: Pairs, rejected: Pairs, partner: Pairs, *, beta: float = 0.1, label_smoothing: float = 0.0
) -> Pairs:
    """`aot_paired` where each pair's partner, the reference margin of its rank, is known: a loss a pair.

    Args:
        chosen: l_c, summed log-probability in nats.
        rejected: l_r.
        partner: reference margin of the same rank, from `aot_partners`.
        beta: reward units per nat.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.
    """
    check_sides("matched_aot_paired", chosen=chosen, rejected=rejected, partner=partner)
    return _logistic("matched_aot_paired", chosen - rejected - partner, beta, label_smoothing)


def matched_aot_unpaired(
    chosen: Pairs, rejected: Pairs, chosen_partner: Pairs, rejected_partner: Pairs, *, beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Pairs:  # fmt: skip
    """`aot_unpaired` where the partners of both are known: the same value and gradient, a loss a pair.

    A chosen one of rank k meets the rejected one of rank k, which may be in another part of the step: each side has
    its gradient from a term in which the other is a constant, and the second term is brought to the value 0.

    Args:
        chosen: x, log-ratios in nats.
        rejected: x'.
        chosen_partner: the rejected log-ratio of chosen's rank, constant.
        rejected_partner: the chosen log-ratio of rejected's rank, constant.
        beta: reward units per nat.
        label_smoothing: see `dpo`.

    Raises:
        ShapeError: if they are not all (m,).
        InputError: if a number is outside its range.
    """
    check_sides(
        "matched_aot_unpaired", chosen=chosen, rejected=rejected, chosen_partner=chosen_partner,
        rejected_partner=rejected_partner,
    )  # fmt: skip
    first = _logistic("matched_aot_unpaired", chosen - chosen_partner.detach(), beta, label_smoothing)
    second = _logistic("matched_aot_unpaired", rejected_partner.detach() - rejected, beta, label_smoothing)
    return first + second - second.detach()


def aot_partners(values: Pairs, others: Pairs) -> Pairs:
    """For each value the other of its rank: `others` sorted, in the order of `values`.

    Raises:
        ShapeError: if the two are not (m,).
    """
    check_sides("aot_partners", values=values, others=others)
    found = torch.empty_like(others)
    found[values.argsort(stable=True)] = others.sort(stable=True).values
    return found


def _logistic(who: str, difference: Pairs, beta: float, label_smoothing: float) -> Pairs:
    check_beta(who, beta)
    check_number(who, "label_smoothing", label_smoothing, low=0, high=0.5, within="[)")
    return smoothed(beta * difference, label_smoothing=label_smoothing)
