"""Losses over the rated completions of a row, and the heads that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.readers.head import Head
from plaudit.training.objectives.ratings.distribution import distribution_rating
from plaudit.training.objectives.ratings.evidential import evidential_rating
from plaudit.training.objectives.ratings.gaussian import gaussian_rating
from plaudit.training.objectives.ratings.levels import interpolated_levels
from plaudit.training.objectives.ratings.quantiles import quantile_rating
from plaudit.training.objectives.ratings.regression import huber_rating, squared_rating


def rated(row: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Indices of the completions that have a rating, and the ratings."""
    items = row["values"].isfinite().nonzero()[:, 0]
    return items, row["values"][items]


def squared(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Squared distance of score and rating."""
    items, ratings = rated(row)
    return squared_rating(outputs[:, 0], items=items, ratings=ratings)


def huber(outputs: Tensor, row: Mapping[str, Tensor], *, delta: float) -> Tensor:
    """Squared up to `delta`, linear beyond."""
    items, ratings = rated(row)
    return huber_rating(outputs[:, 0], items=items, ratings=ratings, delta=delta)


def gaussian(outputs: Tensor, row: Mapping[str, Tensor], *, beta: float) -> Tensor:
    """Negative log-likelihood under a mean and a variance of the completion's own."""
    items, ratings = rated(row)
    return gaussian_rating(outputs, items=items, ratings=ratings, beta=beta)


def gaussian_head(**_: object) -> Head:
    """Mean and logarithm of the variance."""
    return Head("gaussian", 2)


def pinball(outputs: Tensor, row: Mapping[str, Tensor], *, levels: Sequence[float]) -> Tensor:
    """Pinball loss of quantiles that cannot cross."""
    items, ratings = rated(row)
    return quantile_rating(outputs, items=items, ratings=ratings, levels=levels)


def quantile_head(*, levels: Sequence[float]) -> Head:
    """One output a level."""
    inside = all(0 < level < 1 for level in levels)
    if not levels or not inside or any(b <= a for a, b in pairwise(levels)):
        raise InputError(f"objective quantile: levels are {list(levels)}; give increasing probabilities in (0, 1)")
    return Head("quantile", len(levels), {"levels": list(levels)})


def evidential(outputs: Tensor, row: Mapping[str, Tensor], *, evidence_coef: float) -> Tensor:
    """Likelihood of a normal-inverse-gamma distribution, with less evidence where it is wrong."""
    items, ratings = rated(row)
    return evidential_rating(outputs, items=items, ratings=ratings, evidence_coef=evidence_coef)


def evidential_head(**_: object) -> Head:
    """Location, its evidence, and shape and scale of the variance."""
    return Head("evidential", 4)


def distribution(outputs: Tensor, row: Mapping[str, Tensor], *, levels: int) -> Tensor:
    """Divergence from a rating that is spread over the two levels beside it."""
    items, ratings = rated(row)
    return distribution_rating(outputs, items=items, target=interpolated_levels(ratings, levels=levels))


def distribution_head(*, levels: int) -> Head:
    """One output a level, 1 to `levels`."""
    if levels < 2:
        raise InputError(f"objective rating-distribution: levels is {levels}; give at least 2")
    return Head("ratings", levels, {"values": [float(i) for i in range(1, levels + 1)]})
