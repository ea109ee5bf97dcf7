"""What changes between the steps of a run beside weights and optimiser, as one value; and what cannot be divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plaudit.errors import UnsupportedError
from plaudit.policy.losses.kl import AdaptiveCoefficient
from plaudit.policy.online.experience import Collector
from plaudit.policy.online.method import Method
from plaudit.records.sample import Sample
from plaudit.rewards.base import RewardBatch
from plaudit.shaping.transforms.base import Shaped


@dataclass(frozen=True, slots=True)
class State:
    """What changes between steps beside weights and optimiser.

    Attributes:
        method: the algorithm, its estimator in its state.
        shaping: the reward's layers from the innermost out, each transform in its state.
        kl: the coefficient of the KL; None without one.
        lost: batches without any reward since the last that had one.
    """

    method: Method
    shaping: tuple[Shaped, ...] = ()
    kl: AdaptiveCoefficient | None = None
    lost: int = 0

    def shaped(self, batch: RewardBatch, samples: Sequence[Sample]) -> list[RewardBatch]:
        """The batch as the reward gave it, and after each layer."""
        found = [batch]
        for layer in self.shaping:
            found.append(layer.shape(found[-1], samples))
        return found

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {
            "estimator": self.method.estimator.state(),
            "shaping": [layer.by.state() for layer in self.shaping],  # type: ignore[attr-defined]
            "kl": None if self.kl is None else self.kl.state(),
            "lost": self.lost,
        }

    def restored(self, kept: Mapping[str, Any]) -> State:
        """In the state that `to_dict` gave."""
        return State(
            replace(self.method, estimator=self.method.estimator.restored(kept["estimator"])),
            tuple(
                replace(layer, by=layer.by.restored(s))  # type: ignore[attr-defined]
                for layer, s in zip(self.shaping, kept["shaping"], strict=True)
            ),
            None if self.kl is None else self.kl.restored(kept["kl"]),
            int(kept.get("lost", 0)),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry of the schedule: which prompt is asked, and where in the run."""

    row: int
    key: str


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
    together += [f"{x.by.kind} keeps statistics of the whole batch" for x in state.shaping if x.by.state()]  # type: ignore[attr-defined]
    if together:
        raise UnsupportedError(f"align: {together[0]}, and several processes would each see a part; use one process")


def taken_apart(reward: Any) -> tuple[Any, tuple[Shaped, ...]]:
    """The reward (or comparison) inside its transforms, and the layers from the innermost out."""
    layers: list[Shaped] = []
    while isinstance(reward, Shaped):
        layers.insert(0, reward)
        reward = reward.of
    return reward, tuple(layers)
