"""What an optimiser should make of an ensemble: one number a sample from its members.

Bradley-Terry fixes differences within a prompt only, so a member's level in a prompt is its own affair. With `groups`
every function first gives all members the ensemble's level in each group (`centred_within`): the mean is what it was,
and a minimum or a variance then compares what the members say, not where their zeros lie. Without `groups` the members
are taken as they are, as the released code of [150] does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.base import Floats, Outcome, RewardBatch
from plaudit.rewards.uncertainty.moments import centred_within

Groups = Sequence[object] | None
Aggregate = Callable[..., Floats]
"""`(members (n, k), *, groups, **options) -> (n,)`."""


def mean(members: Float[np.ndarray, "n k"], *, groups: Groups = None) -> Floats:
    """The mean of the members; centring does not change it.

    Args:
        members: rewards of n samples by k members; a row that is NaN stays NaN.
        groups: what is compared together, a label a sample.

    Source: Eisenstein et al. 2023 [148].
    """
    return np.asarray(_members("mean", members, groups).mean(axis=1))


def worst_case(members: Float[np.ndarray, "n k"], *, groups: Groups = None) -> Floats:
    """WCO: the least of the members.

    Args:
        members: rewards of n samples by k members.
        groups: what is compared together, a label a sample.

    Source: Coste et al. 2023, "Reward Model Ensembles Help Mitigate Overoptimization", equation 2 [150].
    """
    return np.asarray(_members("worst_case", members, groups).min(axis=1))


def uncertainty_weighted(members: Float[np.ndarray, "n k"], *, lam: float = 0.5, groups: Groups = None) -> Floats:
    """UWO: `mean - lam * variance` (population).

    Args:
        members: rewards of n samples by k members.
        lam: per reward unit, at least 0; the paper's is 0.5 for best-of-n and 0.1 for PPO.
        groups: what is compared together, a label a sample.

    Raises:
        InputError: if `lam` is negative or not finite.

    Source: Coste et al. 2023, equation 3 [150].
    """
    if not 0 <= lam < np.inf:
        raise InputError(f"uncertainty_weighted: lam is {lam}; it must be at least 0")
    table = _members("uncertainty_weighted", members, groups)
    return np.asarray(table.mean(axis=1) - lam * table.var(axis=1))


def lower_bound(members: Float[np.ndarray, "n k"], *, beta: float = 1.0, groups: Groups = None) -> Floats:
    """`mean - beta * standard deviation` (population).

    Args:
        members: rewards of n samples by k members.
        beta: at least 0; the paper's is 1.
        groups: what is compared together, a label a sample.

    Raises:
        InputError: if `beta` is negative or not finite.

    Source: Eisenstein et al. 2023, "Helping or Herding?" [148].
    """
    if not 0 <= beta < np.inf:
        raise InputError(f"lower_bound: beta is {beta}; it must be at least 0")
    table = _members("lower_bound", members, groups)
    return np.asarray(table.mean(axis=1) - beta * table.std(axis=1))


def quantile(members: Float[np.ndarray, "n k"], *, level: float = 0.25, groups: Groups = None) -> Floats:
    """The quantile of the members, linear between them: 0 is the worst case, 0.5 the median.

    Args:
        members: rewards of n samples by k members.
        level: 0 to 1.
        groups: what is compared together, a label a sample.

    Raises:
        InputError: if the level is outside [0, 1].
    """
    if not 0 <= level <= 1:
        raise InputError(f"quantile: level is {level}; it must lie in [0, 1]")
    table = _members("quantile", members, groups)
    return np.asarray(np.quantile(table, level, axis=1)) if len(table) else np.zeros(0)


def nominal_minimum(
    members: Float[np.ndarray, "n k"], *, nominal: Float[np.ndarray, " n"] | None = None, alpha: float = 0.4,
    over: str = "batch", groups: Groups = None,
) -> Floats:  # fmt: skip
    """`alpha * nominal + (1 - alpha) * minimum`.

    With `over="batch"` the minimum is the published one: over *expectations*, so the one member whose mean over the
    batch is least speaks for every sample. With `over="sample"` each sample meets its own worst member, which is never
    more, and is `worst_case` at alpha 0. Which of the two is meant changes who is punished: a member that is low
    everywhere, or each sample's own critic.

    Args:
        members: rewards of n samples by k members.
        nominal: the reward that counts with alpha; by default the mean of the members. The paper's is the mean of the
            head that says the smallest deviation (`aspects["nominal"]` of a `gaussian-heads` model).
        alpha: weight of the nominal term, 0 to 1; the paper's best lie between 0.2 and 0.4.
        over: `batch` or `sample`.
        groups: what is compared together, a label a sample. Centring takes every member's level away, and with it the
            differences between members' means over the batch: of `over="batch"` it leaves rounding.

    Raises:
        InputError: if alpha is outside [0, 1], `over` is not known, or `over="batch"` is asked for with groups.
        ShapeError: if there is not one nominal reward a sample.

    Source: Yan et al. 2024, "Reward-Robust RLHF in LLMs" [149].
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"nominal_minimum: alpha is {alpha}; it must lie in [0, 1]")
    if over not in ("batch", "sample"):
        raise InputError(f"nominal_minimum: over is {over!r}; give 'batch' or 'sample'")
    if over == "batch" and groups is not None:
        raise InputError(
            "nominal_minimum: centred members have equal means over the batch, so none is the worst; leave out groups, "
            "or use over='sample'"
        )
    table = _members("nominal_minimum", members, groups)
    middle = table.mean(axis=1) if nominal is None else np.asarray(nominal, np.float64)
    if middle.shape != table.shape[:1]:
        raise ShapeError(
            f"nominal_minimum: {middle.shape} nominal rewards for {table.shape} members; give one a sample"
        )
    if over == "sample":
        return np.asarray(alpha * middle + (1 - alpha) * table.min(axis=1))
    counted = np.isfinite(table).all(axis=1)
    least = table[:, int(table[counted].mean(axis=0).argmin())] if counted.any() else middle
    return np.asarray(alpha * middle + (1 - alpha) * least)


