"""Rows whose prompt says what is wanted: a target score, or a direction between two aspects.

The words that a prompt is given are part of what the policy learns: use `goal_words` and `direction_words` with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.policy.offline.data.scored import scored_lists, told
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import Completion, Conversation, Sample

WEIGHS = "Generate a response that weighs {}."
"""What asks for a direction."""


def goal_words(goal: float) -> str:
    """What the system says of a target score."""
    return f"Generate a response whose score is {goal:.3g}."


def direction_words(names: Sequence[str], direction: Sequence[float]) -> str:
    """What the system says of a direction: 100 times its components, rounded."""
    parts = " and ".join(f"{name} {round(100 * v)}" for name, v in zip(names, direction, strict=True))
    return WEIGHS.format(parts)


def goal_conditioned_pairs(rows: Sequence[Any]) -> list[Pair]:
    """Two pairs of each: asked for chosen's score, chosen is better; asked for rejected's score, rejected is.

    What is learned is `R(x, y, g) = -(g - r(x, y))^2` in order, so that good rejected answers are not unlearned. At
    inference the highest score is asked for.

    Args:
        rows: pairs with both scores, or ranked rows (all pairs of different scores).

    Returns:
        Twice as many pairs, all of which keep their texts; a pair of equal scores says the contrary of itself and is
        left out.

    Raises:
        InputError: if a row has no score, or all scores are equal.

    Source: Zhang et al. 2024, "Reward-Augmented Data Enhances Direct Preference Alignment" [153].
    """
    found = []
    for i, row in enumerate(rows):
        if not isinstance(row, Pair | Ranked):
            raise InputError(
                f"dpo-reward-augmented: row {i + 1} is a {type(row).__name__.lower()} row; give pairs with "
                "chosen_score and rejected_score, or ranked rows"
            )
        (one,) = scored_lists([row], who=f"dpo-reward-augmented: of row {i + 1}")
        both = list(zip(one.completions, one.scores, strict=True))
        for (a, high), (b, low) in ((x, y) for k, x in enumerate(both) for y in both[k + 1 :]):
            if high != low:
                found.append(_pair(one.prompt, a, b, high, low, row.meta))
                found.append(_pair(one.prompt, b, a, low, high, row.meta))
    if not found:
        raise InputError("dpo-reward-augmented: all scores of a prompt are equal everywhere; there is nothing to learn")
    return found


def _pair(prompt: Conversation, better: Completion, worse: Completion, goal: float, other: float, meta: Any) -> Pair:
    # the scores are distances to the goal now: of the two, the one that meets it is better
    asked = told(prompt, goal_words(goal))
    return Pair(
        asked, better, worse, chosen_score=0.0, rejected_score=-((goal - other) ** 2), meta={**meta, "goal": goal}
    )


def goal_conditioned_samples(rows: Sequence[Any]) -> list[Sample]:
    """Every completion as an answer to being asked for its own score: what a reward-conditioned policy imitates.

    Args:
        rows: see `scored_lists`.

    Raises:
        InputError: if a row has no score.
    """
    return [
        Sample(told(one.prompt, goal_words(score)), completion, meta={**one.meta, "goal": score})
        for one in scored_lists(rows, who="reward-conditioned")
        for completion, score in zip(one.completions, one.scores, strict=True)
    ]


def directed_samples(
    rows: Sequence[Any], *, directions: int = 4, low: float = -45.0, high: float = 0.0, seed: int = 0
) -> list[Sample]:
    """For each prompt some directions, and for each direction the completion that goes furthest in it.

    A direction is `v = (cos t, sin t)` with t drawn from [low, high] degrees, over the two aspects in the order in
    which the first row names them; of a prompt's completions the one with the largest `v . r` is imitated, asked for v.

    A prompt that asks for a direction already, in the words of `direction_words`, keeps it: of the completions that
    were sampled for it the furthest one is imitated. So it goes on from the second iteration, and so the paper does it
    from the first; here the first one draws its directions afterwards, over completions that were asked for none.

    Args:
        rows: rated rows with two aspects, several a prompt, on one scale.
        directions: how many a prompt.
        low: smallest angle in degrees; below 0 the second aspect is not wanted.
        high: largest angle.
        seed: of the angles.

    Raises:
        InputError: if a row has not the two aspects, or a number is out of range.

    Source: Wang et al. 2024, "Arithmetic Control of LLMs for Diverse User Preferences: Directional Preference Alignment
    with Multi-Objective Rewards" [133], for two objectives as in the paper.
    """
    if directions < 1 or not -180 <= low <= high <= 180:
        raise InputError(
            f"dpa: directions is {directions}, low {low} and high {high}; give at least 1, and degrees in order"
        )
    names: tuple[str, ...] = ()
    found: dict[Conversation, list[tuple[Completion, tuple[float, ...]]]] = {}
    for i, row in enumerate(rows):
        names = names or (tuple(row.aspects) if isinstance(row, Rated) else ())
        if not isinstance(row, Rated) or len(names) != 2 or set(row.aspects) != set(names):
            has = ", ".join(row.aspects) if isinstance(row, Rated) else ""
            raise InputError(
                f"dpa: row {i + 1} has the aspects {has or 'none'}; give rated rows with the same two everywhere"
            )
        found.setdefault(row.prompt, []).append((row.completion, tuple(float(row.aspects[n]) for n in names)))
    rng = np.random.default_rng(seed)
    samples = []
    for prompt, options in found.items():
        asked = _direction_asked(prompt, names)
        angles = rng.uniform(low, high, size=directions) if asked is None else [asked]
        for angle in angles:
            v = (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
            best = max(range(len(options)), key=lambda j: (v[0] * options[j][1][0] + v[1] * options[j][1][1], -j))
            conditioned = prompt if asked is not None else told(prompt, direction_words(names, v))
            samples.append(Sample(conditioned, options[best][0], meta={"direction": list(v)}))
    return samples


def _direction_asked(prompt: Conversation, names: Sequence[str]) -> float | None:
    """The angle, in degrees, that a prompt asks for already; None where it asks for none."""
    said = prompt[0].text if prompt and prompt[0].role == "system" else ""
    before, after = map(re.escape, WEIGHS.split("{}"))
    for order in (list(names), list(names)[::-1]):  # rows may name their aspects in another order than the words do
        parts = " and ".join(rf"{re.escape(name)} (-?\d+)" for name in order)
        found = re.search(rf"(?:^|\n\n){before}{parts}{after}$", said)
        if found:
            v = dict(zip(order, map(float, found.groups()), strict=True))
            return math.degrees(math.atan2(v[names[1]], v[names[0]]))
    return None
