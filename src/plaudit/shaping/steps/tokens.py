"""Rewards a token: from contrastive prompts, for repetition, and from steps to the tokens at which they end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.transforms.bounded import sigmoid


def contrastive_token_rewards(better_logp: ArrayLike, worse_logp: ArrayLike) -> Floats:
    """`sigmoid(logp under the better prompt - logp under the worse) - 1/2`, in (-1/2, 1/2): whom a token speaks for.

    Args:
        better_logp: log-probability of each token where the model was asked for a better answer, in nats.
        worse_logp: the same tokens where it was asked for a worse one.

    Returns:
        0 where the two prompts are one.

    Raises:
        ShapeError: if the two differ in shape.

    Source: Zhou et al. 2024, "T-REG: Preference Optimization with Token-Level Reward Regularization" [14].
    """
    better, worse = np.asarray(better_logp, dtype=np.float64), np.asarray(worse_logp, dtype=np.float64)
    if better.shape != worse.shape:
        raise ShapeError(f"contrastive_token_rewards: {better.shape} and {worse.shape} log-probabilities; give as many")
    return np.asarray(sigmoid(better - worse) - 0.5)


def repetition_penalty(
    ids: Sequence[int] | Int[np.ndarray, " t"], *, n: int = 40, penalty: float = -0.05, only_start: bool = False
) -> Float[np.ndarray, " t"]:
    """`penalty` at every token inside an n-gram that the completion has had before.

    Args:
        ids: tokens of one completion.
        n: of the n-grams, at least 1.
        penalty: at most 0.
        only_start: an n-gram counts only where it does not overlap one that was penalised.

    Raises:
        InputError: if n is below 1 or the penalty positive.

    Source: Yeo et al. 2025, "Demystifying Long Chain-of-Thought Reasoning in LLMs", appendix [191].
    """
    if n < 1 or penalty > 0:
        raise InputError(f"repetition_penalty: n is {n} and penalty {penalty}; give n >= 1 and a penalty of at most 0")
    tokens = np.asarray(ids, dtype=np.int64)
    found = np.zeros(tokens.size)
    seen: set[tuple[int, ...]] = set()
    free = 0
    for start in range(tokens.size - n + 1):
        gram = tuple(tokens[start : start + n].tolist())
        if gram in seen and (not only_start or start >= free):
            found[start : start + n] = penalty
            free = start + n
        seen.add(gram)
    return found


def placed_at_ends(
    steps: Float[np.ndarray, " s"], ends: Int[np.ndarray, " s"], length: int, *, outcome: float | None = None
) -> Float[np.ndarray, " t"]:
    """Rewards of steps at their last tokens; the outcome at the completion's last token, over what a step put there.

    Args:
        steps: rewards.
        ends: index of the last token of each step.
        length: tokens of the completion.
        outcome: of the whole; None leaves the last token to its step.

    Raises:
        ShapeError: if steps and ends differ in number.
        InputError: if the length is negative, an end lies outside the completion, or two steps end together.
    """
    r, at = np.asarray(steps, dtype=np.float64), np.asarray(ends, dtype=np.int64)
    if r.shape != at.shape or r.ndim != 1:
        raise ShapeError(f"placed_at_ends: {r.shape} steps and {at.shape} ends; give both (s,)")
    if length < 0:
        raise InputError(f"placed_at_ends: length is {length}; give the completion's number of tokens")
    if at.size and (at.min() < 0 or at.max() >= length or np.unique(at).size < at.size):
        raise InputError(f"placed_at_ends: ends {at.tolist()} for {length} tokens; give different places within them")
    found = np.zeros(length)
    found[at] = r
    if outcome is not None and length:
        found[-1] = outcome
    return found
