"""Weights of pairs that grow with the loss of their group: Fair Identity Scaling [0] and error-bound scaling [18].

    [0]   w_i = (1 - c) * exp(l_i / T) / mean_j exp(l_j / T)  +  c * L_g(i) / L
    [18]  w_i = L_g(i)^gamma / mean_j L_g(j)^gamma

with the losses l of the pairs, their mean L, and the mean L_g over group g. Both have mean 1 over the pairs, so that a
learning rate keeps its meaning, and no gradient passes through them.

**When they do nothing.** The losses are those of training: a model that fits its pairs has equal ones for all groups,
however differently it serves them elsewhere (`training/group_scaling`).

**What they cost.** A group that is hard because its labels are noise is weighed up all the same; the individual part of
[0] (c below 1) does so within every group. They do not find a direction that no weight can find: where two groups want
opposite things of one scorer, weights choose whom to serve.

Differs from the papers: [0] measures a group's discrepancy by Sinkhorn distances of loss distributions within batches
of 64 a group; here it is the ratio of mean losses, which needs no such batches. [18] multiplies predictions before a
Dice loss (`error_bound_scale`); a pair's log-loss has no such product, so its equivalent weight is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from plaudit.training.objectives.pairs.checking import check_columns, check_number


def group_losses(
    losses: Float[Tensor, " m"], group: Int[Tensor, " m"], *, weight: Float[Tensor, " m"] | None = None
) -> Float[Tensor, " m"]:
    """Each pair's mean loss of its group.

    Args:
        losses: of the pairs.
        group: a number a pair.
        weight: of each pair, at least 0, default 1; a group of weight 0 has loss 0.

    Raises:
        ShapeError: if there is not one entry a pair.
    """
    check_columns("group_losses", "losses", losses.shape[0], group=group, weight=weight)
    share = torch.ones_like(losses) if weight is None else weight
    inside = F.one_hot(group.long()).to(losses.dtype)
    total, size = inside.T @ (share * losses), inside.T @ share
    return (total / size.clamp(min=torch.finfo(losses.dtype).tiny))[group.long()]


def identity_weights(
    losses: Float[Tensor, " m"],
    group: Int[Tensor, " m"],
    *,
    group_share: float = 0.5,
    temperature: float = 1.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, " m"]:
    """Fair Identity Scaling's weights: `(1 - c) * individual + c * group`, see the module.

    Args:
        losses: of the pairs, in nats.
        group: a number a pair.
        group_share: c, 0 to 1; the paper's 0.5.
        temperature: T, in nats; large ones make the individual weights equal.
        weight: of each pair, at least 0, default 1.

    Returns:
        Weights with (weighted) mean 1, without gradient. Equal losses give 1 everywhere; so do losses of 0.

    Raises:
        ShapeError: if there is not one entry a pair.
        InputError: if an option is outside its range.

    Source: Luo et al. 2023, "Eye Fairness" [0].
    """
    check_number("identity-scaling", "group_share", group_share, low=0, high=1)
    check_number("identity-scaling", "temperature", temperature, low=0, within="(]")
    loss = losses.detach()
    if not loss.numel():
        return loss
    share = torch.ones_like(loss) if weight is None else weight
    alone = _mean_one(torch.exp((loss - loss.max()) / temperature), share)
    together = _mean_one(group_losses(loss, group, weight=weight), share)
    return (1 - group_share) * alone + group_share * together


def error_bound_weights(
    losses: Float[Tensor, " m"],
    group: Int[Tensor, " m"],
    *,
    gamma: float = 1.0,
    weight: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, " m"]:
    """Error-bound scaling's weights: `(L_g / min L)^gamma`, divided by their mean over pairs (the minimum cancels).

    Args:
        losses: of the pairs, at least 0.
        group: a number a pair.
        gamma: at least 0; 0 weighs all alike, large ones leave the worst group alone.
        weight: of each pair, at least 0, default 1.

    Returns:
        Weights with (weighted) mean 1, without gradient; 1 everywhere where all losses are 0.

    Raises:
        ShapeError: if there is not one entry a pair.
        InputError: if gamma is negative.

    Source: Tian et al. 2024, "FairSeg" [18].
    """
    check_number("error-bound", "gamma", gamma, low=0)
    loss = losses.detach()
    if not loss.numel():
        return loss
    share = torch.ones_like(loss) if weight is None else weight
    means = group_losses(loss, group, weight=weight)
    return _mean_one((means / means.max().clamp(min=torch.finfo(loss.dtype).tiny)) ** gamma, share)


def error_bound_scale(losses: Float[Tensor, " g"], *, gamma: float = 1.0) -> Float[Tensor, " g"]:
    """The paper's factor of predictions, `tanh((min_g L_g / L_g)^gamma)`: the harder the group, the smaller.

    Args:
        losses: of the groups, above 0.
        gamma: at least 0; 0 gives tanh(1) everywhere.

    Raises:
        InputError: if gamma is negative.

    Source: Tian et al. 2024, "FairSeg", equation of the error bound [18].
    """
    check_number("error-bound", "gamma", gamma, low=0)
    return torch.tanh((losses.min() / losses) ** gamma)


def _mean_one(values: Tensor, share: Tensor) -> Tensor:
    mean = (share * values).sum() / share.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.ones_like(values) if float(mean) <= 0 else values / mean
