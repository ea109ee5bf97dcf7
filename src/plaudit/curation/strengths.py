"""Strengths of pairs, from how several fitted rewards judge them, and rows that say so [13].

The rewards are to be fitted to bootstraps or shuffles of the same pairs. What is done with the weakest share, the soft
labels and the margins is a choice for each; the objectives that read them are `soft-bradley-terry` (`preference`) and
`bradley-terry` with `use_margin` (`margin`).

Differs from the paper: margins are in units of log-odds where a reward says what its unit is worth, else as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.rewards.base import Floats, Reward
from plaudit.training.columns import exchanged
from plaudit.training.objectives.pairs.adaptive import preference_strength, strength_targets, weakest


def reward_margins(pairs: Sequence[Pair], rewards: Sequence[Reward]) -> Float[np.ndarray, "models m"]:
    """`reward(chosen) - reward(rejected)` of each pair under each reward, in log-odds where it gives them.

    Args:
        pairs: m pairs.
        rewards: at least two, none of which is another under a second name.

    Returns:
        NaN where a completion's outcome does not count.

    Raises:
        InputError: if there are fewer than two rewards, two are the same, or there are no pairs.
    """
    if len(rewards) < 2 or not pairs:
        given = "there are no pairs" if not pairs else f"{len(rewards)} reward cannot agree with another"
        raise InputError(f"strengths: {given}; give two rewards or more, and pairs")
    samples = [s for pair in pairs for s in pair.samples()]
    found: list[Floats] = []
    for reward in rewards:
        said = reward(samples).reward.reshape(-1, 2)
        margin = np.asarray(float(getattr(reward, "log_odds_per_unit", 1.0)) * (said[:, 0] - said[:, 1]))
        for other, theirs in zip(rewards, found, strict=False):  # a fingerprint alone: closures of one line share it
            if other.fingerprint == reward.fingerprint and np.array_equal(theirs, margin, equal_nan=True):
                raise InputError(
                    f"strengths: {other.name} and {reward.name} are the same reward, which agrees with itself on every "
                    "pair; give rewards of which each was fitted on its own (another seed, a bootstrap)"
                )
        found.append(margin)
    return np.stack(found)


def strengthened(
    pairs: Sequence[Pair], rewards: Sequence[Reward], *, flip: float = 0.0, drop: float = 0.0
) -> list[Pair]:
    """The pairs with their strength as `margin`, its deviation and a soft label in their meta.

    Args:
        pairs: m pairs.
        rewards: at least two, whose mean margin is the strength.
        flip: share of the pairs, those of lowest strength, whose completions change places.
        drop: share that is left out in their stead, counted in the same way; at most one of the two is above 0.

    Returns:
        Rows with `margin` (the strength, negative where the rewards hold the label to be wrong) and meta
        `preference`, `strength_std` and `flipped_by_strength`. A pair that a reward could not judge is left as it was,
        without a margin, and is neither flipped nor dropped. All that a flipped pair says of its completions changes
        places too, see `plaudit.training.columns.exchanged`.

    Raises:
        InputError: if a share is outside [0, 1] or both are above 0.

    Source: Wang et al. 2024, "Secrets of RLHF in Large Language Models Part II" [13].
    """
    if flip > 0 and drop > 0:
        raise InputError(f"strengths: flip is {flip} and drop {drop}; give one of them")
    margins = reward_margins(pairs, rewards)
    judged = np.flatnonzero(np.isfinite(margins).all(axis=0))
    told = torch.from_numpy(margins[:, judged])
    strength, deviation = preference_strength(told)
    target = strength_targets(told)
    weak = weakest(strength, share=max(flip, drop)).tolist()
    rows: list[Pair | None] = [replace(pair, margin=None) for pair in pairs]
    for i, mean, std, soft, low in zip(
        judged.tolist(), strength.tolist(), deviation.tolist(), target.tolist(), weak, strict=True
    ):
        if low and drop > 0:
            rows[i] = None
            continue
        turned = low and flip > 0
        pair = exchanged(pairs[i]) if turned else pairs[i]
        meta = {"preference": 1 - soft if turned else soft, "strength_std": std, "flipped_by_strength": turned}
        rows[i] = replace(pair, margin=-mean if turned else mean, meta={**pair.meta, **meta})
    return [row for row in rows if row is not None]
