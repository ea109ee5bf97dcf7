"""One deviation a task instead of one a group: rewards of different kinds side by side, hard prompts not inflated [83].

Differs from the paper: samples without a reward enter neither mean nor moments; a group of one has advantage 0 instead
of being refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Grouped, Groups, Labels


@final
@dataclass(frozen=True, eq=False)
class Tasks:
    """The task of each sample as a whole number, made once where several things are asked of a batch.

    Attributes:
        names: of the tasks.
        groups: the samples of each, its codes places in `names`.
    """

    names: tuple[str, ...]
    groups: Groups

    @classmethod
    def of(cls, labels: Labels | Tasks) -> Tasks:
        """The tasks that labels name; labels that read alike are one task.

        Args:
            labels: a label a sample.
        """
        if isinstance(labels, Tasks):
            return labels
        given = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
        groups = Groups.of([task if isinstance(task, str) else str(task) for task in given])
        return cls(tuple(str(task) for task in dict.fromkeys(given)), groups)


@final
@dataclass(frozen=True)
class TaskDeviations:
    """Moving first and second moments of each task's rewards; a pure value.

    `m <- decay m + (1 - decay) mean of the batch`, begun with the first batch; `std = sqrt(max(m2 - m1^2, epsilon))`.

    Attributes:
        decay: of both moments, in [0, 1).
        guard: a group with an advantage beyond this falls back to its own deviation.
        epsilon: least variance, in squared units of the reward.
        moments: task to (m1, m2).

    Source: Feng et al. 2025, "OneThinker", EMA-GRPO [83].
    """

    decay: float = 0.99
    guard: float = 5.0
    epsilon: float = 1e-6
    moments: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1 or not self.guard > 0 or not self.epsilon > 0:
            raise InputError(
                f"task deviations: decay is {self.decay}, guard {self.guard}, epsilon {self.epsilon}; give a decay in "
                "[0, 1), the others positive"
            )

    def updated(self, reward: ArrayLike, tasks: Labels | Tasks) -> Self:
        """With a batch's rewards in the moments; a task without any reward stays as it was.

        Args:
            reward: (n,), NaN where there is none.
            tasks: the task of each sample.
        """
        made = Tasks.of(tasks)
        r = Grouped.of("task deviations", reward, made.groups)
        squares = r.total(np.square(r.value)) / np.maximum(r.n, 1)
        moments = dict(self.moments)
        for code, name in enumerate(made.names):
            if r.n[code]:
                new = (float(r.mean[code]), float(squares[code]))
                old = moments.get(name, new)
                moments[name] = tuple(self.decay * a + (1 - self.decay) * b for a, b in zip(old, new, strict=True))  # type: ignore[assignment]
        return replace(self, moments=moments)

    def std(self, task: str) -> float:
        """The task's deviation.

        Raises:
            InputError: if it has never been seen.
        """
        if task not in self.moments:
            raise InputError(f"task deviations: task {task!r} was never seen; update with its rewards first")
        first, second = self.moments[task]
        return float(np.sqrt(max(second - first**2, self.epsilon)))

    def advantages(self, reward: ArrayLike, groups: Labels | Groups, tasks: Labels | Tasks) -> Float[np.ndarray, " n"]:
        """`(r_i - group mean) / (std of the task + 1e-6)`; to be asked after `updated` with the same batch.

        Args:
            reward: (n,), NaN where there is none.
            groups: a label a sample.
            tasks: the task of each sample, one a group.

        Raises:
            InputError: if a task was never seen, or a group has two.
        """
        made = Tasks.of(tasks)
        code = made.groups.code
        r = Grouped.of("task deviations", reward, groups, tasks=code)
        of_group = np.zeros(r.groups.count, dtype=np.int64)
        of_group[r.groups.code] = code
        if (mixed := of_group[r.groups.code] != code).any():
            i = int(np.flatnonzero(mixed)[0])
            raise InputError(f"task deviations: the group of sample {i} has several tasks; give each group one task")
        std = np.array([self.std(task) for task in made.names])
        found = r.or_nothing(r.centred / (std[of_group][r.groups.code] + 1e-6))
        if not (np.abs(found) > self.guard).any():
            return found
        far = Grouped(np.abs(found), r.groups).greatest > self.guard
        own = r.or_nothing(r.centred / (np.nan_to_num(r.std())[r.groups.code] + 1e-6))
        return np.where(far[r.groups.code], own, found)

    def state(self) -> dict[str, Any]:
        """The moments, for a run's folder."""
        return {task: list(pair) for task, pair in self.moments.items()}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With the moments that `state` gave."""
        return replace(self, moments={task: (float(a), float(b)) for task, (a, b) in state.items()})
