"""Completions of a shifted policy, which nobody has judged, as a fit takes them: grouped by prompt, in batches [13].

Differs from the paper: a batch holds as many prompts as a step has groups, and comes around again when all have had
their turn; the paper does not say how its batches of the two kinds meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from plaudit.engine.rendering import Encoder
from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.models import by_prompt
from plaudit.training.groups import Group
from plaudit.training.identity import kind_of


def shifted_lists(rows: Iterable[Any]) -> list[list[Sample]]:
    """The samples of each prompt together, in the order in which prompts first occur; other tools, another prompt.

    Args:
        rows: samples; equal ones count as often as they occur.

    Raises:
        InputError: if a row is of another kind, there are none, or a prompt has a single completion.
    """
    samples: list[Sample] = []
    for i, row in enumerate(rows):
        if not isinstance(row, Sample):
            raise InputError(f"shifted: row {i + 1} is {kind_of(row)} row; give samples (prompt, completion)")
        samples.append(row)
    if not samples:
        raise InputError("shifted: there are no rows; give samples of the shifted policy, at least two a prompt")
    lists, _ = by_prompt(samples)
    for members in lists:
        if len(members) < 2:
            raise InputError(
                f"shifted: the prompt of row {members[0] + 1} has a single completion; "
                "give at least two, or leave the prompt out"
            )
    return [[samples[i] for i in members] for members in lists]


def shifted_groups(rows: Iterable[Any], encoder: Encoder) -> list[Group]:
    """The rows as groups without any preference, members of a group truncated alike.

    Args:
        rows: samples, see `shifted_lists`.
        encoder: renders and truncates.

    Raises:
        InputError: as `shifted_lists`.
    """
    nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    groups = []
    for samples in shifted_lists(rows):
        meta = samples[0].meta
        encoded = encoder.encode_group(
            samples[0].prompt, [s.completion for s in samples],
            tools=meta.get("tools"), kwargs=meta.get("chat_template_kwargs"),
        )  # fmt: skip
        groups.append(
            Group(
                tuple(e.ids for e in encoded), nothing, nothing, none, none, tuple(e.cut for e in encoded),
                prompts=tuple(e.prompt_length for e in encoded),
            )
        )  # fmt: skip
    return groups


def turn(step: int, *, n: int, size: int, seed: int) -> Sequence[int]:
    """Which of n things a step takes: `size` of them, in an order that is drawn anew whenever all had their turn.

    A function of the step alone: a run that goes on from a checkpoint takes what an undisturbed one takes.

    Args:
        step: from 0.
        n: things, at least 1.
        size: how many a step takes; more than n takes some of them twice.
        seed: of the orders.
    """
    places = range(step * size, (step + 1) * size)
    orders = {i: np.random.default_rng([seed, i]).permutation(n) for i in {p // n for p in places}}
    return [int(orders[p // n][p % n]) for p in places]
