"""Reasoning compressed as far as its difficulty allows: easy prompts much, hard ones little [31].

The entry has the mechanism from the paper's repository; the constants are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Grouped, Groups, Labels

RATES = (0.5, 0.3, 0.1)
"""Share of the steps that may go: easy, medium, hard."""


def difficulty_buckets(pass_rate: ArrayLike, *, ends: Sequence[float] = (2 / 3, 1 / 3)) -> Int[np.ndarray, " p"]:
    """0 easy, 1 medium, 2 hard: by the share of a prompt's completions that are right.

    Args:
        pass_rate: (p,) in [0, 1]; NaN counts as hard.
        ends: above the first is easy, above the second medium.

    Raises:
        InputError: if the ends do not fall.
    """
    if list(ends) != sorted(ends, reverse=True):
        raise InputError(f"difficulty_buckets: ends are {list(ends)}; give falling shares")
    p = np.nan_to_num(np.asarray(pass_rate, dtype=np.float64), nan=-1.0)
    return np.asarray(sum((p <= end).astype(np.int64) for end in ends))


def attention_rate(attention: Float[np.ndarray, " k"]) -> float:
    """`1 - entropy / log k` of the steps' attention: 0 where all are attended to alike, 1 where one is.

    Near 0, attention says nothing of which step may go, and nothing should.

    Args:
        attention: of the answer to each step, at least 0, not all 0.

    Raises:
        InputError: if a value is negative or all are 0.
    """
    a = np.asarray(attention, dtype=np.float64)
    if a.size == 1:
        return 0.0
    if (a < 0).any() or not a.sum() > 0:
        raise InputError(f"attention_rate: attention is {a.tolist()}; give values of at least 0, not all 0")
    p = a / a.sum()
    entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
    return float(np.clip(1 - entropy / np.log(a.size), 0.0, 1.0))


def compression_rate(
    pass_rate: float, attention: Float[np.ndarray, " k"], *, rates: Sequence[float] = RATES, sharpness: float = 4.0
) -> float:
    """`rate(bucket) * min(1, sharpness * attention_rate)`: the share of the steps that may go.

    Args:
        pass_rate: of the prompt.
        attention: of the answer to each step.
        rates: of easy, medium and hard prompts, falling, in [0, 1).
        sharpness: how soon uneven attention counts as telling.

    Raises:
        InputError: if the rates are not three falling shares.
    """
    if len(rates) != 3 or list(rates) != sorted(rates, reverse=True) or not all(0 <= r < 1 for r in rates):
        raise InputError(f"compression_rate: rates are {list(rates)}; give three falling shares below 1")
    bucket = int(difficulty_buckets([pass_rate])[0])
    return float(rates[bucket] * min(1.0, sharpness * attention_rate(attention)))


def kept_steps(attention: Float[np.ndarray, " k"], rate: float) -> Bool[np.ndarray, " k"]:
    """The steps that stay where the `floor(rate * k)` least attended ones go; of equal ones the later go first.

    Args:
        attention: of the answer to each step.
        rate: in [0, 1).

    Raises:
        InputError: if the rate is outside.
    """
    if not 0 <= rate < 1:
        raise InputError(f"kept_steps: rate is {rate}; give a share from 0 to below 1")
    a = np.asarray(attention, dtype=np.float64)
    kept = np.ones(a.size, dtype=bool)
    order = np.lexsort((-np.arange(a.size), a))
    kept[order[: int(round(rate * a.size, 9))]] = False  # 0.29 * 100 is a hair below 29
    return kept


def relative_brevity(
    correct: ArrayLike, length: ArrayLike, groups: Labels | Groups, *, weights: Sequence[float] = (0.4, 0.2, 0.1)
) -> Float[np.ndarray, " n"]:
    """`w(bucket) * clip(1 - L / mean L of the bucket, -1, 1)` for right completions, 0 for wrong ones.

    Args:
        correct: (n,) 1 right, 0 wrong, NaN where it is not known: NaN.
        length: (n,) after compression; a right completion whose length is not known counts as of mean length.
        groups: a label a sample; its share of right completions decides the bucket.
        weights: of easy, medium and hard prompts.

    Returns:
        To be added to the reward of correctness. The mean is over the bucket's right completions in this batch.

    Raises:
        ShapeError: if not three weights are given.
    """
    if len(weights) != 3:
        raise ShapeError(f"relative_brevity: {len(weights)} weights; give one each for easy, medium and hard")
    c = Grouped.of("relative_brevity", correct, groups, length=length)
    bucket = difficulty_buckets(c.mean)[c.groups.code]
    right = c.value > 0.5
    lengths = np.asarray(length, dtype=np.float64)
    mean = Grouped(np.where(right, lengths, np.nan), Groups(bucket.astype(np.int64), 3)).mean[bucket]
    lengths = np.where(np.isnan(lengths), mean, lengths)
    saved = np.clip(1 - np.divide(lengths, mean, out=np.ones(lengths.size), where=right & (mean > 0)), -1.0, 1.0)
    return np.where(np.isnan(c.value), np.nan, np.where(right, np.asarray(weights)[bucket] * saved, 0.0))
