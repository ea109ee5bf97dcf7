"""Split conformal prediction of preferences: sets of labels that hold the true one as often as promised.

The promise is marginal: over calibration and test prompts drawn alike, and a pair of the test prompt drawn at random,
`P(true label in the set) >= level`. It says nothing of any one margin, nothing of all pairs of one prompt together, and
nothing once the prompts are drawn otherwise.

Pairs of one prompt go together (a list of 8 is 28 pairs of 8 completions), so they are not so many independent ones:
ten copies of each of three margins would promise what three cannot. Each prompt of the calibration set has one vote,
which its pairs share. With one pair a prompt this is plain split conformal prediction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, final

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators.base import Floats, Interval, folded
from plaudit.rewards.calibrators.platt import smoothed_targets
from plaudit.rewards.calibrators.temperature import log_odds_slope


def conformal_p_values(alpha: ArrayLike, new: ArrayLike, *, weight: ArrayLike | None = None) -> Float[np.ndarray, " m"]:
    """`(1 + sum w_i [alpha_i >= new]) / (1 + sum w_i)`: how usual a nonconformity is among the calibration set's.

    Args:
        alpha: (n,) nonconformity of the calibration set, higher is stranger.
        new: (m,).
        weight: (n,) of each; 1 by default. Where groups are exchangeable and the members of each are among themselves,
            one over the size of its group.

    Raises:
        ShapeError: if nonconformities and weights differ in number.

    Source: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World"; Lee, Barber and Willett 2023,
        "Distribution-free inference with hierarchical data", for groups: `P(p <= eps) <= eps` for a random member of
        a new group, whatever the sizes.
    """
    a = np.asarray(alpha, dtype=np.float64).reshape(-1)
    w = np.ones(a.size) if weight is None else np.asarray(weight, dtype=np.float64).reshape(-1)
    if w.shape != a.shape:
        raise ShapeError(f"conformal: {a.size} nonconformities and {w.size} weights; they must be equal in number")
    order = np.argsort(a)
    above = np.append(np.cumsum(w[order][::-1])[::-1], 0.0)  # weight of a rank and all higher ones
    at_least = above[np.searchsorted(a[order], np.asarray(new, dtype=np.float64), side="left")]
    return np.asarray((1 + at_least) / (1 + above[0]))


def label_p_values(
    score: ArrayLike, label: ArrayLike, new: ArrayLike, *, mondrian: bool = True
) -> Float[np.ndarray, "m 2"]:
    """p-values of the labels 0 and 1 for new scores; the label y is in the prediction set where its own is above eps.

    Nonconformity is `-score` for the label 1 and `score` for the label 0.

    Args:
        score: (n,) log-odds (or anything symmetric around 0) of the calibration set.
        label: (n,) 0 or 1.
        new: (m,) scores, NaN gives NaN.
        mondrian: compare a label only with calibration rows of that label, so that coverage holds within each class;
            otherwise with all rows (split), which promises it on average over the classes.

    Returns:
        (m, 2): for the label 0, and for the label 1.

    Raises:
        ShapeError: if scores and labels differ in number.
        InputError: if a label is neither 0 nor 1.

    Source: Vovk 2012, "Conditional Validity of Inductive Conformal Predictors" (Mondrian).
    """
    s, y = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if s.shape != y.shape:
        raise ShapeError(f"conformal: {s.size} scores and {y.size} labels; they must be equal in number")
    if not np.isin(y, (0.0, 1.0)).all():
        raise InputError(f"conformal: a label is {y[~np.isin(y, (0.0, 1.0))][0]}; give 0 or 1")
    alpha = np.where(y == 1, -s, s)
    at = np.asarray(new, dtype=np.float64)
    groups = (alpha[y == 0], alpha[y == 1]) if mondrian else (alpha, alpha)
    found = np.stack([conformal_p_values(groups[0], at), conformal_p_values(groups[1], -at)], axis=1)
    return np.where(np.isnan(at)[:, None], np.nan, found)


@final
@dataclass(frozen=True)
class Conformal:
    """Prediction sets {first, second} of pairs at a level; with both in it, the reward cannot say.

    Antisymmetric because the calibration pairs count in both orders: the p-value of "second" for (a, b) is that of
    "first" for (b, a). In both orders the two classes hold the same nonconformities, so the split and the
    label-conditional (Mondrian) sets are the same sets. The label that the margin favours always belongs to the set:
    without it the set of a margin near 0 can be empty where the reward errs less often than the level allows, and
    coverage can only grow by it.

    Attributes:
        margin: calibration margins, chosen minus rejected (n,), rising.
        level: coverage that is promised, in (0, 1).
        slope: of the temperature that `probability` uses; the sets do not depend on it.
        weight: of each margin (n,), one over the pairs of its prompt; empty where each has a prompt of its own.
    """

    margin: tuple[float, ...]
    level: float
    slope: float
    weight: tuple[float, ...] = ()
    method = "conformal"

    @classmethod
    def fit(
        cls, margin: ArrayLike, label: ArrayLike | None = None, *, level: float = 0.9,
        prompts: Sequence[Hashable] | None = None,
    ) -> Self:  # fmt: skip
        """See `Calibrator.fit`; ties (label 1/2) have no true side and are left out.

        Args:
            margin: as there.
            label: as there.
            level: coverage to promise.
            prompts: (n,) whose pair each is; by default no two are of one prompt.

        Raises:
            ShapeError: if margins and prompts differ in number.
            InputError: if the level is out of range, there is nothing to fit, or there are so few prompts that every
                set would hold both.
        """
        if not 0 < level < 1:
            raise InputError(f"conformal: level is {level}; give a coverage between 0 and 1, such as 0.9")
        size, right = folded("conformal", margin, label)
        # one pseudo-pair of each kind keeps the temperature finite where every sign is right
        slope = log_odds_slope(size, smoothed_targets(right))
        m = np.asarray(margin, dtype=np.float64).reshape(-1)
        y = np.ones(m.size) if label is None else np.asarray(label, dtype=np.float64).reshape(-1)
        if prompts is not None and len(prompts) != m.size:
            raise ShapeError(f"conformal: {m.size} margins and {len(prompts)} prompts; they must be equal in number")
        keep = np.flatnonzero((y != 0.5) & ~np.isnan(m + y))
        m = np.where(y == 1, m, -m)[keep]
        owner = list(range(m.size)) if prompts is None else [prompts[i] for i in keep.tolist()]
        pairs = Counter(owner)
        least = int(np.ceil(1 / (1 - level) - 1 - 1e-9))
        if len(pairs) < least:
            said = f"{m.size} pairs" if len(pairs) == m.size else f"{m.size} pairs of {len(pairs)} prompts"
            raise InputError(f"conformal: {said} cannot promise {level:.0%}; give pairs of at least {least} prompts")
        weight = np.array([1 / pairs[one] for one in owner])
        order = np.lexsort((weight, m))
        shared = tuple(weight[order].tolist()) if len(pairs) < m.size else ()
        return cls(tuple(m[order].tolist()), level, slope, shared)

    @property
    def n(self) -> int:
        """Pairs that it was fitted to."""
        return len(self.margin)

    @cached_property
    def _alpha(self) -> Floats:
        return -np.array(self.margin)

    def p_values(self, margin: ArrayLike) -> Float[np.ndarray, "n 2"]:
        """Conformal p-values of "the first is better" and of "the second is"; NaN where the margin is."""
        m = np.asarray(margin, dtype=np.float64)
        weight = self.weight or None
        both = np.stack([conformal_p_values(self._alpha, at, weight=weight) for at in (-m, m)], axis=1)
        return np.where(np.isnan(m)[:, None], np.nan, both)

    def sets(self, margin: ArrayLike) -> Bool[np.ndarray, "n 2"]:
        """Whether "first" and "second" belong to the set of each pair; neither where the margin is NaN."""
        m = np.asarray(margin, dtype=np.float64)
        # p > 1 - level, with room for the rounding of 1 - level
        usual = self.p_values(m) > 1 - self.level + 1e-12
        return np.asarray((usual | np.stack([m >= 0, m <= 0], axis=1)) & ~np.isnan(m)[:, None])

    def probability(self, margin: ArrayLike) -> Floats:
        """See `Calibrator.probability`: of a temperature fitted to the same pairs."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * np.asarray(margin, dtype=np.float64)))

    def interval(self, margin: ArrayLike) -> Interval | None:  # noqa: ARG002
        """None: the sets are the answer."""
        return None
