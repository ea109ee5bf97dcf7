"""Rewards as `reward_funcs` of TRL's `GRPOTrainer`, `RLOOTrainer` and `AsyncGRPOTrainer`.

    GRPOTrainer(..., reward_funcs=[as_reward_func(MathVerifier(), reference="answer")])

A reward that does not count (abstained, timed out, an instrument at fault) is handed over as None, which TRL leaves
out of the group's mean where every function returned None. With several functions TRL adds up what there is: there a
None of one of them is worth 0, so combine the rewards in one function instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import UnsupportedError
from plaudit.integrations.samples import Text, samples_from_columns
from plaudit.rewards.base import Outcome, Reward, RewardBatch
from plaudit.rewards.registry import load
from plaudit.rewards.verifiers.base import Verifier

_HOST = ("trainer_state", "log_extra", "log_metric", "environments", "completion_ids")
"""What TRL passes beside the columns of the data set."""

ALARM = 0.05
"""Share of a batch without a reward from which on it is logged as a warning."""

_logger = logging.getLogger(__name__)


class RewardFunc:
    """A reward in TRL's calling convention; made by `as_reward_func`.

    It pickles where its reward does, as `AsyncGRPOTrainer` needs. Beside the rewards it logs the share of each outcome
    but `scored` (`NAME/policy_fault`, `NAME/abstained`, ...), where TRL offers `log_metric`.
    """

    def __init__(self, reward: Reward, *, reference: str, name: str) -> None:
        self.reward = reward
        self.reference = reference
        self.__name__ = name  # the key of TRL's metrics

    def __call__(
        self, prompts: Sequence[Text], completions: Sequence[Text], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        """Rewards of the completions, None where one does not count.

        Args:
            prompts: n texts or lists of messages.
            completions: n of the same.
            completion_ids: not used.
            columns: those of the data set, n values each, and what TRL adds.
        """
        del completion_ids
        return self._told(self._scored(prompts, completions, columns), columns.get("log_metric"))

    def _scored(self, prompts: Sequence[Text], completions: Sequence[Text], columns: Mapping[str, Any]) -> RewardBatch:
        self._check_scope()
        rows = {name: column for name, column in columns.items() if name not in _HOST}
        needed = isinstance(self.reward, Verifier)
        samples = samples_from_columns(
            self.__name__, prompts, completions, rows, reference=self.reference, needed=needed
        )
        return self.reward(samples)

    def _check_scope(self) -> None:
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if self.reward.scope != "sample" and processes > 1:
            raise UnsupportedError(
                f"{self.__name__}: compares the completions of a {self.reward.scope}, and TRL divides groups among "
                f"{processes} processes; train with one process, or use a reward of single samples"
            )

    def _told(self, batch: RewardBatch, log_metric: Callable[[str, float], None] | None) -> list[float | None]:
        shares = {o: float((batch.outcome == o).mean()) if len(batch) else 0.0 for o in Outcome}
        if log_metric is not None:
            for outcome, share in shares.items():
                if outcome is not Outcome.SCORED:
                    log_metric(f"{self.__name__}/{outcome.name.lower()}", share)
        lost = sum(share for outcome, share in shares.items() if not outcome.counts)
        if lost >= ALARM:
            _logger.warning("%s: %.0f%% of %d completions have no reward", self.__name__, 100 * lost, len(batch))
        return [float(r) if ok else None for r, ok in zip(batch.reward, batch.valid, strict=True)]


class AsyncRewardFunc(RewardFunc):
    """The same as a coroutine: TRL gathers such functions while the synchronous ones have run before them."""

    async def __call__(  # type: ignore[override]
        self, prompts: Sequence[Text], completions: Sequence[Text], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        """As `RewardFunc`; the reward runs in a thread, so that the event loop goes on."""
        del completion_ids
        batch = await asyncio.to_thread(self._scored, prompts, completions, columns)
        return self._told(batch, columns.get("log_metric"))


def as_reward_func(
    reward: Reward | str | Path | Mapping[str, Any], *, reference: str = "reference", name: str = ""
) -> RewardFunc:
    """A reward as a function for TRL's `reward_funcs`.

    Args:
        reward: a reward, or a reference to one.
        reference: the data set's column with the gold answers.
        name: key of TRL's metrics (`rewards/NAME/mean`); the reward's own name by default.

    Raises:
        InputError, MissingError: if the reference names no reward.
    """
    made = _loaded(reward)
    return RewardFunc(made, reference=reference, name=name or made.name)


def as_async_reward_func(
    reward: Reward | str | Path | Mapping[str, Any], *, reference: str = "reference", name: str = ""
) -> AsyncRewardFunc:
    """As `as_reward_func`, as a coroutine function, for rewards that wait (for children, for a server)."""
    made = _loaded(reward)
    return AsyncRewardFunc(made, reference=reference, name=name or made.name)


def _loaded(reward: Reward | str | Path | Mapping[str, Any]) -> Reward:
    return load(reward) if isinstance(reward, str | Path | Mapping) else reward