def _from_std(by: Aggregate, batch: RewardBatch, counted: np.ndarray, options: Mapping[str, Any]) -> Floats:
    """What a mean and a deviation say in the place of members: the normal ones that would have them."""
    assert batch.std is not None
    middle, std = batch.reward[counted], batch.std[counted]
    if by is mean:
        return np.asarray(middle)
    if by is uncertainty_weighted:
        lam = options.get("lam", 0.5)
        uncertainty_weighted(np.zeros((0, 1)), lam=lam)  # says what is wrong with it
        return np.asarray(middle - lam * np.square(std))
    if by is lower_bound:
        beta = options.get("beta", 1.0)
        lower_bound(np.zeros((0, 1)), beta=beta)
        return np.asarray(middle - beta * std)
    if by is quantile:
        from scipy.special import ndtri

        level = options.get("level", 0.25)
        if not 0 < level < 1:
            raise InputError(f"quantile: level is {level}; of a mean and a deviation give one in (0, 1)")
        return np.asarray(middle + ndtri(level) * std)
    raise InputError(
        f"aggregated: {getattr(by, '__name__', by)} needs members, and the batch has a deviation only; score with an "
        "ensemble, or take mean, lower_bound, uncertainty_weighted or quantile"
    )


def aggregated(batch: RewardBatch, by: Aggregate, *, groups: Groups = None, **options: Any) -> RewardBatch:
    """A batch whose rewards are made of its members, outcomes respected.

    What did not count stays NaN and enters no group's level; a policy fault keeps its floor. A batch without members
    that has `std` is read as normal about its reward, for `mean`, `lower_bound` (`reward - beta std`),
    `uncertainty_weighted` (`reward - lam std^2`) and `quantile` (`reward + z(level) std`, level within (0, 1));
    `groups` then says nothing, since no member has a level.

    Args:
        batch: with members, or with `std`.
        by: one of this module's functions, or any like them.
        groups: what is compared together, a label a sample.
        **options: of the function; an array with an entry a sample (`nominal`) loses those that do not count.

    Raises:
        InputError: if the batch has neither, or has `std` alone and the function needs members.
    """
    counted = batch.outcome == Outcome.SCORED
    reward = batch.reward.copy()
    if batch.members is None:
        if batch.std is None:
            raise InputError(
                "aggregated: the batch has no members and no std; score with an ensemble, or with heads that give them"
            )
        reward[counted] = _from_std(by, batch, counted, options)
        return replace(batch, reward=reward)
    labels = None if groups is None else [g for g, keep in zip(groups, counted, strict=True) if keep]
    if counted.any():
        each = {
            name: value[counted] if isinstance(value, np.ndarray) and value.shape == counted.shape else value
            for name, value in options.items()
        }
        reward[counted] = by(batch.members[counted], groups=labels, **each)
    return replace(batch, reward=reward)


def _members(who: str, members: Float[np.ndarray, "n k"], groups: Groups) -> Floats:
    table = np.asarray(members, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise ShapeError(f"{who}: members are {table.shape}; they must be (samples, members)")
    return table if groups is None else centred_within(table, groups)
