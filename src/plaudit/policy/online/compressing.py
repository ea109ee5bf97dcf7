"""How long a rollout is without the steps of its reasoning that its answer hardly attends to: TRAAC's compression [31].

The token that closes the reasoning looks back on it: its attention, over all heads and layers, says how much each step
had to do with the answer. The least attended steps go, more of them the easier the prompt, none where all are attended
to alike. Nothing is sampled again; what is learnt from is the length that would be left.

Differs from the paper: whose constants were not at hand (those of `shaping.length.compression` are ours). Steps are
lines. Only right completions are read, since only they are paid for brevity; the compressed text is not judged anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.policy.rollout import Rollout
from plaudit.shaping.length.compression import compression_rate, kept_steps

Floats = NDArray[np.float64]
Attend = Callable[[Sequence[int]], Floats]
"""From the ids of a text to how much its last token attends to each of them, (t,)."""


def kept_lengths(
    rollouts: Sequence[Rollout], correct: Floats, groups: NDArray[np.int64], *, attend: Attend, tokenizer: Any,
    marker: str,
) -> Floats:  # fmt: skip
    """Tokens of each right completion without the steps that may go; NaN for the others.

    Args:
        rollouts: n completions.
        correct: (n,) 1 right, 0 wrong, NaN where it is not known.
        groups: (n,) number of the prompt.
        attend: see `Attend`.
        tokenizer: that the ids are of.
        marker: closes the reasoning, for example `</think>`; a completion without it is kept as it is.
    """
    found = np.full(len(rollouts), np.nan)
    for i in np.flatnonzero(correct > 0.5).tolist():
        rate = float(np.nanmean(correct[groups == groups[i]]))
        found[i] = _kept(rollouts[i], rate, attend, tokenizer, marker)
    return found


def _kept(rollout: Rollout, pass_rate: float, attend: Attend, tokenizer: Any, marker: str) -> float:
    said = list(rollout.completion_ids)
    end = reasoning_end(said, tokenizer, marker)
    steps = [] if end is None else step_lengths(said[:end], tokenizer, marker)
    if len(steps) < 2:
        return float(len(said))
    assert end is not None
    told = attend([*rollout.prompt_ids, *said[:end]])[len(rollout.prompt_ids) :]
    starts = np.concatenate([[0], np.cumsum(steps)[:-1]])
    score = np.add.reduceat(told[: sum(steps)], starts) / np.array(steps)
    if not score.sum() > 0:  # a window that does not reach back says nothing
        return float(len(said))
    stays = kept_steps(score, compression_rate(pass_rate, score))
    return float(len(said) - np.array(steps)[~stays].sum())


def reasoning_end(ids: Sequence[int], tokenizer: Any, marker: str) -> int | None:
    """Number of tokens up to where the text first holds the marker in full; None where it never does."""

    def holds(n: int) -> bool:
        return marker in tokenizer.decode(list(ids[:n]), skip_special_tokens=False)

    if not holds(len(ids)):
        return None
    low, high = 0, len(ids)  # more tokens never lose the marker
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def step_lengths(ids: Sequence[int], tokenizer: Any, marker: str) -> list[int]:
    """Tokens of each step: lines, an empty one belonging to the step before it. The marker's own tokens are no step.

    Args:
        ids: of a completion up to its marker.
        tokenizer: that they are of.
        marker: that closes them.
    """
    pieces = [tokenizer.decode([i], skip_special_tokens=False) for i in ids]
    length, tail = len(pieces), ""
    while length and marker not in tail:
        length -= 1
        tail = pieces[length] + tail
    steps: list[int] = []
    fresh = True
    for piece in pieces[:length]:
        if fresh and piece.strip():
            steps.append(0)
            fresh = False
        if not steps:
            steps.append(0)
        steps[-1] += 1
        fresh = fresh or "\n" in piece
    return steps
