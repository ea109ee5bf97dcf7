"""Estimators around another: what they make of its advantages. Outliers, weights of completions and of prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.policy.advantages.base import AdvantageEstimator, AdvantageInputs, Advantages, Extent
from plaudit.policy.advantages.relative import GroupRelative
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.groups.difficulty import difficulty_scale
from plaudit.shaping.groups.selection import FILTERS


@dataclass(frozen=True)
class Wrapping(ABC):
    """An estimator around another.

    Attributes:
        of: the one inside; it sees `shown(inputs)`.
    """

    of: AdvantageEstimator = field(default_factory=GroupRelative)

    own_extent: ClassVar[Extent] = "group"
    own_needs: ClassVar[frozenset[str]] = frozenset()
    own_takes: ClassVar[frozenset[str]] = frozenset()

    @property
    def extent(self) -> Extent:
        """The larger of the two."""
        return "batch" if "batch" in (self.own_extent, self.of.extent) else "group"

    @property
    def needs(self) -> frozenset[str]:
        """What both need."""
        return self.of.needs | self.own_needs

    @property
    def takes(self) -> frozenset[str]:
        """What either takes."""
        return self.of.takes | self.own_takes

    @property
    def reward_counts(self) -> bool:
        """Whether the reward reaches the advantages, see `AdvantageEstimator`: of the one inside."""
        return bool(getattr(self.of, "reward_counts", True))

    @property
    def siblings(self) -> bool:
        """Whether a completion alone in its group has no advantage: of the one inside."""
        return bool(getattr(self.of, "siblings", False))

    def shown(self, inputs: AdvantageInputs) -> AdvantageInputs:
        """The batch as the one inside sees it."""
        return inputs

    @abstractmethod
    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """The formula: what becomes of the advantages of the one inside."""

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """The advantages of a batch."""
        return self.made(inputs, self.of(self.shown(inputs)))

    def updated(self, inputs: AdvantageInputs) -> Self:
        """With the one inside updated."""
        return replace(self, of=self.of.updated(self.shown(inputs)))

    def state(self) -> dict[str, Any]:
        """Of the one inside; empty if that is."""
        inner = self.of.state()
        return {"of": inner} if inner else {}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """In a state that `state` gave.

        Raises:
            InputError: if it is another estimator's.
        """
        if set(state) - {"of"}:
            raise InputError(f"{type(self).__name__}: was given {sorted(state)}; it is another estimator's state")
        return replace(self, of=self.of.restored(state.get("of", {})))


@final
@dataclass(frozen=True)
class WithoutOutliers(Wrapping):
    """Advantages as z-scores over the batch, those beyond the threshold set to 0: the filter of StableReinforce.

    Over n values no z-score (over n - 1) exceeds `(n - 1) / sqrt(n)`: of up to ten, three deviations filter nothing.
    Numbers that are not finite, which the released code sets to 0 as well, are refused before they get here.

    Source: Zhang et al. 2025, "R1-Reward" (StableReinforce), with its clamp of log-ratios in `losses.clipped` [15].
    """

    threshold: float = 3.0
    """Deviations from the mean."""
    epsilon: float = 1e-8
    """Added to the deviation: what differs by rounding alone is not blown up."""

    own_extent: ClassVar[Extent] = "batch"

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise InputError(f"without-outliers: threshold is {self.threshold}; give a positive number of deviations")

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """Scores what is included: completions if the inner advantages are theirs, else tokens.

        Where the one inside compares siblings, a completion that takes part alone keeps its 0 and enters no statistic.
        """
        by_token = inner.token is not None
        value = np.asarray(inner.token if by_token else inner.sequence)
        there, groups = inner.included, inputs.grouped
        if self.siblings:
            there = there & (np.bincount(groups.code[there], minlength=groups.count) >= 2)[groups.code]
        counted = there[inputs.owner] if by_token else there
        known = value[counted]
        spread = float(known.std(ddof=1)) if known.size > 1 and np.ptp(known) > 0 else 0.0
        if not spread:
            return replace(inner, metrics={**inner.metrics, "outliers": 0.0})
        z = np.where(counted, (value - known.mean()) / (spread + self.epsilon), 0.0)
        far = np.abs(z) > self.threshold
        kept = np.where(far, 0.0, z)
        metrics = {**inner.metrics, "outliers": float(far[counted].mean())}
        return replace(inner, sequence=None if by_token else kept, token=kept if by_token else None, metrics=metrics)


@final
@dataclass(frozen=True)
class Filtered(Wrapping):
    """The inner advantages, with each completion counted by a filter's weight: PF-PPO.

    The buffer is drawn from anew with these weights; the loss has their expectation, without the noise of the draw
    (`Advantages.weight` goes into `token_weights` as its `count`).

    Source: Shen and Zhang 2024, "Policy Filtration in RLHF" [105]; filters in `shaping.groups.selection`, where
    `most_reliable` chooses one.
    """

    filter: str = "best-worst"
    """`none`, `best`, `best-random`, `best-worst` or `power`."""

    own_extent: ClassVar[Extent] = "batch"

    def __post_init__(self) -> None:
        if self.filter not in FILTERS:
            raise InputError(f"filtered: filter {self.filter!r} is not known; {nearest(self.filter, FILTERS)}")

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """Weights by rewards that are normalised over the whole batch, as `power` expects."""
        known = inputs.reward[inputs.included]
        spread = float(known.std()) if known.size else 0.0
        normal = inputs.reward if not spread else (inputs.reward - known.mean()) / spread
        weight = FILTERS[self.filter](normal, inputs.groups)
        often = weight if inner.weight is None else weight * inner.weight
        told = {"kept": float((often[inner.included] > 0).mean()) if inner.included.any() else float("nan")}
        return replace(inner, weight=often, metrics={**inner.metrics, **told})


@final
@dataclass(frozen=True)
class DifficultyScaled(Wrapping):
    """The inner advantages times how hard the prompt's data is, and how the model responds to it, beside the batch's.

    Reads `columns["hardness"]` and `columns["gap"]`, the same for all completions of a prompt; NaN where unknown.

    Source: "Inverse Reinforcement Learning with Dynamic Reward Scaling" (DR-IRL, GRPO-S) [122]; the formulas are
    `shaping.groups.difficulty_scale`.
    """

    cut: float = 3.0
    """Scaled median absolute deviations beyond which a gap is an outlier."""

    own_extent: ClassVar[Extent] = "batch"
    own_needs: ClassVar[frozenset[str]] = frozenset({"hardness", "gap"})

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """Signs stay."""
        groups = inputs.grouped
        columns: list[Floats] = [inputs.need(name, "difficulty-scaled") for name in ("hardness", "gap")]
        by_prompt = np.full((2, groups.count), np.nan)
        for row, column in zip(by_prompt, columns, strict=True):
            row[groups.code[inner.included]] = column[inner.included]  # a prompt without a reward enters no mean
        scale = difficulty_scale(*by_prompt, cut=self.cut)
        by_completion = scale[groups.code]
        if inner.token is not None:
            return replace(inner, token=inner.token * by_completion[inputs.owner])
        return replace(inner, sequence=np.asarray(inner.sequence) * by_completion)
