"""What a content and a discontent user would say next, by what they are content with.

Differs from the paper: the wording is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError, nearest


@dataclass(frozen=True, slots=True)
class FollowUps:
    """Follow-up utterances of one category.

    Attributes:
        positive: said after a good answer.
        negative: said after a bad one; may be empty, and then nothing is subtracted.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        said = (*self.positive, *self.negative)
        if not self.positive or not all(isinstance(f, str) and f.strip() for f in said):
            raise InputError("follow-ups: a category needs positive utterances, and none may be blank")


SHIPPED: Mapping[str, FollowUps] = {
    "understanding": FollowUps(
        (
            "Yes, that is what I was asking about.",
            "You understood my question well.",
            "That answers what I wanted to know, thank you.",
            "Exactly, that is the point.",
        ),
        (
            "No, that is not what I was asking about.",
            "You misunderstood my question.",
            "What does that have to do with my question?",
            "I do not see how that is relevant.",
        ),
    ),
    "engagement": FollowUps(
        (
            "That is interesting, please tell me more.",
            "I enjoy talking to you about this.",
            "Good point! I had not thought of that.",
        ),
        (
            "That is boring.",
            "I do not want to talk about this any more.",
            "You do not seem to care about what I say.",
        ),
    ),
    "instruction": FollowUps(
        (
            "Perfect, you did just what I asked for.",
            "Great, that works as it is.",
            "Thank you, nothing is missing.",
        ),
        (
            "You did not do what I asked for.",
            "That is wrong, please try again.",
            "You left out part of what I asked for.",
        ),
    ),
}
"""The default sets."""


def follow_up_reward(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """`mean over F+ of log p(f) - mean over F- of log p(f)` of each completion.

    A constant added to every log-likelihood cancels (where there are negatives), and swapping the sets turns the sign.

    Args:
        positive: float64 (b, f), log-likelihood a token of each positive follow-up, in nats.
        negative: float64 (b, g); g may be 0, and then nothing is subtracted.

    Returns:
        float64 (b,), nats a token.

    Source: Zhang et al. 2024, "Aligning Language Models Using Follow-up Likelihood as Reward Signal".
    """
    taken = negative.mean(axis=1) if negative.shape[1] else 0.0
    return np.asarray(positive.mean(axis=1) - taken)


def read_follow_ups(path: str | Path) -> dict[str, FollowUps]:
    """Sets from a YAML file: category over `positive` and `negative`, lists of utterances.

    Raises:
        MissingError: if there is no such file.
        InputError: if it is not of this form.
    """
    import yaml

    file = Path(path)
    if not file.is_file():
        raise MissingError(f"{path}: no such file; follow-ups are a YAML file of category over positive and negative")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds {type(content).__name__}; give a mapping of category to positive and negative")
    return {str(name): _set(f"{path}: {name}", row) for name, row in content.items()}


def _set(where: str, row: Any) -> FollowUps:
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: is {type(row).__name__}; give positive and negative")
    for key in row:
        if key not in ("positive", "negative"):
            raise InputError(f"{where}: unknown key {key!r}; {nearest(str(key), ('positive', 'negative'))}")
    try:
        return FollowUps(tuple(row.get("positive") or ()), tuple(row.get("negative") or ()))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
