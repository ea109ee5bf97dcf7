"""Estimators around another that change the reward first, by what only a whole batch can tell.

Each sees all completions of an update, which a transform of the room `shaping` need not; the formulas are shaping's.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent, Stateless
from plaudit.policy.advantages.wrapping import Wrapping
from plaudit.shaping.constraints.judges import best_allowed, constrained_reward, contrast_allowed
from plaudit.shaping.groups.baselines import leave_one_out
from plaudit.shaping.groups.codes import Floats, Grouped
from plaudit.shaping.groups.efficiency import efficient_reward
from plaudit.shaping.length.compression import relative_brevity


@dataclass(frozen=True)
class Reshaped(Wrapping):
    """An estimator of another reward: `reward(inputs)` in place of what was given."""

    @abstractmethod
    def reward(self, inputs: AdvantageInputs) -> Floats:
        """The formula, (n,); what has no reward keeps none."""

    def shown(self, inputs: AdvantageInputs) -> AdvantageInputs:
        """The batch with that reward."""
        found = self.reward(inputs)
        return replace(inputs, reward=np.where(np.isnan(inputs.reward), np.nan, found))

    def made(self, inputs: AdvantageInputs, inner: Advantages) -> Advantages:
        """The inner advantages, and the reward that was given beside the one that was made."""
        known = inputs.reward[inputs.included]
        given = float(known.mean()) if known.size else float("nan")
        return replace(inner, metrics={**inner.metrics, "reward": given, "reshaped_reward": inner.metrics["reward"]})


@final
@dataclass(frozen=True)
class BriefWhereMastered(Reshaped):
    """Right answers are paid for brevity, but only in the groups that are right most often: GRPO-lambda.

    Reads `correct`; the reward that was given only says where there is one.

    Source: Dai et al. 2025, "Stable Reinforcement Learning for Efficient Reasoning" (GRPO-lambda) [36]; the formula is
    `shaping.groups.efficient_reward`. Wrong answers are worth 0 in every group, which a published note's code forgets.
    """

    share: float = 0.2
    """Of the groups, the paper's lambda; 1 is a plain length penalty."""
    alpha: float = 0.6
    """What the longest may lose, in [0, 1]."""

    own_extent: ClassVar[Extent] = "batch"
    own_needs: ClassVar[frozenset[str]] = frozenset({"correct"})

    @property
    def reward_counts(self) -> bool:
        """No: what is right and how long it is decide alone."""
        return False

    def reward(self, inputs: AdvantageInputs) -> Floats:
        """In place of the reward that was given."""
        correct = inputs.need("correct", "brief-where-mastered")
        return efficient_reward(correct, inputs.lengths, inputs.groups, share=self.share, alpha=self.alpha)


@final
@dataclass(frozen=True)
class BriefByDifficulty(Reshaped):
    """The reward, and for right answers a share of the tokens that they save beside their bucket of difficulty: TRAAC.

    Reads `correct`; and `columns["kept_length"]`, the length that compression left, where it is given.

    Source: TRAAC [31]; the formula is `shaping.length.relative_brevity`, its constants are ours.
    """

    weights: tuple[float, float, float] = (0.4, 0.2, 0.1)
    """Of easy, medium and hard prompts."""

    own_extent: ClassVar[Extent] = "batch"
    own_needs: ClassVar[frozenset[str]] = frozenset({"correct"})
    own_takes: ClassVar[frozenset[str]] = frozenset({"kept_length"})

    def reward(self, inputs: AdvantageInputs) -> Floats:
        """Added to the reward that was given."""
        length = inputs.columns.get("kept_length", inputs.lengths)
        correct = inputs.need("correct", "brief-by-difficulty")
        return np.asarray(inputs.reward + relative_brevity(correct, length, inputs.groups, weights=self.weights))


@final
@dataclass(frozen=True)
class Constrained(Reshaped):
    """CRPG: `allowed * max(0, 1 - log_ratio / kl_max) * reward`: what is forbidden, or far away, earns nothing.

    Reads `columns["allowed"]`; the reward must be calibrated (`shaping.constraints.calibrated_reward`). Inside, use
    `GroupRelative(scale="none")`, as the paper does.

    Source: Xu et al. 2024, "The Perfect Blend" (CGPO), section 4 [62].
    """

    kl_max: float = 10.0
    """Nats of a completion at which the reward has fallen to 0."""

    own_needs: ClassVar[frozenset[str]] = frozenset({"allowed", "logp", "ref_logp"})

    def reward(self, inputs: AdvantageInputs) -> Floats:
        """Where it is not known whether a completion is allowed, it has no reward."""
        allowed = inputs.need("allowed", "constrained")
        return constrained_reward(inputs.reward, allowed, log_ratios(inputs, "constrained"), kl_max=self.kl_max)


