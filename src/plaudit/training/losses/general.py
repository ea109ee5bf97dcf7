"""Losses of preferences that need not be transitive, their heads, and the rows that a joint model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked
from plaudit.records.sample import Sample, completion_messages
from plaudit.rewards.preferences import shown
from plaudit.rewards.readers.head import Head
from plaudit.training.identity import kind_of
from plaudit.training.objectives.general.joint import cross_encoder
from plaudit.training.objectives.general.skew import context_scales, general_preference, general_regression
from plaudit.training.objectives.pairs.checking import check_number
from plaudit.training.objectives.ratings.twice import two_preferences


def skew(
    outputs: Tensor, row: Mapping[str, Tensor], *, planes: int, temperature: float, by_prompt: bool, target: float,
    **_: object,
) -> Tensor:  # fmt: skip
    """General preference: the skew-symmetric score of two embeddings; with a target above 0 drawn to it by squares."""
    asked = outputs[row["pairs"][:, 0], 2 * planes :]
    scales = context_scales(asked) if by_prompt and planes > 1 else None
    loss = partial(general_regression, target=target) if target else general_preference
    return loss(outputs[:, : 2 * planes], row["pairs"], temperature=temperature, scales=scales, weight=row["weight"])


def skew_head(*, planes: int, temperature: float, by_prompt: bool, target: float, init: str) -> Head:
    """An embedding of `2 * planes` numbers at the completion, and a logit a plane at the prompt.

    With `init` `small`, as published, scores begin near 0 and scales near 1; with `unit` both are of unit order at
    once, which temperature 0.1 makes log-odds of some tens.
    """
    if planes < 1 or not 0 < temperature < float("inf"):
        raise InputError(
            f"objective general-preference: planes is {planes} and temperature {temperature}; both must be positive"
        )
    check_number("objective general-preference", "target", target, low=0)
    asked = planes if by_prompt and planes > 1 else 0  # one plane has the scale 1 whatever its logit is
    return Head(
        "skew", 2 * planes + asked, {"planes": planes, "temperature": temperature},
        network={"completion": 2 * planes, "prompt": asked, "init": init},
    )  # fmt: skip


def joint(outputs: Tensor, row: Mapping[str, Tensor], *, order_coef: float) -> Tensor:
    """Cross-encoder: both completions in one conversation, in both orders."""
    return cross_encoder(outputs[:, 0], row["pairs"], order_coef=order_coef, weight=row["weight"])


def joint_head(**_: object) -> Head:
    """The logit that the completion shown first is better."""
    return Head("joint", 1)


def twice(outputs: Tensor, row: Mapping[str, Tensor]) -> Tensor:
    """Two raters' answers to each pair: the first prefers chosen, the second too or not."""
    again = row["second"] > 0.5
    return two_preferences(outputs, row["pairs"], first=torch.ones_like(again), second=again, weight=row["weight"])


def twice_head(**_: object) -> Head:
    """Three scores: before any answer, when this completion was preferred, when it was not."""
    return Head("twice", 3)


def joint_rows(rows: Sequence[Pair | Ranked]) -> list[Pair]:
    """Every preference of the rows as a pair of conversations: the better completion first, the worse one first.

    Raises:
        InputError: if a row is neither a pair nor ranked, or prefers nothing.
    """
    found = []
    for i, row in enumerate(rows):
        if not isinstance(row, Pair | Ranked):
            raise InputError(f"row {i + 1}: {kind_of(row)} row holds no preference; give pairs or ranked rows")
        pairs = [tuple(row.samples())] if isinstance(row, Pair) else _ordered(row)
        if not pairs:
            many = len(row.completions)  # type: ignore[union-attr]  # a pair has an order
            raise InputError(f"row {i + 1}: all {many} completions have the same score; nothing to learn: leave it out")
        for better, worse in pairs:
            orders = (shown(better, worse), shown(worse, better))
            first, second = (completion_messages(s.completion) for s in orders)
            found.append(Pair(row.prompt, first, second, meta=row.meta))
    return found


def _ordered(row: Ranked) -> list[tuple[Sample, Sample]]:
    samples = [Sample(row.prompt, c, meta=row.meta) for c in row.completions]
    scores = list(enumerate(row.scores))
    return [(samples[i], samples[j]) for i, a in scores for j, b in scores if a > b]
