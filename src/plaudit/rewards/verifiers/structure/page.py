"""A page of items against what users did with them: a reward for the whole page, and one for each item's place.

Differs from the paper: PageLLM learns both rewards from contrastive pages (shuffled, thinned, with duplicates, two
items swapped); here they are computed from the logged engagement itself, so that each of those contrasts comes out as
it should without training. Its weights are not published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.json_text import Malformed
from plaudit.rewards.verifiers.structure.listing import identifiers, region
from plaudit.rewards.verifiers.structure.rerank import ndcg
from plaudit.rewards.verifiers.text.words import clip

_WANTED = 'give {"items": {id: engagement}, "length": places, "topics": {id: topic}}, the last two optional'


@dataclass(frozen=True)
class Log:
    """What users did with the items that a page may show.

    Attributes:
        gains: engagement of each item, at least 0, one of them above.
        length: places of a page.
        topics: of each item; empty where none are known.
    """

    gains: Mapping[str, float]
    length: int
    topics: Mapping[str, str]

    def best(self) -> list[str]:
        """The items of the best page by engagement, most engaging first."""
        return sorted(self.gains, key=lambda x: -self.gains[x])[: self.length]


def page_reward(page: Sequence[str], log: Log) -> dict[str, float]:
    """The whole page: `relevance * (ranking + diversity + distinct) / 3`, and its parts.

    Relevance: engagement shown over the most that a page can show. Ranking: NDCG of the page; what is unknown or shown
    again gains nothing. Diversity: topics shown over those of the best page, at most 1. Distinct: share of the shown
    places that hold a known item for the first time.

    Args:
        page: items in order, at least one.
        log: what users did.

    Returns:
        `page` and its four parts, each in [0, 1].

    Source: Wang et al. 2025, "Enhanced Whole Page Optimization via Mixed-Grained Reward Mechanism" (PageLLM).
    """
    gains, best = _first_gains(page, log), log.best()
    shown = [x for x in dict.fromkeys(page) if x in log.gains]
    relevance = sum(gains) / sum(log.gains[x] for x in best)
    ranking = ndcg(gains, list(log.gains.values()), k=log.length)
    topics = {log.topics[x] for x in shown if x in log.topics}
    wanted = {log.topics[x] for x in best if x in log.topics}
    diversity = min(1.0, len(topics) / len(wanted)) if wanted else 1.0
    distinct = len(shown) / len(page)
    whole = relevance * (ranking + diversity + distinct) / 3.0
    return {"page": whole, "relevance": relevance, "ranking": ranking, "diversity": diversity, "distinct": distinct}


def item_rewards(page: Sequence[str], log: Log) -> list[float]:
    """A reward for each place: the item's engagement, times the share of other places that stand on its right side.

    `r_j = g_j * mean_k 1[k above and g_k >= g_j, or k below and g_k <= g_j]`: it changes only where places change.

    Args:
        page: items in order.
        log: what users did.
    """
    gains = _first_gains(page, log)
    rewards = []
    for j, gain in enumerate(gains):
        right = sum(g >= gain for g in gains[:j]) + sum(g <= gain for g in gains[j + 1 :])
        rewards.append(gain * (right / (len(gains) - 1) if len(gains) > 1 else 1.0))
    return rewards


def _first_gains(page: Sequence[str], log: Log) -> list[float]:
    """The engagement of each place; 0 where its item is unknown or stood above already."""
    seen: set[str] = set()
    gains = []
    for x in page:
        gains.append(0.0 if x in seen else log.gains.get(x, 0.0))
        seen.add(x)
    return gains


@dataclass(frozen=True)
class PageVerifier(Verifier):
    """`R = (w_p r_page + w_i r_items) / (w_p + w_i)`, with `r_items = sum_j r_j` over the best page's engagement.

    The reference is `{"items": {id: engagement}}` with an optional `length` (as many places as items by default) and
    `topics`; the answer lists ids, first place first.
    """

    kind: ClassVar[str] = "verify/page"

    page_weight: float = 0.5
    """Weight of the whole page."""
    item_weight: float = 0.5
    """Weight of the items' places."""

    def __post_init__(self) -> None:
        weights = (self.page_weight, self.item_weight)
        if not all(0.0 <= w < math.inf for w in weights) or sum(weights) == 0.0:
            raise InputError(f"{self.kind}: page_weight and item_weight are {weights}; give finite ones, not both 0")

    def verdict(self, sample: Sample) -> Verdict:
        """Parses the page and scores it."""
        log = _log(sample.reference)
        found = region(sample.text)
        if found.reason:
            return Verdict.fault(found.reason)
        try:
            page = identifiers(found.text)
        except Malformed as error:
            return Verdict.fault(str(error))
        if not 1 <= len(page) <= log.length:
            return Verdict.fault(f"a page of {len(page)} items; it has {log.length} places")
        parts = page_reward(page, log)
        items = min(1.0, sum(item_rewards(page, log)) / sum(log.gains[x] for x in log.best()))
        total = (self.page_weight * parts["page"] + self.item_weight * items) / (self.page_weight + self.item_weight)
        unknown = [clip(x, 40) for x in page if x not in log.gains]
        return Verdict.scored(
            min(1.0, total), aspects={**parts, "items": items}, extracted=[clip(x, 40) for x in page[:50]],
            unknown=unknown[:20],
        )  # fmt: skip

    def honest(self) -> Sequence[Sample]:
        """The page that users engage with most, in order."""
        return (
            case("Make the page.", "<answer>news, music, maps</answer>", _ENGAGED),
            case("Make the page.", '["x"]', {"items": {"x": 1}}),
        )

    def twins(self) -> Sequence[Twin]:
        """Everything shown, one item over and over, invented items, the order turned round."""
        attacks = (
            ("every candidate listed", "news, music, maps, games, mail", 0.0),
            ("repetition", "news, news, news", 0.6),
            ("invented items", "gold, silver, bronze", 0.0),
            ("turned round", "maps, music, news", 0.95),
            ("contradiction", "<answer>news, music, maps</answer><answer>mail</answer>", 0.0),
            ("look-alike letters", "n\u0435ws, mus\u0456c, m\u0430ps", 0.0),
            ("keyword stuffing", "news music maps", 0.0),
            ("over-long answer", "news, " * 40_000, 0.0),
        )
        return tuple(Twin(name, case("Make the page.", text, _ENGAGED), most) for name, text, most in attacks)


_ENGAGED: dict[str, Any] = {
    "items": {"news": 0.9, "music": 0.6, "maps": 0.3, "games": 0.0, "mail": 0.1},
    "length": 3,
    "topics": {"news": "reading", "music": "leisure", "maps": "travel", "games": "leisure", "mail": "reading"},
}


def _log(reference: Any) -> Log:
    items = reference.get("items") if isinstance(reference, Mapping) else None
    if not isinstance(items, Mapping) or not items:
        raise InputError(f"reference is {reference!r:.80}; {_WANTED}")
    legal = all(isinstance(g, int | float) and not isinstance(g, bool) and 0 <= g < 1e300 for g in items.values())
    length, topics = reference.get("length", len(items)), reference.get("topics") or {}
    whole = isinstance(length, int) and not isinstance(length, bool) and length >= 1
    if not legal or not any(items.values()) or not whole or not isinstance(topics, Mapping):
        raise InputError(
            f"reference is {reference!r:.80}; {_WANTED}, engagement finite and at least 0, one item above 0"
        )
    named = {str(k): str(v) for k, v in topics.items()}
    return Log({str(k): float(v) for k, v in items.items()}, min(length, len(items)), named)
