"""Scoring in a run that must not stop: a reward that raises, hangs or answers nonsense costs its own samples only.

What a reward cannot judge is an instrument's fault or a time-out, never a low reward, and it is found by dividing: a
call that fails is repeated on its halves until the samples at fault stand alone. The run is told which they were.

A call that hangs is given up. Its thread cannot be killed: one that runs Python (a search without an end) is told to
stop and does; one that waits in a system call sleeps on, in some 22 KiB of memory, until the process ends.
So a reward that hangs for some samples costs a run those samples, for as long as it lasts, and only one that does not
come back for any stops it. What no thread can give up is a call that holds the interpreter's lock (a regular expression
that backtracks without an end): such a reward must limit itself, as `verify/code` does, or be served by HTTP.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, final

import numpy as np

from plaudit.errors import InputError, PlauditError
from plaudit.records.sample import Sample
from plaudit.rewards.base import Outcome, Reward, RewardBatch

LOST = 64
"""Calls in a row without an answer in time after which a reward is said to hang for everything."""


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
        faults: what went wrong, and for how many samples: `ValueError: ...` to a count.
        hanging: calls that were given up and have not ended yet.
    """

    def __init__(self, reward: Reward, patience: Patience | None = None) -> None:
        self.reward, self.patience = reward, patience or Patience()
        self.faults: dict[str, int] = {}
        self._given_up: list[_Call] = []
        self._silent = 0
        self._counting = threading.Lock()

    @property
    def hanging(self) -> int:
        """Calls that were given up and have not ended yet."""
        with self._counting:
            return sum(call.thread.is_alive() for call in self._given_up)

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards of the samples, in order; those of one group must follow one another.

        Raises:
            PlauditError: if none of the last `LOST` calls was answered in time: the reward does not come back any more.
        """
        if not samples:
            return RewardBatch(np.zeros(0))
        return RewardBatch.concat(self._divided(units_of(self.reward, samples)))

    def in_parts(self, parts: Sequence[Sequence[Sample]], kept: Callable[[int, RewardBatch], object]) -> None:
        """Rewards of parts, each asked for by a call of its own and handed over as soon as it is known.

        What a part is worth does not depend on the others. Those that are late are put off: when all have been asked,
        their units are asked for one by one, so that parts with a sample that hangs do not wait for one another.

        Args:
            parts: of samples; groups are not divided between them where the reward compares.
            kept: gets each part's number and its rewards, in any order, in one call at a time.

        Raises:
            PlauditError: as a call does.
        """
        late: list[_Late] = []
        for i, part in enumerate(parts):
            if not part:
                kept(i, RewardBatch(np.zeros(0)))
                continue
            units = units_of(self.reward, part)
            whole = self._asked(part)
            if isinstance(whole, RewardBatch):
                kept(i, whole)
            elif isinstance(whole, TimeoutError):
                late.append(_Late(i, units, whole if len(units) == 1 else None))
            else:
                kept(i, RewardBatch.concat(self._after(units, whole)))
        places = [(one, k) for one in late for k in range(len(one.units))]
        handing = threading.Lock()

        def told(place: int, batch: RewardBatch) -> None:
            one, k = places[place]
            with handing:
                one.found[k] = batch
                if len(one.found) == len(one.units):
                    kept(one.part, RewardBatch.concat([one.found[j] for j in range(len(one.units))]))

        self._one_by_one([one.units[k] for one, k in places], told, [one.spent for one, _ in places])

    def _divided(self, units: list[list[Sample]]) -> list[RewardBatch]:
        """A batch for each unit, by halving what fails."""
        whole = self._asked([sample for unit in units for sample in unit])
        if isinstance(whole, RewardBatch):
            return _split(whole, [len(unit) for unit in units])
        return self._after(units, whole)

    def _after(self, units: list[list[Sample]], failure: Exception) -> list[RewardBatch]:
        """A batch for each unit, when the call for all of them has failed."""
        if len(units) == 1:
            return [self._alone(units[0], failure)]
        if isinstance(failure, TimeoutError):  # halves would wait again, one after the other
            return self._one_by_one(units)
        half = len(units) // 2
        return [*self._divided(units[:half]), *self._divided(units[half:])]

    def _one_by_one(
        self, units: list[list[Sample]], told: Callable[[int, RewardBatch], object] | None = None,
        spent: Sequence[Exception | None] = (),
    ) -> list[RewardBatch]:  # fmt: skip
        """Every unit in a thread of its own, a few at a time; `told` hears of each when it is known."""
        found: list[RewardBatch | None] = [None] * len(units)
        raised: list[Exception] = []
        ahead = iter(range(len(units)))
        turn = threading.Lock()

        def work() -> None:
            while True:
                with turn:
                    i = next(ahead, None)
                if i is None or raised:
                    return
                try:
                    found[i] = batch = self._alone(units[i], spent[i] if spent else None)
                    if told is not None:
                        told(i, batch)
                except Exception as error:  # the reward is lost altogether, or the disk is full: the caller must hear
                    raised.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.patience.workers, len(units)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if raised:
            raise raised[0]
        return [batch for batch in found if batch is not None]

    def _alone(self, unit: list[Sample], spent: Exception | None = None) -> RewardBatch:
        """One unit, asked for up to `tries` times; what then fails has no reward, and says why.

        Args:
            unit: what is asked for together.
            spent: how a first call for it has failed, if there was one.
        """
        failure = spent or PlauditError("")
        for _ in range(self.patience.tries - (spent is not None)):
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
        self._refuse_if_silent()
        self._tidy()
        try:
            call = _Call(self.reward, samples, self.patience.seconds)
        except RuntimeError as error:
            raise PlauditError(
                f"reward {self.reward.name}: no thread for a further call ({error}), {self.hanging} calls hang; start "
                "again, the run goes on where it is, and mend the reward"
            ) from error
        try:
            batch = call.answer.result(timeout=self.patience.seconds)
        except Exception as error:  # whatever a reward raises is its own: it is counted and told, see `faults`
            silent = isinstance(error, TimeoutError) and not str(error)  # with words it is the reward's own: an answer
            with self._counting:
                self._silent = self._silent + 1 if silent else 0
                self._given_up += [call] if silent else []
            return error
        with self._counting:
            self._silent = 0
        if not isinstance(batch, RewardBatch):
            return PlauditError(f"the reward gave a {type(batch).__name__}; it must give a RewardBatch")
        if len(batch) != len(samples):
            return PlauditError(f"{len(batch)} rewards for {len(samples)} samples")
        return batch

    def _refuse_if_silent(self) -> None:
        with self._counting:
            lost = self._silent
        if lost >= LOST:
            raise PlauditError(
                f"reward {self.reward.name}: the last {LOST} calls hang; it does not come back any more. Give more "
                "seconds, or mend the reward"
            )

    def _tidy(self) -> None:
        """Forgets calls that have ended, and stops those that had their time twice.

        Not sooner: a late answer is lost here, but a reward that keeps what it paid for may still write it down.
        """
        with self._counting:
            self._given_up = [call for call in self._given_up if call.thread.is_alive()]
            over = time.monotonic() - 2 * self.patience.seconds
            for call in self._given_up:
                if call.began < over:
                    call.stop()


@final
@dataclass(slots=True)
class _Late:
    """A part whose call was not answered in time."""

    part: int
    units: list[list[Sample]]
    spent: Exception | None
    found: dict[int, RewardBatch] = field(default_factory=dict)


@final
class _Call:
    """One call of a reward in a thread of its own, which can be given up."""

    def __init__(self, reward: Reward, samples: Sequence[Sample], seconds: float) -> None:
        self.answer: Future[RewardBatch] = Future()
        self._asking = threading.Lock()
        self._over = self._told = False
        self.began = time.monotonic()
        self._waits = getattr(reward, "acall", None) is not None
        self.thread = threading.Thread(target=self._run, args=(reward, samples, seconds), daemon=True)
        self.thread.start()

    def _run(self, reward: Reward, samples: Sequence[Sample], seconds: float) -> None:
        """Runs the call and keeps what came of it."""
        try:
            try:
                call: Callable[..., Any] | None = getattr(reward, "acall", None)
                if call is None:
                    self.answer.set_result(reward(samples))
                else:
                    self.answer.set_result(asyncio.run(asyncio.wait_for(call(samples), timeout=seconds)))
            finally:
                with self._asking:
                    self._over = True
        except BaseException as error:  # also what threads swallow: the waiting side must hear of it
            if not self.answer.done():
                self.answer.set_exception(error if isinstance(error, Exception) else PlauditError(type(error).__name__))

    def stop(self) -> None:
        """Tells the thread to stop: it does at its next line of Python, or never. A coroutine has cancelled itself."""
        with self._asking:  # else the thread's number may be another's by now
            if not self._over and not self._told and not self._waits and self.thread.ident is not None:
                self._told = True
                number, raised = ctypes.c_ulong(self.thread.ident), ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, raised)


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
