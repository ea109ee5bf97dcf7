"""Preference pairs from what people do: who was shown what, and who made something of it [69].

Differs from the paper: which gives no thresholds; a user counts once an item however often they come back, the maker of
an item counts neither as a viewer nor as a user of it, and whoever reused an item was shown it, logged or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from plaudit.errors import InputError
from plaudit.records.rows import Pair
from plaudit.records.sample import conversation
from plaudit.training.objectives.ratings.community import community_pairs

ACTIONS = ("made", "shown", "reused")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a user did.

    Attributes:
        prompt: what the item answers.
        item: the completion.
        user: who.
        action: `made` the item, was `shown` it, or `reused` it.
    """

    prompt: str
    item: str
    user: str
    action: Literal["made", "shown", "reused"]

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InputError(
                f"community: action {self.action!r} of {self.user!r} is not known; give {', '.join(ACTIONS)}"
            )


@dataclass(frozen=True, slots=True)
class Reception:
    """How a prompt's item was received, its makers left out.

    Attributes:
        prompt: what the item answers.
        item: the completion.
        exposures: users who were shown it.
        reuses: users of them who reused it.
    """

    prompt: str
    item: str
    exposures: int
    reuses: int

    @property
    def rate(self) -> float:
        """Reuses an exposure; 0 where it was never shown."""
        return self.reuses / self.exposures if self.exposures else 0.0


def receptions(events: Iterable[Event]) -> list[Reception]:
    """The reception of each item of each prompt, in the order in which they first appear; users count once.

    Args:
        events: in any order; an item that was made later than it was shown is its maker's all the same.

    Source: Isajanyan et al. 2024, "Social Reward", data collection [69].
    """
    users: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: {action: set() for action in ACTIONS})
    for event in events:
        users[event.prompt, event.item][event.action].add(event.user)
    return [
        Reception(
            prompt, item, len((by["shown"] | by["reused"]) - by["made"]), len(by["reused"] - by["made"])
        )
        for (prompt, item), by in users.items()
    ]  # fmt: skip


def reception_pairs(
    received: Sequence[Reception], *, min_exposure: int = 20, min_rate: float = 0.1, max_rate: float = 0.01
) -> list[Pair]:
    """Pairs of one prompt: an item that many reuse before one that was shown and passed over.

    Args:
        received: from `receptions`.
        min_exposure: users who must have been shown an item before it counts.
        min_rate: of the better one, in (0, 1].
        max_rate: of the other, in [0, min_rate): the gap between the two is the popularity gap.

    Returns:
        Pairs whose `meta` has `chosen_rate` and `rejected_rate`, and a `weight` that adds up to 1 a prompt.

    Raises:
        InputError: if a threshold is outside its range.

    Source: Isajanyan et al. 2024, "Social Reward", data collection [69].
    """
    numbers = {prompt: i for i, prompt in enumerate(dict.fromkeys(r.prompt for r in received))}
    pairs, weights = community_pairs(
        torch.tensor([r.reuses for r in received], dtype=torch.long),
        torch.tensor([r.exposures for r in received], dtype=torch.long),
        torch.tensor([numbers[r.prompt] for r in received], dtype=torch.long),
        min_exposure=min_exposure, min_rate=min_rate, max_rate=max_rate,
    )  # fmt: skip
    found = []
    for (a, b), weight in zip(pairs.tolist(), weights.tolist(), strict=True):
        better, worse = received[a], received[b]
        meta = {"chosen_rate": better.rate, "rejected_rate": worse.rate, "weight": weight}
        found.append(Pair(conversation(better.prompt), better.item, worse.item, meta=meta))
    return found
