"""The worst texts of an unfair reward: its most confident mistakes at the cost of the group that is worse off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.checks import Example
from plaudit.evaluation.pairs import confidently_wrong
from plaudit.records.rows import Pair
from plaudit.records.sample import completion_text

Floats = NDArray[np.float64]
K = 3
"""Examples of a check."""


def prompt_text(pair: Pair) -> str:
    """The conversation, each message after its role."""
    return "\n\n".join(f"{m.role}: {m.text}" for m in pair.prompt)


def mistakes(
    pairs: Sequence[Pair], margin: Floats, judged: Floats, at: NDArray[np.bool_], said: Callable[[int], str]
) -> tuple[Example, ...]:
    """The most confident mistakes among some pairs, worst first: what deserved to win, and what the reward prefers.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        judged: (n,) the same towards what deserves to win: below 0 where the reward is wrong; NaN where nothing does.
        at: (n,) the pairs.
        said: row to what is said of it.
    """
    found = []
    for i in confidently_wrong(np.where(at, judged, np.nan), K).tolist():
        sides = [completion_text(pairs[i].chosen), completion_text(pairs[i].rejected)]
        deserves, preferred = sides if margin[i] < 0 else sides[::-1]
        note = f"margin {judged[i]:.3g}, {said(i)}"
        found.append(Example(prompt_text(pairs[i]), deserves, preferred, float("nan"), float(judged[i]), note))
    return tuple(found)


def overtaken(
    texts: Sequence[tuple[str, str]], reward: Floats, deserved: Floats, ours: NDArray[np.bool_],
    prompts: Sequence[str], said: Sequence[str], *, top: bool,
) -> tuple[Example, ...]:  # fmt: skip
    """Candidates of a group that lose against another group's of the same prompt which deserves no more, worst first.

    Args:
        texts: (m,) prompt and completion of each candidate.
        reward: (m,), NaN where there is none.
        deserved: (m,), what each is worth.
        ours: (m,), whether it is of the group that is worse off.
        prompts: (m,), of each candidate.
        said: (m,), what group each is of, in words.
        top: whether only the candidate with the highest reward of a prompt counts as the other: what selection takes.

    Returns:
        At most one a prompt; those that deserve more than what beats them come first.
    """
    won = "is selected" if top else "scores higher"
    of: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        if np.isfinite(reward[i]) and np.isfinite(deserved[i]):
            of.setdefault(prompt, []).append(i)
    found: list[tuple[bool, float, int, int]] = []
    for rows in of.values():
        best = max(reward[i] for i in rows)
        losses = [
            (bool(deserved[i] > deserved[j]), float(reward[j] - reward[i]), i, j)
            for i in rows if ours[i] for j in rows
            if not ours[j] and reward[j] > reward[i] and deserved[i] >= deserved[j] and (not top or reward[j] == best)
        ]  # fmt: skip
        found += [max(losses)] if losses else []
    return tuple(
        Example(
            texts[i][0], texts[i][1], texts[j][1], float(reward[i]), float(reward[j]),
            f"{said[i]} deserves {'more' if more else 'as much'}, {said[j]} {won}",
        )
        for more, _, i, j in sorted(found, key=lambda f: (not f[0], -f[1]))[:K]
    )  # fmt: skip
