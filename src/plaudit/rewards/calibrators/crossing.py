"""Cross-fitting: what a calibrator says of pairs whose prompts it was not fitted to.

A calibrator that is judged on the pairs that made it looks better than it is, isotonic maps most of all. Prompts are
kept whole, since pairs of one prompt share completions.

A temperature has no fit where every pair is ranked right, which the other folds of a good reward often are though the
whole is not. There its targets are Platt's smoothed ones, as if there were a pair of each kind more: finite, and nearer
to a half than any temperature of those pairs. Choosing folds by who was right would let the answers into the fit.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.rewards.calibrators.base import Calibrator, Floats, folded
from plaudit.rewards.calibrators.choosing import fit_calibrator
from plaudit.rewards.calibrators.conformal import Conformal
from plaudit.rewards.calibrators.platt import smoothed_targets
from plaudit.rewards.calibrators.temperature import Temperature, log_odds_slope


@dataclass(frozen=True)
class CrossFitted:
    """Held-out answers of a method, in the order of the pairs.

    Attributes:
        probability: that the first is better (n,).
        fold: number of the fold that judged each pair (n,).
        low: lower probability (n,), or None.
        high: upper probability (n,), or None.
        sets: whether "first" and "second" are in the conformal set (n, 2), or None.
        smoothed: folds whose temperature was fitted to smoothed targets, every pair of the others being ranked right.
    """

    probability: Float[np.ndarray, " n"]
    fold: Int[np.ndarray, " n"]
    low: Float[np.ndarray, " n"] | None = None
    high: Float[np.ndarray, " n"] | None = None
    sets: Bool[np.ndarray, "n 2"] | None = None
    smoothed: int = 0


def cross_fitted(
    method: str, margin: ArrayLike, folds: Sequence[tuple[Sequence[int], Sequence[int]]],
    label: ArrayLike | None = None, *, level: float = 0.9, prompts: Sequence[Hashable] | None = None,
) -> CrossFitted:  # fmt: skip
    """Each fold's pairs as the calibrator that was fitted to the other folds sees them.

    Args:
        method: name of the calibrator.
        margin: (n,) in the reward's own log-odds, NaN where unknown.
        folds: positions to fit to and positions to judge, as `plaudit.records.splitting.folds_by_prompt` gives them;
            every row is judged once.
        label: as in `Calibrator.fit`.
        level: coverage that conformal sets promise.
        prompts: (n,) whose pair each is, as in `fit_calibrator`.

    Raises:
        InputError: if a fold cannot be fitted, naming it and how many pairs it was to be fitted to.
    """
    m = np.asarray(margin, dtype=np.float64)
    y = np.ones(m.size) if label is None else np.asarray(label, dtype=np.float64)
    columns: dict[str, Floats] = {}
    sets = np.zeros((m.size, 2), dtype=bool) if method == Conformal.method else None
    fold, smoothed = np.zeros(m.size, dtype=np.int64), 0
    for number, (train, test) in enumerate(folds):
        fitted_to, at = np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64)
        try:
            owner = None if prompts is None else [prompts[i] for i in fitted_to]
            fitted, smooth = _fitted(method, m[fitted_to], y[fitted_to], level, owner)
        except InputError as error:
            part = f"fold {number + 1} of {len(folds)} is fitted to {fitted_to.size} of the {m.size} pairs"
            raise InputError(f"{error} ({part})") from error
        smoothed += smooth
        ends = fitted.interval(m[at])
        found = {"probability": fitted.probability(m[at])}
        fold[at] = number
        found |= {} if ends is None else {"low": ends[0], "high": ends[1]}
        for name, values in found.items():
            columns.setdefault(name, np.full(m.size, np.nan))[at] = values
        if sets is not None and isinstance(fitted, Conformal):
            sets[at] = fitted.sets(m[at])
    return CrossFitted(fold=fold, sets=sets, smoothed=smoothed, **columns)


def _fitted(
    method: str, margin: Floats, label: Floats, level: float, prompts: Sequence[Hashable] | None
) -> tuple[Calibrator, bool]:
    """The calibrator of a fold, and whether its targets had to be smoothed."""
    if method == Temperature.method:
        size, right = folded(method, margin, label)
        if not ((right < 1) & (size > 0)).any():
            return Temperature(log_odds_slope(size, smoothed_targets(right)), int(size.size)), True
    return fit_calibrator(method, margin, label, level=level, prompts=prompts), False
