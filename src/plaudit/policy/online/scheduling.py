"""Which prompts each update asks, what it may ask besides, and what was asked as rows of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.experience import drawn_key, reward_key
from plaudit.policy.online.state import Asked
from plaudit.policy.rollout import Question, Rollout
from plaudit.records.rows import PromptOnly
from plaudit.rewards.files import batch_from_cells, scored_rows
from plaudit.runs.log import DurableLog

PLACES = 10**6
"""Places of a step's own prompts: those that it asks besides stand behind them, each process's behind another's."""


def schedule(prompts: Sequence[Sequence[int]], config: OnlineConfig, *, processes: int = 1) -> list[Asked]:
    """Which prompts each update asks, in order: every batch `updates` times, passes over the prompts shuffled anew.

    The last batch is filled from a further pass, so that all are of one size.

    Args:
        prompts: numbers of the prompts, those that are judged together as one entry; all entries are equally long.
        config: of the run.
        processes: that divide each batch.
    """
    size = config.batch_size * config.accumulation * processes
    batches = max(1, int(np.ceil(sum(map(len, prompts)) * config.epochs / size)))
    rng, order = np.random.default_rng([config.seed, 17]), list[int]()
    while len(order) < batches * size:
        order += [row for unit in rng.permutation(len(prompts)) for row in prompts[unit]]
    found: list[Asked] = []
    for step in range(batches):
        part = order[step * size : (step + 1) * size]
        found += [Asked(row, f"{step}.{place}.{row}") for place, row in enumerate(part)] * config.updates
    return found


def further(step: str, *, prompts: int, config: OnlineConfig, rank: int = 0) -> Iterator[Asked]:
    """What a step may ask besides, in order, where the prompts that it asks have nothing to teach.

    Prompts of the run, each once, shuffled anew for every step, as many as its rounds can come to; who asks leaves out
    those that the step asks anyway.

    Args:
        step: its number, as keys begin.
        prompts: of the run.
        config: of the run.
        rank: of the process.
    """
    order = np.random.default_rng([config.seed, 29, int(step), rank]).permutation(prompts)
    own = config.batch_size * config.accumulation  # a round asks no more, and no more of them are left out
    most = (config.refill + 1) * own if config.refill else 0
    for place, row in enumerate(order[:most].tolist()):
        yield Asked(row, f"{step}.{PLACES * (rank + 1) + place}.{row}")


def said(
    asked: Sequence[Asked], questions: Callable[[Asked], Question], log: DurableLog, *,
    refills: Callable[[str], Iterator[Asked]], everywhere: Callable[[list[Any]], list[Any]] = list,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Rows of a scored file: every completion of a run with its reward, step by step, in the order of their places.

    Args:
        asked: the schedule.
        questions: from its entries to what was asked.
        log: of this process; entries that it lacks were another's.
        refills: from a step to what this process may have asked besides.
        everywhere: from this process's part of a step to the parts of all; by default there is one process.
    """
    steps: dict[str, list[Asked]] = {}
    for one in dict.fromkeys(asked):
        steps.setdefault(one.key.partition(".")[0], []).append(one)
    for step, own in steps.items():
        part = []
        for one in (*own, *refills(step)):
            question = questions(one)
            if reward_key("", question) in log:
                rollouts = [Rollout.from_dict(question, row) for row in log[drawn_key(question)]]
                batch = batch_from_cells(log[reward_key("", question)])
                part.append((int(one.key.split(".")[1]), [*scored_rows([r.sample for r in rollouts], batch)]))
        for _, rows in sorted(everywhere(part), key=itemgetter(0)):
            yield from rows


def collated(batch: Sequence[Asked]) -> dict[str, Any]:
    """A micro-batch of the schedule, as it is: rows are made when the completions are there."""
    return {"asked": list(batch)}


def question_of(kept: Sequence[tuple[PromptOnly, tuple[int, ...]]], together: int, asked: Asked) -> Question:
    """What an entry of the schedule asks; so many that follow one another are judged together."""
    row, ids = kept[asked.row]
    step, place, _ = asked.key.split(".")
    return Question(row, ids, asked.key, f"{step}.{int(place) // together}" if together > 1 else "")


__all__ = ["collated", "further", "question_of", "said", "schedule"]
