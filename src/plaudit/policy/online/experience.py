"""From questions to scored completions: sampled, judged and logged, so that none of it is paid for twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, final

import numpy as np

from plaudit.errors import ShapeError
from plaudit.policy.online.background import Background
from plaudit.policy.rollout import OneByOne, Question, Rollout, Sampler, Sampling
from plaudit.records.sample import Sample
from plaudit.rewards.base import Reward, RewardBatch
from plaudit.rewards.files import batch_from_cells, reward_cells
from plaudit.runs.log import DurableLog

_FAULTS = "faults:"
"""What keys of a run's log begin with that say what went wrong with a reward."""


@dataclass(frozen=True, slots=True)
class Experience:
    """Completions of questions with what the rewards said.

    Attributes:
        questions: what was asked.
        rollouts: for each its completions.
        reward: of all completions, question by question, before any shaping.
        watched: name to what another reward says of the same completions, which nothing is learnt from.
    """

    questions: tuple[Question, ...]
    rollouts: tuple[tuple[Rollout, ...], ...]
    reward: RewardBatch
    watched: dict[str, RewardBatch]

    @property
    def flat(self) -> list[Rollout]:
        """All completions, question by question."""
        return [rollout for row in self.rollouts for rollout in row]

    @property
    def samples(self) -> list[Sample]:
        """All samples, in the same order."""
        return [rollout.sample for rollout in self.flat]

    @property
    def groups(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The question of each completion, (n,)."""
        return np.repeat(np.arange(len(self.rollouts)), [len(row) for row in self.rollouts])


def joined(parts: Sequence[Experience]) -> Experience:
    """Batches of the same rewards as one, in order."""
    return Experience(
        tuple(q for part in parts for q in part.questions), tuple(r for part in parts for r in part.rollouts),
        RewardBatch.concat([part.reward for part in parts]),
        {name: RewardBatch.concat([part.watched[name] for part in parts]) for name in parts[0].watched},
    )  # fmt: skip


class Scoring(Protocol):
    """What asks a reward, or a comparison, without stopping the run: a `Scorer`, or `Duels`."""

    @property
    def reward(self) -> Reward: ...  # noqa: D102
    @property
    def faults(self) -> dict[str, int]: ...  # noqa: D102

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Rewards of the samples, in order."""
        ...

    def in_parts(self, parts: Sequence[Sequence[Sample]], kept: Callable[[int, RewardBatch], object]) -> None:
        """Rewards of parts, each handed over, with its number, as soon as it is known."""
        ...


@final
class Collector:
    """Samples and scores, while the next questions are sampled, and keeps both in a log.

    What is paid for is logged as it arrives: the rewards of a question's completions, which are asked for by a call of
    their own (of all wordings, of the whole batch where those are compared), and from a server the completions of a
    question. A kill costs what was in flight. What a forward call samples here is logged together (`put_together`).

    Args:
        sampler: completes questions.
        sampling: how.
        scorer: the reward that is learnt from.
        watched: name to a reward that is only looked at.
        log: of the run: what is in it is neither sampled nor scored again.
        seed: of sampling.

    Attributes:
        faults: what went wrong with the reward that is learnt from, and for how many completions, in the whole run:
            what is read from the log counts as when it was asked for.
    """

    def __init__(
        self, sampler: Sampler, sampling: Sampling, scorer: Scoring, *, watched: dict[str, Scoring], log: DurableLog,
        seed: int,
    ) -> None:  # fmt: skip
        self.sampler, self.sampling, self.scorer, self.watched = sampler, sampling, scorer, watched
        self.log, self.seed = log, seed
        self.faults = Counter[str]()
        for key in log:
            if key.startswith(_FAULTS):
                self.faults.update(log[key])
        self._before = Counter(scorer.faults)

    def __call__(self, questions: Sequence[Question], *, progress: Callable[[int], object] | None = None) -> Experience:
        """The completions of questions and their rewards; what a reward could not judge has none, and says why."""
        parts = _parts(questions, max(1, self.sampling.sequences // self.sampling.completions))
        whole = any(s.reward.scope == "batch" for s in (self.scorer, *self.watched.values()))
        rollouts: list[list[Rollout]] = []
        told: list[Future[dict[str, RewardBatch]]] = []
        with Background() as scoring:
            for part in parts:
                drawn = self._drawn(part, progress)
                rollouts += drawn
                if not whole:
                    told.append(scoring.submit(partial(self._scored, part, drawn)))
            if whole:
                told.append(scoring.submit(partial(self._scored, questions, rollouts)))
            batches = [future.result() for future in told]
        self.log.flush()
        joined = {name: RewardBatch.concat([b[name] for b in batches]) for name in ("", *self.watched)}
        return Experience(
            tuple(questions), tuple(map(tuple, rollouts)), joined[""], {name: joined[name] for name in self.watched}
        )

    def _drawn(self, questions: Sequence[Question], progress: Callable[[int], object] | None) -> list[list[Rollout]]:
        missing = [q for q in questions if drawn_key(q) not in self.log]

        def kept(first: int, rows: Sequence[Sequence[Rollout]]) -> None:
            self.log.put_together(
                {drawn_key(missing[first + i]): [one.to_dict() for one in row] for i, row in enumerate(rows)}
            )

        if missing and isinstance(self.sampler, OneByOne):
            self.sampler.one_by_one(
                missing, self.sampling, seed=self.seed, progress=progress, kept=lambda i, row: kept(i, [row])
            )
        elif missing:
            fresh = self.sampler(missing, self.sampling, seed=self.seed, progress=progress)
            if len(fresh) != len(missing):
                raise ShapeError(f"sampling: completions of {len(fresh)} questions came for {len(missing)}")
            kept(0, fresh)
        # read back even what is new: a resumed run must see the same numbers to the last digit
        return [[Rollout.from_dict(q, one) for one in self.log[drawn_key(q)]] for q in questions]

    def _scored(self, questions: Sequence[Question], rollouts: Sequence[Sequence[Rollout]]) -> dict[str, RewardBatch]:
        return {
            name: self._by(name, scorer, questions, rollouts)
            for name, scorer in {"": self.scorer, **self.watched}.items()
        }

    def _by(
        self, name: str, scorer: Scoring, questions: Sequence[Question], rollouts: Sequence[Sequence[Rollout]]
    ) -> RewardBatch:
        keys = [reward_key(name, q) for q in questions]
        todo = [i for i, key in enumerate(keys) if key not in self.log]
        if todo and scorer.reward.scope == "batch":
            todo = list(range(len(keys)))
        if scorer.reward.scope == "group":  # what is judged together is judged again together
            missing = {questions[i].together or keys[i] for i in todo}
            todo = [i for i, q in enumerate(questions) if (q.together or keys[i]) in missing]
        parts = [todo] if scorer.reward.scope == "batch" else _judged_together(todo, questions)

        def kept(number: int, batch: RewardBatch) -> None:
            told: dict[str, list[dict[str, Any]]] = {}
            start = 0
            for i in parts[number]:
                told[keys[i]] = [reward_cells(batch, start + k) for k in range(len(rollouts[i]))]
                start += len(told[keys[i]])
            failed = {} if name else self._failed(keys[parts[number][0]]) if parts[number] else {}
            self.log.put_together({**told, **failed})

        scorer.in_parts(
            [[_shown(questions[i], one.sample) for i in part for one in rollouts[i]] for part in parts], kept
        )
        return batch_from_cells([cell for key in keys for cell in self.log[key]])

    def _failed(self, key: str) -> dict[str, dict[str, int]]:
        """What went wrong since this was last asked, as an entry of the log beside the rewards that it cost."""
        now = Counter(self.scorer.faults)
        fresh, self._before = now - self._before, now
        at = f"{_FAULTS}{key}"
        again = Counter[str](self.log.get(at, {}))  # of an earlier judgement, which this one replaces
        self.faults = self.faults - again + fresh
        return {at: dict(fresh)} if fresh or again else {}


def _parts(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    """The questions in order, so many at a time or, where more are judged together, those."""
    found: list[list[Question]] = []
    for question in questions:
        room = found and len(found[-1]) < size
        same = found and question.together and question.together == found[-1][-1].together
        if room or same:
            found[-1].append(question)
        else:
            found.append([question])
    return [*found]


def _judged_together(at: Sequence[int], questions: Sequence[Question]) -> list[list[int]]:
    """Numbers of questions, those that are judged together in one list."""
    found: list[list[int]] = []
    for i in at:
        if found and questions[i].together and questions[i].together == questions[found[-1][-1]].together:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def _shown(question: Question, sample: Sample) -> Sample:
    """A sample as a reward sees it: in the group that it is judged in."""
    return replace(sample, group=question.together) if question.together else sample


def drawn_key(question: Question) -> str:
    """Where a run's log has a question's completions."""
    return f"drawn:{question.key}"


def reward_key(name: str, question: Question) -> str:
    """Where it has their rewards; the name is that of a watched one, empty for what is learnt from."""
    return f"reward:{name}:{question.key}"
