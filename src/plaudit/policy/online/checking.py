"""What is refused before anything is sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.advantages.base import SAMPLE_COLUMNS, TOKEN_COLUMNS
from plaudit.policy.online.config import OnlineConfig
from plaudit.policy.online.method import Method
from plaudit.records.rows import PromptOnly
from plaudit.records.sample import Sample
from plaudit.rewards.base import Comparison, Outcome, Reward, RewardBatch
from plaudit.rewards.files import COLUMNS

REPEATS = ((0.2, 6), (0.6, 4), (0.8, 2))
"""Shares of right answers below which a prompt is asked so often in a pass."""

KNOWN = frozenset({"compared", "tasks", *SAMPLE_COLUMNS, *TOKEN_COLUMNS})
"""What estimators read that a run makes itself, or has a check of its own."""


def check_columns(rows: Sequence[PromptOnly]) -> None:
    """Refuses rows whose columns `samples.jsonl` would overwrite.

    Raises:
        InputError: naming the first.
    """
    for i, row in enumerate(rows):
        taken = sorted(set(row.meta) & set(COLUMNS))
        if taken:
            raise InputError(
                f"align: row {i + 1} has a column {taken[0]!r}, which samples.jsonl keeps of a completion; rename or "
                "remove it"
            )


def judged_together(rows: Sequence[PromptOnly], config: OnlineConfig) -> list[list[int]]:
    """Numbers of the prompts, those of one value of the column `config.together` in one list; without it each alone.

    Raises:
        InputError: if a row lacks the column, values have different numbers of prompts, or a batch would divide them.
    """
    if not config.together:
        return [[i] for i in range(len(rows))]
    found: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.meta.get(config.together) is None:
            raise InputError(
                f"align: prompt {i + 1} has no column {config.together!r}, which says what is judged "
                "together; add it, or leave together out"
            )
        found.setdefault(str(row.meta[config.together]), []).append(i)
    sizes = {len(members): name for name, members in found.items()}
    if len(sizes) > 1:
        (few, one), (many, other) = sorted(sizes.items())[0], sorted(sizes.items())[-1]
        raise InputError(
            f"align: {config.together} {one!r} has {few} prompts and {other!r} {many}; give as many of each (prompts "
            "that leave no room for a completion are not asked)"
        )
    size = next(iter(sizes))
    if config.batch_size % size:
        raise InputError(
            f"align: {size} prompts of a {config.together} are judged together, and batch_size is {config.batch_size}; "
            f"give a multiple of {size}"
        )
    return list(found.values())


def repeated(rows: Sequence[PromptOnly], config: OnlineConfig) -> list[int]:
    """How often a pass asks each prompt: by the share of right answers in the column `config.repeat_by`, else once.

    Source: Lyu et al. 2025, OREAL [24]; shares at a bound go to the easier side.

    Raises:
        InputError: if a row lacks the column, or it is not a number from 0 to 1.
    """
    if not config.repeat_by:
        return [1] * len(rows)
    found = []
    for i, row in enumerate(rows):
        share = row.meta.get(config.repeat_by)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise InputError(
                f"align: prompt {i + 1} has {config.repeat_by!r} {share!r}, and it says how often the prompt is asked; "
                "give the share of right answers, a number from 0 to 1, or leave repeat_by out"
            )
        found.append(next((times for bound, times in REPEATS if share < bound), 1))
    return found


def check_kind(reward: Reward | Comparison, method: Method) -> None:
    """Refuses a reward where a comparison is learnt from, and the other way round.

    Raises:
        InputError: saying what to give.
    """
    scores = hasattr(reward, "bounds")
    if method.compares and scores:
        raise InputError(
            f"align: {method.title} compares completions, and {reward.name} is a reward of one; give a comparison "
            "(a model whose head compares, compare/margin?of=FOLDER), or an algorithm such as grpo"
        )
    if not method.compares and not scores:
        raise InputError(
            f"align: {reward.name} is a comparison, and {method.title} learns from a reward of one completion; give "
            "an algorithm that compares, such as pref-grpo, or make it a reward with shape/win-rate"
        )


def check_alone(batches: int, method: Method) -> None:
    """Refuses a run in whose batches a token reward model would learn alone to the end.

    Raises:
        InputError: if the policy would stay as it is.
    """
    if method.tokens is not None and batches <= method.tokens.token_first:
        raise InputError(
            f"align: the token reward model of {method.title} learns alone from the first {method.tokens.token_first} "
            f"batches, and the run has {batches}: the policy would not move; lower token_first, or raise epochs"
        )


def check_refill(rewards: Sequence[Any], config: OnlineConfig) -> None:
    """Refuses to refill where a reward scores a whole batch together: each round would be scored apart.

    Raises:
        InputError: naming it.
    """
    whole = [reward.name for reward in rewards if getattr(reward, "scope", "") == "batch"]
    if config.refill and whole:
        raise InputError(
            f"align: reward {whole[0]} scores a whole batch together, and refill asks further prompts after it is "
            "scored; leave refill out"
        )


def check_bounds(reward: Any, method: Method, *, shaped: Any = None) -> None:
    """Refuses a reward without bounds where it must say what is right, and one that is not calibrated where it must be.

    Args:
        reward: as it is scored.
        method: that is to learn from it.
        shaped: with its transforms; None where there are none.

    Raises:
        InputError: if it has none; or if what is forbidden, which is worth 0, could be worth more than what is allowed.
    """
    if {"allowed", "logp"} <= method.estimator.needs:  # it multiplies the reward by both; others only order by it
        low, high = (reward if shaped is None else shaped).bounds
        if not (low >= 0 and high <= 1):
            raise InputError(
                f"align: to {method.title} what is not allowed is worth 0, and {reward.name} has rewards from {low:g} "
                f"to {high:g}; give one between 0 and 1: calibrated by reference completions with shape/par, or "
                "squashed with shape/squash?curve=sigmoid"
            )
    asks = "correct" in method.needs or method.process is not None
    if asks and not np.isfinite(reward.bounds).all():
        raise InputError(
            f"align: {method.title} asks which completions are right, by the middle of the reward's bounds, and "
            f"{reward.name} has bounds {tuple(reward.bounds)}; give a verifier, or an algorithm such as grpo"
        )


def check_read(rows: Sequence[PromptOnly], method: Method, ask: Callable[[Sample], RewardBatch]) -> None:
    """Refuses a run in which nothing would give what the algorithm reads besides the reward.

    That is a column of the prompts, or an aspect of the reward. Which aspects a reward has it says by scoring: it is
    asked about the reference of the first prompt (or an empty answer), once. Where it cannot judge that, nothing is
    known, and the first batch will tell.

    Args:
        rows: prompts.
        method: the algorithm.
        ask: what the reward says of a completion.

    Raises:
        InputError: naming what is missing, and where it is looked for.
    """
    if "tasks" in method.needs:
        bare = next((i for i, row in enumerate(rows) if row.meta.get("task") is None), None)
        if bare is not None:
            raise InputError(
                f"align: {method.title} reads the column 'task' of prompts, and prompt {bare + 1} has none; add it"
            )
    names = sorted(n for n in method.estimator.needs - KNOWN if all(row.meta.get(n) is None for row in rows))
    if not names:
        return
    first = rows[0]
    told = ask(Sample(first.prompt, str(first.reference or ""), first.reference, "asked first", None, first.meta))
    lacking = [name for name in names if name not in told.aspects]
    if lacking and told.outcome[0] == Outcome.SCORED:
        raise InputError(lacks(lacking[0], method))


def lacks(name: str, method: Method) -> str:
    """The words for a column or aspect that is read and not there."""
    return (
        f"align: {method.title} reads {name!r}, and neither do the prompts have such a column nor the reward such an "
        "aspect; add one of the two"
    )


__all__ = [
    "check_alone",
    "check_bounds",
    "check_columns",
    "check_kind",
    "check_read",
    "check_refill",
    "judged_together",
    "lacks",
    "repeated",
]
