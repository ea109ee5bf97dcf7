"""What the members of an ensemble say together: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from plaudit.errors import ShapeError
from plaudit.rewards.base import Floats


def mixture_moments(
    mean: Float[np.ndarray, "n k"],
    *,
    std: Float[np.ndarray, "n k"] | None = None,
    noise: Float[np.ndarray, "n k"] | None = None,
    weights: Float[np.ndarray, " k"] | None = None,
) -> tuple[Floats, Floats, Floats | None]:
    """Mean, epistemic and aleatoric deviation of the mixture of members.

    By the law of total variance `Var = Var_member(mean) + E_member(std^2) + E_member(noise^2)`: the first two are
    epistemic, the last is aleatoric. `Var_member` is the population variance: the members are the mixture.

    Args:
        mean: what each member says of each sample.
        std: each member's own epistemic deviation; none by default.
        noise: each member's aleatoric deviation; none by default.
        weights: of the members in the mixture, at least 0 and of sum 1; alike by default.

    Returns:
        (n,) each; the aleatoric one is None without `noise`.

    Raises:
        ShapeError: if shapes differ.
    """
    for name, column in (("std", std), ("noise", noise)):
        if column is not None and column.shape != mean.shape:
            raise ShapeError(f"mixture_moments: {name} is {column.shape} for members {mean.shape}; give one a member")
    if weights is None:
        epistemic = mean.var(axis=1) + (0.0 if std is None else np.square(std).mean(axis=1))
        aleatoric = None if noise is None else np.sqrt(np.square(noise).mean(axis=1))
        return mean.mean(axis=1), np.sqrt(epistemic), aleatoric
    if np.shape(weights) != mean.shape[1:]:
        raise ShapeError(
            f"mixture_moments: weights are {np.shape(weights)} for members {mean.shape}; give one a member"
        )
    middle = mean @ weights
    epistemic = np.square(mean - middle[:, None]) @ weights + (0.0 if std is None else np.square(std) @ weights)
    return middle, np.sqrt(epistemic), None if noise is None else np.sqrt(np.square(noise) @ weights)


def centred_within(
    members: Float[np.ndarray, "n k"], groups: Sequence[object], *, weights: Float[np.ndarray, " k"] | None = None
) -> Floats:
    """Members without the shift that each has of its own in each group.

    `members - mean over the group, a member + mean over the group and all members`: every member then has the
    ensemble's level in the group, and the mean of the members is what it was. Rows that are NaN do not count.

    Args:
        members: of n samples.
        groups: what is compared together: a label a sample, such as its prompt. A sample alone in its group keeps the
            mean and loses all deviation, since its shift is all that there is.
        weights: of the members in their mean, of sum 1; alike by default.

    Raises:
        ShapeError: if there is not one label a sample.
    """
    if len(groups) != len(members):
        raise ShapeError(f"centred_within: {len(groups)} groups for {len(members)} samples; give one each")
    place: dict[object, int] = {}
    at = np.array([place.setdefault(g, len(place)) for g in groups], dtype=np.int64)
    counted = np.isfinite(members).all(axis=1)
    n = np.maximum(np.bincount(at[counted], minlength=len(place)), 1)
    levels = np.stack([np.bincount(at[counted], c[counted], len(place)) / n for c in members.T], axis=1)
    level = levels.mean(axis=1) if weights is None else levels @ weights
    return np.asarray(members - levels[at] + level[at][:, None])