@final
@dataclass(frozen=True)
class BestAllowed(Stateless):
    """CRRAFT: the best completion of each group that is allowed and near enough, its reward as its weight.

    Use the loss `reinforce`: with these advantages it is fine-tuning on the best, weighted.

    Source: Xu et al. 2024, "The Perfect Blend" (CGPO), section 4 [62]; `shaping.constraints.best_allowed`.
    """

    kl_max: float = 10.0
    """Nats of a completion beyond which it is dropped."""

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"allowed", "logp", "ref_logp"})

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """Only the best are included; groups without one are left out."""
        allowed, ratio = inputs.need("allowed", "best-allowed"), log_ratios(inputs, "best-allowed")
        at, worth = best_allowed(inputs.reward, allowed, ratio, inputs.grouped, kl_max=self.kl_max)
        found, kept = np.zeros(len(inputs)), np.zeros(len(inputs), dtype=bool)
        found[at], kept[at] = worth, True
        return Advantages.of(inputs, sequence=found, included=kept)


@final
@dataclass(frozen=True)
class ContrastAllowed(Stateless):
    """The best allowed completion of each group at 1, the worst forbidden one (else the worst allowed) at -1: CODPO.

    Reads `columns["allowed"]`. Groups in which nothing is allowed, or that have no second completion, are left out. The
    advantages say which of the two is which; goes with the loss `codpo_pairs`.

    Source: Xu et al. 2024, "The Perfect Blend" (CGPO), section 4 [62]; `shaping.constraints.contrast_allowed`.
    """

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"allowed"})
    siblings: ClassVar[bool] = True

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """Only the two of each group are included."""
        pairs = contrast_allowed(inputs.reward, inputs.need("allowed", "contrast-allowed"), inputs.grouped)
        found, kept = np.zeros(len(inputs)), np.zeros(len(inputs), dtype=bool)
        found[pairs[:, 0]], found[pairs[:, 1]] = 1.0, -1.0
        kept[pairs.reshape(-1)] = True
        return Advantages.of(inputs, sequence=found, included=kept)


@final
@dataclass(frozen=True)
class OneOfEachKind(Stateless):
    """One right and one wrong completion of each group, with leave-one-out advantages of the whole group: OREAL.

    Groups that are all right or all wrong are dropped. The first of each kind is kept: completions are drawn alike, so
    the first is as random as any. Goes with `losses.outcome_loss`.

    Source: Lyu et al. 2025, "Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning" (OREAL) [24].
    """

    extent: ClassVar[Extent] = "group"
    needs: ClassVar[frozenset[str]] = frozenset({"correct"})
    siblings: ClassVar[bool] = True

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """Right is `correct > 1/2`; what has no reward, or is not known to be right or wrong, takes no part."""
        correct = np.where(inputs.included, inputs.need("correct", "one-of-each-kind"), np.nan)
        c = Grouped.of("one-of-each-kind", correct, inputs.groups)
        kept = np.zeros(len(inputs), dtype=bool)
        for kind in (correct > 0.5, correct <= 0.5):
            at = np.flatnonzero(kind)[::-1]
            first = np.full(c.groups.count, -1, dtype=np.int64)
            first[c.groups.code[at]] = at  # written from the last to the first, so the first stays
            kept[first[first >= 0]] = True
        both = np.bincount(c.groups.code[kept], minlength=c.groups.count) == 2
        return Advantages.of(
            inputs, sequence=leave_one_out(inputs.reward, inputs.groups), included=kept & both[c.groups.code]
        )


def log_ratios(inputs: AdvantageInputs, who: str) -> Floats:
    """`sum_t (logp - ref_logp)` of each completion, nats, (n,).

    Raises:
        InputError: if log-probabilities are missing, or one is not finite.
    """
    apart = inputs.need("logp", who) - inputs.need("ref_logp", who)
    if not np.isfinite(apart).all():
        raise InputError(f"{who}: a log-ratio is {apart[~np.isfinite(apart)][0]}; give finite log-probabilities")
    return np.bincount(inputs.owner, weights=apart, minlength=len(inputs)).astype(np.float64)
