"""What is audited: a reward or a comparison, the pairs, and what it and the truth make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.compared import ComparedOnce
from plaudit.audit.scored import Scored
from plaudit.errors import InputError
from plaudit.evaluation.pairs import judged_sides, prompt_key
from plaudit.records.rows import Pair
from plaudit.records.sample import Sample, content_hash
from plaudit.rewards.base import Comparison, Reward, RewardBatch

TrueReward = Callable[[Sequence[Sample]], RewardBatch]
"""The true reward of samples, where something is trusted to know it."""


@dataclass(frozen=True)
class Subject:
    """The pairs with what the reward, and the truth where there is one, make of them.

    Attributes:
        pairs: n of them.
        chosen: rewards of the chosen completions.
        rejected: rewards of the rejected ones.
        scored: the reward with what it has scored; None for a comparison.
        comparison: the comparison; None for a reward.
        truth: the true reward, or None.
        true_chosen: (n,) true rewards, or None.
        true_rejected: likewise.
    """

    pairs: Sequence[Pair]
    chosen: RewardBatch
    rejected: RewardBatch
    scored: Scored | None
    comparison: ComparedOnce | None
    truth: TrueReward | None
    true_chosen: NDArray[np.float64] | None
    true_rejected: NDArray[np.float64] | None

    @classmethod
    def of(cls, pairs: Sequence[Pair], reward: Reward | Comparison, truth: TrueReward | None, seed: int) -> Subject:
        """Scores the pairs, once.

        Args:
            pairs: at least one.
            reward: a reward, or a comparison, which is shown each pair in a random order.
            truth: the true reward, or None.
            seed: of those orders.

        Raises:
            InputError: if there is no pair, or the truth scores several samples together.
        """
        if not pairs:
            raise InputError("audit: there is no pair; give held-out preference pairs")
        truth = _truth(truth)
        samples = [s for p in pairs for s in p.samples()]
        even = np.arange(0, len(samples), 2)
        true = None if truth is None else truth(samples).reward
        scored = Scored.wrap(reward) if isinstance(reward, Reward) else None
        comparison: ComparedOnce | None = None
        if scored is not None:
            batch = scored(samples)
            chosen, rejected = batch.take(even), batch.take(even + 1)
        else:
            assert isinstance(reward, Comparison)
            comparison = ComparedOnce.wrap(reward)
            chosen, rejected = judged_sides(comparison, samples[::2], samples[1::2], seed=seed)
        return cls(
            pairs, chosen, rejected, scored, comparison, truth,
            None if true is None else true[even], None if true is None else true[even + 1],
        )  # fmt: skip

    @property
    def asked(self) -> str:
        """How much was asked of what is audited, in words."""
        if self.scored is not None:
            return f"{self.scored.calls} samples scored"
        return f"{0 if self.comparison is None else self.comparison.calls} comparisons asked"

    @property
    def judge(self) -> Reward | Comparison:
        """What is audited, with what it has scored."""
        judge = self.scored if self.scored is not None else self.comparison
        assert judge is not None
        return judge

    @property
    def true_margin(self) -> NDArray[np.float64] | None:
        """(n,) true rewards of chosen minus rejected; None where they are not known."""
        if self.true_chosen is None or self.true_rejected is None:
            return None
        return self.true_chosen - self.true_rejected

    @property
    def true_sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(n,) true rewards of the chosen and of the rejected completions; None where they are not known."""
        if self.true_chosen is None or self.true_rejected is None:
            return None
        return self.true_chosen, self.true_rejected

    def drawn(self, prompts: int, *, seed: int) -> list[Pair]:
        """The pairs of at most so many prompts, drawn by a hash of prompt and seed: a file may be sorted by subset.

        Every family draws the same ones, so that what is made of a prompt is scored with its other texts.
        """
        keys = [prompt_key(p) for p in self.pairs]
        kept = set(sorted(set(keys), key=lambda k: content_hash([seed, k]))[:prompts])
        return [p for p, k in zip(self.pairs, keys, strict=True) if k in kept]


def _truth(truth: TrueReward | None) -> TrueReward | None:
    """The truth with what it has said: every check asks it, and no sample is paid for twice."""
    if not isinstance(truth, Reward):
        return truth
    if truth.scope != "sample":
        raise InputError(
            f"truth: {truth.name} scores a whole {truth.scope} together, and a check asks what one completion is "
            "worth; give a reward that scores samples one by one"
        )
    return Scored.wrap(truth)
