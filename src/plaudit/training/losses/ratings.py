"""Losses over the rated completions of a row, and the heads that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.rewards.readers.head import Head
from plaudit.training.objectives.pairs.checking import check_number
from plaudit.training.objectives.ratings.beliefs import belief_rating
from plaudit.training.objectives.ratings.distribution import distribution_rating, thurstone_fidelity
from plaudit.training.objectives.ratings.evidential import evidential_rating
from plaudit.training.objectives.ratings.gaussian import gaussian_rating
from plaudit.training.objectives.ratings.levels import interpolated_levels, soft_levels
from plaudit.training.objectives.ratings.ordinal import ordered_thresholds, ordinal_rating
from plaudit.training.objectives.ratings.quantiles import quantile_rating
from plaudit.training.objectives.ratings.regression import huber_rating, squared_rating
from plaudit.training.objectives.ratings.twice import two_ratings


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


def distribution(
    outputs: Tensor, row: Mapping[str, Tensor], *, levels: int, fidelity_coef: float, rater_std: float,
    density: bool = False,
) -> Tensor:  # fmt: skip
    """Divergence from a rating that is spread over the levels, and fidelity of the pairs of a prompt.

    Where a row says how much its raters differ, the levels are a Gaussian's with its mean and deviation
    (`soft_levels`); elsewhere the rating is spread over the two levels beside it, and raters differ by `rater_std`.
    The loss is a mean over completions, so the pairs' part counts once a pair beside once a completion. The pairs are
    those of one prompt whose ratings differ, whether they came as pairs, in a list or as rated rows.
    """
    check_number("objective rating-distribution", "fidelity_coef", fidelity_coef, low=0)
    items, ratings = rated(row)
    std = row["rating_std"] if "rating_std" in row else torch.full_like(row["values"], torch.nan)
    target = interpolated_levels(ratings, levels=levels)
    known = std[items].isfinite()
    if bool(known.any()):
        soft = soft_levels(ratings, std[items].nan_to_num(0.0), levels=levels, density=density)
        target = torch.where(known[:, None], soft, target)
    loss = distribution_rating(outputs, items=items, target=target)
    pairs = _apart(row, items) if fidelity_coef else items[:0]
    if pairs.numel():
        spread = torch.where(std.isfinite(), std, torch.full_like(std, rater_std))
        loss = loss + fidelity_coef * thurstone_fidelity(outputs, pairs, mean=row["values"][pairs], std=spread[pairs])
    return loss


def distribution_head(*, levels: int, **_: object) -> Head:
    """One output a level, 1 to `levels`."""
    _check_levels("rating-distribution", levels)
    return Head("ratings", levels, {"values": [float(i) for i in range(1, levels + 1)]})


def ordinal(outputs: Tensor, row: Mapping[str, Tensor], *, levels: int) -> Tensor:
    """Proportional odds with learned thresholds: the outputs after the first, the same for every sample."""
    items, places = _levels("ordinal", row, levels)
    return ordinal_rating(outputs[:, 0], items=items, levels=places, thresholds=ordered_thresholds(outputs[0, 1:]))


def ordinal_head(*, levels: int) -> Head:
    """The score, and a threshold between every two levels."""
    _check_levels("ordinal", levels)
    # thresholds a unit apart around zero: softplus(0.5413) = 1
    free = [-(levels - 2) / 2, *[0.5413] * (levels - 2)]
    return Head("first", levels, network={"completion": 1, "constants": free})


def belief(outputs: Tensor, row: Mapping[str, Tensor], *, levels: int, others_coef: float) -> Tensor:
    """Belief in each level, with confusion between levels and ignorance of all kept apart."""
    items, places = _levels("beliefs", row, levels)
    return belief_rating(outputs, items=items, levels=places, others_coef=others_coef)


def belief_head(*, levels: int, **_: object) -> Head:
    """A logit of plausibility a level."""
    _check_levels("beliefs", levels)
    return Head("beliefs", levels)


def twice(outputs: Tensor, row: Mapping[str, Tensor], *, levels: int) -> Tensor:
    """Two raters' levels, the second predicted given the first.

    Which of them came first means nothing, so both orders count, each by one half.
    """
    items, first = _levels("two-ratings", row, levels)
    _, second = _levels("two-ratings", {"values": row["second_rating"]}, levels)  # every rated completion has one
    places = torch.stack([first, second], dim=1)
    orders = (places, places.flip(1))
    return torch.stack([two_ratings(outputs, items=items, levels=order) for order in orders]).mean()


def twice_head(*, levels: int) -> Head:
    """A logit a level for the first rating, and as many for the second for each level of the first."""
    _check_levels("two-ratings", levels)
    return Head("two-ratings", levels + levels * levels)


def _apart(row: Mapping[str, Tensor], items: Tensor) -> Tensor:
    """Pairs (m, 2) of rated completions of one prompt whose ratings differ."""
    group, value = row["group"][items], row["values"][items]
    return items[((group[:, None] == group[None, :]) & (value[:, None] > value[None, :])).nonzero()]


def _check_levels(name: str, levels: int) -> None:
    if levels < 2:
        raise InputError(f"objective {name}: levels is {levels}; give at least 2")


def _levels(name: str, row: Mapping[str, Tensor], levels: int) -> tuple[Tensor, Tensor]:
    """Rated items, and their levels counted from 0."""
    items, ratings = rated(row)
    places = ratings.round().long()
    if bool(((ratings - places).abs() > 1e-6).any() | (places < 1).any() | (places > levels).any()):
        wrong = ratings[(ratings - places).abs().gt(1e-6) | (places < 1) | (places > levels)][0]
        raise InputError(f"objective {name}: a rating is {float(wrong):g}; give whole levels, 1 to {levels}")
    return items, places - 1
