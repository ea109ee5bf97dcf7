"""Scoring in a run that must not stop: a reward that raises, hangs or answers nonsense costs its own samples only.

What a reward cannot judge is an instrument's fault or a time-out, never a low reward, and it is found by dividing: a
call that fails is repeated on its halves until the samples at fault stand alone. The run is told which they were.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, PlauditError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward, RewardBatch

LOST = 64
"""Calls that may be left hanging in a run: each keeps a thread, and what it holds, until the process ends."""


@final
@dataclass(frozen=True, slots=True)
class Patience:
    """How long a reward is waited for, and how often it is asked."""

    seconds: float = 120.0
    """Longest time of one call; a call for many that takes longer is made again for each alone, several at a time."""
    tries: int = 2
    """Calls for a unit (a sample, or a group where groups are compared) that fails alone, before it has no reward."""
    workers: int = 8
    """Units that are asked for at the same time once they are asked for one by one."""

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.tries < 1 or self.workers < 1:
            raise InputError(
                f"scoring: seconds {self.seconds}, tries {self.tries}, workers {self.workers}; give positive numbers"
            )


@final
class Scorer:
    """A reward that is asked with patience.

    Args:
        reward: any reward; one with `acall` is awaited, and cancelled when it takes too long.
        patience: limits.

    Attributes:
        faults: what went wrong, and how often: `ValueError: ...` to a count.
    """

    def __init__(self, reward: Reward, patience: Patience | None = None) -> None:
        self.reward, self.patience = reward, patience or Patience()
        self.faults: dict[str, int] = {}
        self._hanging: list[Future[RewardBatch]] = []
        self._counting = threading.Lock()

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards of the samples, in order; those of one group must follow one another.

        Raises:
            PlauditError: if more than `LOST` calls hang: the reward does not come back any more.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        return RewardBatch.concat(self._divided(units_of(self.reward, samples)))

    def _divided(self, units: list[list[Sample]]) -> list[RewardBatch]:
        """A batch for each unit, by halving what fails."""
        if len(units) == 1:
            return [self._alone(units[0])]
        flat = [sample for unit in units for sample in unit]
        whole = self._asked(flat)
        if isinstance(whole, RewardBatch):
            return _split(whole, [len(unit) for unit in units])
        if isinstance(whole, TimeoutError):  # halves would wait again, one after the other
            return self._one_by_one(units)
        half = len(units) // 2
        return [*self._divided(units[:half]), *self._divided(units[half:])]

    def _one_by_one(self, units: list[list[Sample]]) -> list[RewardBatch]:
        """Every unit in a thread of its own, a few at a time."""
        found: list[RewardBatch | None] = [None] * len(units)
        raised: list[PlauditError] = []
        ahead = iter(range(len(units)))
        turn = threading.Lock()

        def work() -> None:
            while True:
                with turn:
                    i = next(ahead, None)
                if i is None or raised:
                    return
                try:
                    found[i] = self._alone(units[i])
                except PlauditError as error:  # the reward is lost altogether: the caller must hear it
                    raised.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.patience.workers, len(units)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if raised:
            raise raised[0]
        return [batch for batch in found if batch is not None]

    def _alone(self, unit: list[Sample]) -> RewardBatch:
        """One unit, asked for up to `tries` times; what then fails has no reward, and says why."""
        failure: BaseException = PlauditError("")
        for _ in range(self.patience.tries):
            answer = self._asked(unit)
            if isinstance(answer, RewardBatch):
                return answer
            failure = answer
        late = isinstance(failure, TimeoutError)
        # a time-out with words is the reward's own, and may have come long before ours
        words = f"no answer in {self.patience.seconds:g} s" if late and not str(failure) else _words(failure)
        with self._counting:
            self.faults[words[:200]] = self.faults.get(words[:200], 0) + len(unit)
        outcome = Outcome.TIMED_OUT if late else Outcome.INSTRUMENT_FAULT
        return RewardBatch(
            np.full(len(unit), np.nan), np.full(len(unit), outcome, dtype=np.int8),
            detail=tuple({"error": words} for _ in unit),
        )  # fmt: skip

    def _asked(self, samples: Sequence[Sample]) -> RewardBatch | Exception:
        """One call in a thread that may be left behind."""
        seconds = self.patience.seconds
        with self._counting:
            self._hanging = [f for f in self._hanging if not f.done()]
            lost = len(self._hanging)
        if lost >= LOST:
            raise PlauditError(
                f"reward {self.reward.name}: {LOST} calls hang; it does not come back any more. Give more seconds, or "
                "mend the reward"
            )
        future: Future[RewardBatch] = Future()
        threading.Thread(target=_into, args=(future, self.reward, samples, seconds), daemon=True).start()
        try:
            batch = future.result(timeout=seconds)
        except TimeoutError as error:
            if not future.done():
                self._hanging.append(future)
            return error
        except Exception as error:  # whatever a reward raises is its own: it is counted and told, see `faults`
            return error
        if not isinstance(batch, RewardBatch):
            return PlauditError(f"the reward gave a {type(batch).__name__}; it must give a RewardBatch")
        if len(batch) != len(samples):
            return PlauditError(f"{len(batch)} rewards for {len(samples)} samples")
        return batch


def _into(future: Future[RewardBatch], reward: Reward, samples: Sequence[Sample], seconds: float) -> None:
    """Runs a call and keeps what came of it."""
    try:
        call: Callable[..., Any] | None = getattr(reward, "acall", None)
        if call is None:
            future.set_result(reward(samples))
        else:
            future.set_result(asyncio.run(asyncio.wait_for(call(samples), timeout=seconds)))
    except BaseException as error:  # also what threads swallow: the waiting side must hear of it
        future.set_exception(error if isinstance(error, Exception) else PlauditError(f"{type(error).__name__}"))


def _words(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"


def units_of(reward: Reward, samples: Sequence[Sample]) -> list[list[Sample]]:
    """What must be asked for together: samples, groups of them, or all.

    Raises:
        InputError: if a reward compares groups and a group's samples do not follow one another.
    """
    if reward.scope == "sample":
        return [[sample] for sample in samples]
    if reward.scope == "batch":
        return [list(samples)]
    found = [(name, list(part)) for name, part in groupby(samples, key=lambda s: s.group)]
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        raise InputError("scoring: the samples of a group must follow one another")
    return [part for _, part in found]


def _split(batch: RewardBatch, sizes: Sequence[int]) -> list[RewardBatch]:
    return [batch.take(at) for at in np.split(np.arange(len(batch)), np.cumsum(sizes)[:-1])]


__all__ = ["LOST", "Patience", "Scorer", "units_of"]
