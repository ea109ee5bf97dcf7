"""Rewards for verifiers: tagged methods of its tasks (0.4, `verifiers.v1`), and functions of its older `Rubric`.

    class Sum(vf.Task[SumData, vf.State, vf.TaskConfig]):
        correct = as_task_reward("verify/math", reference="answer")

A sample without a reward raises there: the host then records None for it and no total, as it does for judges that
failed. The older `Rubric` makes 0.0 of an exception, so that there a lost reward is worth `lost`, and the state
says so under `plaudit_outcomes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from types import MethodType
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError, nearest
from plaudit.integrations.hosting import LostRewardError, Source, judged, loaded, of_samples, told, worth_of_lost
from plaudit.integrations.samples import Text, samples_from_columns
from plaudit.records.sample import Sample, conversation
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.verifiers.base import Verifier

_logger = logging.getLogger(__name__)


class TaskReward:
    """A reward as a method of a task; made by `as_task_reward`. It pickles where its reward does."""

    def __init__(self, judge: Reward, reference: str, name: str) -> None:
        self.judge, self.reference = judge, reference  # not `reward`: the host's tag is an attribute of that name
        self.__name__ = name
        # what the host reads to fill in arguments; it cannot be told from an object that is bound like a function
        names = ("owner", "task", "trace")
        self.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """Bound to a task, as a function in its class would be."""
        return self if owner is None else MethodType(self, owner)

    async def __call__(self, owner: Any, task: Any, trace: Any) -> float:
        """The reward of a trace's last reply.

        Args:
            owner: the task that the method belongs to.
            task: its data: prompt, reference, and what else there is.
            trace: what the policy did.

        Raises:
            LostRewardError: if the sample has no reward that counts.
        """
        del owner
        batch = await asyncio.to_thread(self.judge, [self.sample(task, trace)])
        if not batch.valid[0]:
            raise LostRewardError(f"{self.__name__}: no reward, {told(batch, 0)}")
        return float(batch.reward[0])

    def sample(self, task: Any, trace: Any) -> Sample:
        """The last reply of a trace as a sample.

        Raises:
            InputError: if the reward checks against a reference and the task has no such field.
        """
        row = task.model_dump()
        if isinstance(self.judge, Verifier) and self.reference not in row:
            raise InputError(
                f"{self.__name__}: the task's data has no field {self.reference!r} with the gold answer; "
                f"{nearest(self.reference, row)} (say which with reference=...)"
            )
        prompt = row.get("prompt") or ""
        turns = conversation(prompt) if isinstance(prompt, str) else conversation([_plain(m) for m in prompt])
        if row.get("system_prompt"):
            turns = (*conversation([{"role": "system", "content": row["system_prompt"]}]), *turns)
        meta = {k: v for k, v in row.items() if k != self.reference}
        return Sample(turns, trace.last_reply, row.get(self.reference), meta=meta)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def as_task_reward(
    reward: Source, *, reference: str = "answer", name: str = "", weight: float = 1.0, priority: int = 0
) -> TaskReward:
    """A reward to be assigned in the class of a `verifiers.v1` task.

    Args:
        reward: a reward, or a reference to one.
        reference: the field of the task's data with the gold answer.
        name: the key in `trace.rewards`; the reward's own by default.
        weight: its factor in the total.
        priority: higher ones run first.

    Raises:
        MissingError: if verifiers 0.4 is not installed.
        UnsupportedError: if the reward compares completions: a task's reward sees one trace.
    """
    try:
        from verifiers.v1 import reward as tagged  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingError(f"verifiers: cannot be imported ({error}); pip install 'verifiers>=0.4'") from error
    made = of_samples("verifiers", reward)
    method: TaskReward = tagged(TaskReward(made, reference, name or made.name), weight=weight, priority=priority)
    return method


class RubricFunc:
    """A reward as a function of the older `Rubric`; made by `as_rubric_func`."""

    def __init__(self, reward: Source, reference: str, name: str, lost: float | None) -> None:
        self.reward = of_samples("verifiers", reward)
        self.lost = worth_of_lost("verifiers", self.reward, lost)
        self.reference = reference
        self.__name__ = name or self.reward.name

    async def __call__(self, prompt: Text, completion: Text, state: Any, **row: Any) -> float:
        """The reward of one completion; the host fills in arguments by their names."""
        columns = {key: [value] for key, value in row.items() if key not in _MACHINERY}
        return (await _scores(self, [prompt], [completion], columns, [state]))[0]


class GroupRubricFunc:
    """A reward as a group function of the older `Rubric`, known to it by the plural names of the arguments."""

    def __init__(self, reward: Source, reference: str, name: str, lost: float | None) -> None:
        self.reward = loaded(reward)
        self.lost = worth_of_lost("verifiers", self.reward, lost)
        self.reference = reference
        self.__name__ = name or self.reward.name

    async def __call__(
        self, prompts: Sequence[Text], completions: Sequence[Text], answers: Sequence[Any], states: Sequence[Any],
        infos: Sequence[Any],
    ) -> list[float]:  # fmt: skip
        """The rewards of the completions of one prompt."""
        columns = {"answer": list(answers), "info": list(infos)}
        return await _scores(self, prompts, completions, columns, states)


_MACHINERY = ("parser", "task", "resources")

_Func = RubricFunc | GroupRubricFunc


async def _scores(
    func: _Func, prompts: Sequence[Text], completions: Sequence[Text], columns: dict[str, list[Any]],
    states: Sequence[Any],
) -> list[float]:  # fmt: skip
    infos = columns.get("info", [{}] * len(prompts))
    if func.reference not in columns and all(isinstance(i, Mapping) and func.reference in i for i in infos):
        columns = {**columns, func.reference: [info[func.reference] for info in infos]}
    needed = isinstance(func.reward, Verifier)
    samples = samples_from_columns(
        func.__name__, prompts, completions, columns, reference=func.reference, needed=needed
    )
    batch = await asyncio.to_thread(judged, "verifiers", func.reward, samples)
    _mark(func, batch, states)
    return [float(r) for r in np.where(batch.valid, batch.reward, func.lost)]


def _mark(func: _Func, batch: RewardBatch, states: Sequence[Any]) -> None:
    for i, state in enumerate(states):
        state.setdefault("plaudit_outcomes", {})[func.__name__] = told(batch, i)
        if not batch.valid[i]:
            _logger.warning("%s: no reward, counts as %g: %s", func.__name__, func.lost, told(batch, i))


def as_rubric_func(
    reward: Source, *, reference: str = "answer", name: str = "", lost: float | None = None
) -> RubricFunc:
    """A reward for `Rubric(funcs=[...])` of verifiers before 0.4.

    Args:
        reward: a reward, or a reference to one.
        reference: where the gold answer stands: `answer`, another field of the row, or a key of its `info`.
        name: the metric's key; the reward's own by default.
        lost: what a sample without a reward is worth; the reward's floor by default.

    Raises:
        InputError: if the reward has no finite floor and `lost` is not given.
        UnsupportedError: if it compares completions; `as_group_rubric_func` is for those.
    """
    return RubricFunc(reward, reference, name, lost)


def as_group_rubric_func(
    reward: Source, *, reference: str = "answer", name: str = "", lost: float | None = None
) -> GroupRubricFunc:
    """As `as_rubric_func`, called with all completions of a prompt: for rewards that compare them."""
    return GroupRubricFunc(reward, reference, name, lost)
