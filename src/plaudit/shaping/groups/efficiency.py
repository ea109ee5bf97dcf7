"""A reward for brevity that only groups which are right often enough receive [36]."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels
from plaudit.shaping.transforms.bounded import sigmoid


def brevity_reward(
    correct: ArrayLike, length: ArrayLike, groups: Labels | Groups, *, alpha: float = 0.6
) -> Float[np.ndarray, " n"]:
    """`1 - alpha sigmoid((L - mean) / std)` for right completions, 0 for wrong ones.

    Mean and deviation (over n) are those of the lengths of the group's right completions.

    Args:
        correct: (n,) 1 right, 0 wrong, NaN where it is not known.
        length: (n,) tokens; a right completion whose length is not known counts as of mean length.
        groups: a label a sample.
        alpha: what the longest may lose, in [0, 1].

    Returns:
        NaN where `correct` is; with right completions of equal length, or a single one, `1 - alpha / 2`.

    Raises:
        InputError: if alpha is outside [0, 1].

    Source: Dai et al. 2025, "Stable Reinforcement Learning for Efficient Reasoning" (GRPO-lambda) [36].
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"brevity_reward: alpha is {alpha}; give a number between 0 and 1")
    c = Grouped.of("brevity_reward", correct, groups, length=length)
    found: Floats = np.zeros(len(c.groups)) if c.missing is None else np.where(c.missing, np.nan, 0.0)
    # right completions alone: what is wrong has no say, and in most batches is most of them
    at = np.flatnonzero(c.value > 0.5)
    code = c.groups.code[at]
    lengths = Grouped(np.asarray(length, dtype=np.float64)[at], Groups(code, c.groups.count))
    std = lengths.std()[code]
    apart = lengths.centred if lengths.missing is None else np.nan_to_num(lengths.centred)
    found[at] = 1 - alpha * sigmoid(np.divide(apart, std, out=np.zeros(at.size), where=std > 0))
    return found


def mastered_groups(correct: ArrayLike, groups: Labels | Groups, *, share: float = 0.2) -> Bool[np.ndarray, " count"]:
    """The groups that are right most often: the first `ceil(share * groups)`, at least one; ties by their order.

    Args:
        correct: (n,) 1 right, 0 wrong, NaN where it is not known.
        groups: a label a sample.
        share: the paper's lambda, in [0, 1].

    Returns:
        True for these, by group code. Groups of which nothing is known do not count, and are none of them.

    Raises:
        InputError: if the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise InputError(f"mastered_groups: share is {share}; give a number between 0 and 1")
    c = Grouped.of("mastered_groups", correct, groups)
    found, known = np.zeros(c.groups.count, dtype=bool), np.flatnonzero(c.n)
    order = known[np.argsort(-c.mean[known], kind="stable")]
    # 0.2 * 15 is 3.0000000000000004: rounding must not add a group
    found[order[: max(math.ceil(round(share * known.size, 9)), 1)]] = True
    return found


def efficient_reward(
    correct: ArrayLike, length: ArrayLike, groups: Labels | Groups, *, share: float = 0.2, alpha: float = 0.6
) -> Float[np.ndarray, " n"]:
    """GRPO-lambda: `brevity_reward` for the `mastered_groups`, plain right and wrong for all others.

    `share = 1` is a plain length penalty. Group-standardise the result.

    Args:
        correct: (n,) 1 right, 0 wrong, NaN where it is not known.
        length: (n,) tokens.
        groups: a label a sample.
        share: of groups that are rewarded for brevity.
        alpha: see `brevity_reward`.

    Source: as `brevity_reward`. Wrong completions are worth 0 in every group, as the paper's formula says; the code of
    a published note forgets it.
    """
    c = Grouped.of("efficient_reward", correct, groups, length=length)
    if share == 1:
        return brevity_reward(c.value, length, c.groups, alpha=alpha)
    at = np.flatnonzero(mastered_groups(c.value, c.groups, share=share)[c.groups.code])
    found = c.value.copy()
    among = Groups(c.groups.code[at], c.groups.count)
    found[at] = brevity_reward(c.value[at], np.asarray(length)[at], among, alpha=alpha)
    return found
