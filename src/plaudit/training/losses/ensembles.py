"""Losses that train several heads on one backbone, and the heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.readers.gaussian_heads import gaussian_heads_parameters
from plaudit.rewards.readers.head import Head
from plaudit.training.losses.ratings import rated
from plaudit.training.objectives.ensembles.bootstrap import bootstrap_weights
from plaudit.training.objectives.ensembles.heads import bradley_terry_heads
from plaudit.training.objectives.ensembles.robust import heads_likelihood, sampled_regression


def heads(
    outputs: Tensor, row: Mapping[str, Tensor], *, heads: int, bootstrap: str, draw: int, center_coef: float
) -> Tensor:
    """Bradley-Terry of each head on bootstrap weights of its own."""
    counts = bootstrap_weights(row["identity"].long(), members=heads, share=_share(bootstrap), seed=draw)
    return bradley_terry_heads(outputs, row["pairs"], bootstrap=counts, weight=row["weight"], center_coef=center_coef)


def ensemble_head(*, heads: int, bootstrap: str, center_coef: float, **_: object) -> Head:
    """A score a head; the model's is their mean."""
    _several("bradley-terry-heads", heads)
    _share(bootstrap)
    if not 0 <= center_coef < float("inf"):
        raise InputError(f"objective bradley-terry-heads: center_coef is {center_coef}; it must be at least 0")
    return Head("ensemble", heads)


def gaussian_heads(outputs: Tensor, row: Mapping[str, Tensor], *, heads: int, likelihood: bool) -> Tensor:
    """Regression of each head's sampled output on the row's numbers, or with `likelihood` each head's likelihood."""
    del heads
    items, targets = rated(row)
    mean, sigma = gaussian_heads_parameters(outputs)
    if likelihood:
        return heads_likelihood(mean, sigma, items=items, targets=targets)
    # drawn from torch's own generator, whose state a checkpoint keeps
    eps = torch.randn(items.numel(), mean.shape[1]).to(mean)
    return sampled_regression(mean, sigma, items=items, targets=targets, eps=eps)


def gaussian_heads_head(*, heads: int, **_: object) -> Head:
    """The means of the heads, then what their deviations are the softplus of."""
    _several("gaussian-heads", heads)
    return Head("gaussian-heads", 2 * heads)


def _several(name: str, heads: int) -> None:
    if heads < 2:
        raise InputError(f"objective {name}: heads is {heads}; an ensemble has at least 2")


def _share(bootstrap: str) -> float | None:
    """None for Poisson counts, else the share of the rows that each head sees."""
    if bootstrap == "poisson":
        return None
    try:
        share = float(bootstrap)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise InputError(
            f"objective bradley-terry-heads: bootstrap is {bootstrap!r}; give 'poisson', or the share of the rows that "
            "each head sees, in (0, 1]"
        )
    return share
