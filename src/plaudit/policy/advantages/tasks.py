"""One deviation a task, in place of one a group: EMA-GRPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from plaudit.policy.advantages.base import AdvantageInputs, Advantages, Extent
from plaudit.shaping.groups.codes import Groups
from plaudit.shaping.groups.tasks import TaskDeviations


@final
@dataclass(frozen=True)
class TaskScaled:
    """`(r_i - group mean) / deviation of the task`, that of a running mean which the batch enters before it is used.

    Rewards of different kinds are brought to one scale without scaling up prompts that are nearly solved.

    Source: Feng et al. 2025, "OneThinker" (EMA-GRPO) [83]; formula and guard are `shaping.groups.TaskDeviations`.
    """

    deviations: TaskDeviations = field(default_factory=TaskDeviations)
    """With the moments of earlier batches."""

    extent: ClassVar[Extent] = "batch"
    needs: ClassVar[frozenset[str]] = frozenset({"tasks"})
    takes: ClassVar[frozenset[str]] = frozenset()
    siblings: ClassVar[bool] = True

    def __call__(self, inputs: AdvantageInputs) -> Advantages:
        """As it says; a task that never had a reward has none, and no advantage."""
        tasks = inputs.need("tasks", "task-scaled")
        now = self.deviations.updated(inputs.reward, tasks)
        known = np.array([task in now.moments for task in tasks], dtype=bool)
        found = np.zeros(len(inputs))
        groups = Groups.of(inputs.grouped.code[known])
        found[known] = now.advantages(inputs.reward[known], groups, [t for t, k in zip(tasks, known, strict=True) if k])
        metrics = {f"deviation/{task}": now.std(task) for task in dict.fromkeys(tasks) if task in now.moments}
        return Advantages.of(inputs, sequence=found, metrics=metrics)

    def updated(self, inputs: AdvantageInputs) -> Self:
        """With the batch in the moments."""
        return replace(self, deviations=self.deviations.updated(inputs.reward, inputs.need("tasks", "task-scaled")))

    def state(self) -> dict[str, Any]:
        """The moments."""
        return {"moments": self.deviations.state()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With the moments that `state` gave."""
        return replace(self, deviations=self.deviations.restored(state["moments"]))
