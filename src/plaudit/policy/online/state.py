"""What changes between the steps of a run beside weights and optimiser, as one value; and what cannot be divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plaudit.errors import UnsupportedError
from plaudit.policy.losses.kl import AdaptiveCoefficient
from plaudit.policy.online.experience import Collector
from plaudit.policy.online.method import Method
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.shaping.nested import (
    Parts,
    check_handed_on,
    evaluated,
    leaves,
    moves,
    transforms,
    updated,
    with_transforms,
)
from plaudit.shaping.transforms.base import Shaped, Transform


@dataclass(frozen=True, slots=True)
class State:
    """What changes between steps beside weights and optimiser.

    Attributes:
        method: the algorithm, its estimator in its state.
        reward: the tree of the reward's shaping (`plaudit.shaping.nested`), each transform in its state; None for none.
        core: what is scored of it, see `taken_apart`.
        kl: the coefficient of the KL; None without one.
        lost: batches without any reward since the last that had one.
        unfinished: what completions that the limit of tokens ended are worth; None for what the reward says.
    """

    method: Method
    reward: Any = None
    core: Any = None
    kl: AdaptiveCoefficient | None = None
    lost: int = 0
    unfinished: float | None = None

    def shaped(self, batch: RewardBatch, samples: Sequence[Sample]) -> RewardBatch:
        """What an optimiser sees of what the core says."""
        found = batch if self.reward is None else evaluated(self.reward, iter(self._said(batch)), samples)
        return found if self.unfinished is None else unfinished_worth(found, samples, self.unfinished)

    def after(self, batch: RewardBatch, samples: Sequence[Sample]) -> Any:
        """The tree after a batch was seen."""
        return None if self.reward is None else updated(self.reward, iter(self._said(batch)), samples)[0]

    def _said(self, batch: RewardBatch) -> list[RewardBatch]:
        return self.core.said(batch) if isinstance(self.core, Parts) else [batch]

    @property
    def transforms(self) -> list[Transform]:
        """Of the tree, the innermost of each branch first."""
        return transforms(self.reward)

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "estimator": self.method.estimator.state(),
            "shaping": [dict(by.state()) for by in self.transforms],
            "kl": None if self.kl is None else self.kl.state(),
            "lost": self.lost,
        }

    def restored(self, kept: Mapping[str, Any]) -> State:
        """In the state that `to_dict` gave."""
        given = [by.restored(state) for by, state in zip(self.transforms, kept["shaping"], strict=True)]
        return replace(
            self,
            method=replace(self.method, estimator=self.method.estimator.restored(kept["estimator"])),
            reward=with_transforms(self.reward, iter(given)) if given else self.reward,
            kl=None if self.kl is None else self.kl.restored(kept["kl"]),
            lost=int(kept.get("lost", 0)),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry of the schedule: which prompt is asked, and where in the run."""

    row: int
    key: str


def unfinished_worth(batch: RewardBatch, samples: Sequence[Sample], value: float) -> RewardBatch:
    """The rewards with `value` in place of those of completions that the limit of tokens ended.

    What has no reward keeps none: a judge that was away is no fault of the completion.

    Args:
        batch: rewards after all other shaping.
        samples: of the same completions, with `finish` in their meta: `eos`, or `length`.
        value: reward units.

    Source: Lambert et al. 2024, "Tulu 3", section 6 [189]: -10 without an end of sequence.

    Differs from the paper: nothing is assumed of a sample that does not say how it ended.
    """
    cut = np.array([s.meta.get("finish") == "length" for s in samples], dtype=bool)
    return replace(batch, reward=np.where(cut & batch.valid, value, batch.reward))


def check_divisible(state: State, collect: Collector) -> None:
    """Refuses what cannot be divided among processes, each of which sees its own groups only.

    Raises:
        UnsupportedError: naming it.
    """
    rewards = [collect.scorer.reward, *(s.reward for s in collect.watched.values())]
    together = [f"reward {r.name} scores a whole batch together" for r in rewards if r.scope == "batch"]
    if state.method.process is not None:
        together.append("its model of token rewards is fitted to the whole batch")
    if state.method.tokens is not None:
        together.append("its token reward model is fitted to the whole batch")
    if state.method.estimator.extent == "batch":
        together.append("its advantages compare the whole batch")
    if state.method.estimator.state():
        together.append("its advantages keep statistics of the whole batch")
    together += [f"{by.kind} keeps statistics of the whole batch" for by in state.transforms if moves(by)]
    if together:
        raise UnsupportedError(f"align: {together[0]}, and several processes would each see a part; use one process")


def taken_apart(reward: Any) -> tuple[Any, Any]:
    """What a run scores (a reward, a comparison, or several rewards side by side), and the tree of its shaping.

    Raises:
        InputError: if a transform's statistics could not be handed on from step to step.
    """
    check_handed_on(reward)
    inside = reward
    while isinstance(inside, Shaped):
        inside = inside.of
    found = leaves(inside) if isinstance(inside, Reward) else [inside]
    return (found[0] if len(found) == 1 else Parts(inside)), reward
