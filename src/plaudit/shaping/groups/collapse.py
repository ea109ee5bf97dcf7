"""Collapsed rewards, such as similarities between 0.80 and 0.95: stretched again, and ranked where nothing is left.

Source: "Breaking Reward Collapse: Adaptive Reinforcement for Open-ended Medical Reasoning" (ARMed) [84]; its formula is
not published, and this one is ours: running quantiles stretch the scale, and ranks take over where the spread of a
group stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Grouped, Groups, Labels


@final
@dataclass(frozen=True)
class Stretch:
    """Rewards stretched between running quantiles, mixed with ranks in groups of small spread; a pure value.

    `s~ = clip((s - q_low) / (q_high - q_low), 0, 1)^gamma`;
    `r = (1 - m) s~ + m (rank - 1/2) / G`, `m = max(0, 1 - std(s~ in the group) / target)`. Never turns two rewards of a
    group round. Quantiles follow the batches: `q <- decay q + (1 - decay) quantile of the batch`, begun with the first;
    before that, the batch's own.

    Attributes:
        low: quantile that is stretched to 0.
        high: quantile that is stretched to 1.
        gamma: above 1 spreads the best apart.
        target: deviation in the group from which on ranks count nothing.
        decay: of the running quantiles, in [0, 1).
        ends: (q_low, q_high), or None before the first batch.

    Raises:
        InputError: if a value is out of range.
    """

    low: float = 0.1
    high: float = 0.9
    gamma: float = 1.0
    target: float = 0.1
    decay: float = 0.9
    ends: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1 or not (self.gamma > 0 and self.target > 0) or not 0 <= self.decay < 1:
            raise InputError(
                f"stretch: {asdict(self)}; give 0 <= low < high <= 1, gamma and target > 0, decay in [0, 1)"
            )

    def updated(self, similarity: ArrayLike) -> Self:
        """With a batch's quantiles seen; NaN enters nothing.

        Raises:
            InputError: if a similarity is infinite.
        """
        s = np.asarray(similarity, dtype=np.float64)
        s = s[~np.isnan(s)]
        if np.isinf(s).any():
            raise InputError("stretch: a similarity is infinite; give finite values, and NaN where there is none")
        if not s.size:
            return self
        new = [float(q) for q in np.quantile(s, [self.low, self.high])]
        old = self.ends or new
        low, high = (self.decay * a + (1 - self.decay) * b for a, b in zip(old, new, strict=True))
        return replace(self, ends=(low, high))

    def __call__(self, similarity: ArrayLike, groups: Labels | Groups) -> Float[np.ndarray, " n"]:
        """The stretched rewards, in [0, 1]; NaN stays NaN, and equal similarities of a group get equal rewards.

        Args:
            similarity: (n,) raw rewards.
            groups: a label a sample.
        """
        s = Grouped.of("stretch", similarity, groups)
        ends = (self if self.ends is not None else self.updated(s.value)).ends
        if ends is None:
            return s.value
        width = ends[1] - ends[0]
        wide = np.clip((s.value - ends[0]) / width, 0.0, 1.0) if width > 0 else (s.value >= ends[1]).astype(np.float64)
        curved = wide if self.gamma == 1 else wide**self.gamma
        stretched = Grouped(curved if s.missing is None else np.where(s.missing, np.nan, curved), s.groups)
        ranked = (s.rank - 0.5) / (s.groups.mates if s.missing is None else np.maximum(s.n, 1)[s.groups.code])
        m = np.maximum(0.0, 1 - np.nan_to_num(stretched.std()) / self.target)[s.groups.code]
        return np.asarray((1 - m) * stretched.value + m * ranked)

    def state(self) -> dict[str, Any]:
        """The running quantiles, for a run's folder."""
        return {"ends": None if self.ends is None else list(self.ends)}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With the quantiles that `state` gave."""
        ends = state["ends"]
        return replace(self, ends=None if ends is None else (float(ends[0]), float(ends[1])))


def mean_spread(reward: ArrayLike, groups: Labels | Groups) -> float:
    """Mean over groups of the deviation within: what an optimiser without group scaling has to learn from.

    Args:
        reward: (n,), NaN where there is none.
        groups: a label a sample.

    Returns:
        In reward units; NaN where no group has two rewards.
    """
    r = Grouped.of("mean_spread", reward, groups)
    told = r.n >= 2
    return float(r.std()[told].mean()) if told.any() else float("nan")


def discriminability(reward: ArrayLike, correct: ArrayLike) -> float:
    """How often a right answer has a higher reward than a wrong one, ties half: the area under the ROC curve.

    A collapsed reward may still tell right from wrong; what it lacks is spread, see `mean_spread`.

    Args:
        reward: (n,), NaN where there is none.
        correct: (n,) 1 right, 0 wrong, NaN where it is not known.

    Returns:
        In [0, 1]; NaN without a right or without a wrong answer that has a reward.

    Raises:
        ShapeError: if the two differ in number.
        InputError: if a reward is infinite.
    """
    r = Grouped.of("discriminability", reward, np.zeros(np.size(reward), dtype=np.int64), correct=correct)
    right = np.asarray(correct, dtype=np.float64)
    known = ~(np.isnan(r.value) | np.isnan(right))
    value, good = r.value[known], right[known] > 0.5
    n = int(good.sum())
    if not 0 < n < good.size:
        return float("nan")
    ranks = Grouped(value, Groups(np.zeros(value.size, dtype=np.int64), 1)).rank
    return float((ranks[good].sum() - n * (n + 1) / 2) / (n * (good.size - n)))


def relief_weights(
    other: ArrayLike, groups: Labels | Groups, *, low: float = 0.5, high: float = 1.0
) -> Float[np.ndarray, " n"]:
    """The weight of a semantic reward beside another one: more where the other says nothing.

    `low` in groups in which the other reward tells completions apart, `high` where all of its values are equal.

    Args:
        other: (n,) of the other reward, such as a match of words; NaN where there is none.
        groups: a label a sample.
        low: weight where the other reward varies.
        high: weight where it does not, at least `low`.

    Raises:
        InputError: if `high` is below `low`, or either is negative.
    """
    if not 0 <= low <= high:
        raise InputError(f"relief_weights: low is {low} and high {high}; give 0 <= low <= high")
    r = Grouped.of("relief_weights", other, groups)
    return np.where(r.varied, low, high)[r.groups.code]
