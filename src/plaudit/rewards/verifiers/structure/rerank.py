"""Reranking: the order that an answer puts candidates in, by normalised discounted cumulative gain, and its format.

Differs from the paper: its weights are not published; here the order alone counts unless `format_weight` is raised. An
answer that is no permutation of the candidates is the candidate's fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.json_text import Malformed
from plaudit.rewards.verifiers.structure.listing import identifiers, region
from plaudit.rewards.verifiers.text.answers import tagged
from plaudit.rewards.verifiers.text.words import clip

_WANTED = 'give {"candidates": [ids], "relevant": [ids] or {id: gain}}'


def dcg(gains: Sequence[float]) -> float:
    """Discounted cumulative gain: `sum_i g_i / log2(i + 1)`, i from 1."""
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def ndcg(gains: Sequence[float], ideal: Sequence[float], *, k: int = 0) -> float:
    """DCG of an order over that of the best one, over the first k ranks.

    Args:
        gains: of the items in the order given, at least 0.
        ideal: of all items that could have been given.
        k: ranks that count; 0 for all.

    Returns:
        A value in [0, 1]; 0 where no item has a gain.

    Source: Jarvelin and Kekalainen 2002, "Cumulated Gain-Based Evaluation of IR Techniques", linear gains.
    """
    top = k or max(len(gains), len(ideal))
    best = dcg(sorted(ideal, reverse=True)[:top])
    return min(1.0, dcg(gains[:top]) / best) if best > 0.0 else 0.0


def reciprocal_recall(gains: Sequence[float], *, k: int = 0) -> float:
    """Recall weighted by reciprocal ranks: `sum_{relevant} 1/rank / sum_{j <= relevant} 1/j`, over the first k ranks.

    Args:
        gains: of the items in order; those above 0 are relevant.
        k: ranks that count; 0 for all.

    Returns:
        A value in [0, 1]; 0 where nothing is relevant.
    """
    relevant = sum(gain > 0.0 for gain in gains)
    top = k or len(gains)
    best = sum(1.0 / rank for rank in range(1, min(relevant, top) + 1))
    found = sum(1.0 / rank for rank, gain in enumerate(gains[:top], start=1) if gain > 0.0)
    return found / best if best > 0.0 else 0.0


@dataclass(frozen=True)
class RerankVerifier(Verifier):
    """How good the order is that an answer puts the candidates in.

    `R = rank_weight * NDCG@k + format_weight * format`, where format is the mean of four facts: the answer thinks in
    tags, answers in tags, gives a permutation, and its thinking names every candidate.

    The reference is `{"candidates": [ids], "relevant": [ids] or {id: gain}}`; the answer lists all ids, best first:
    `2 > 1 > 3`, `[2] > [1] > [3]`, JSON, commas or lines.

    Source: Xu et al. 2025, "MM-R5: MultiModal Reasoning-Enhanced ReRanker via Reinforcement Learning".
    """

    kind: ClassVar[str] = "verify/rerank"

    k: int = 0
    """Ranks that count; 0 for all."""
    score: str = "ndcg"
    """ndcg, or reciprocal: recall weighted by reciprocal ranks."""
    rank_weight: float = 1.0
    """Weight of the order."""
    format_weight: float = 0.0
    """Weight of the format."""

    def __post_init__(self) -> None:
        if self.k < 0 or self.score not in ("ndcg", "reciprocal"):
            raise InputError(f"{self.kind}: k is {self.k} and score {self.score!r}; give ranks and ndcg or reciprocal")
        weights = (self.rank_weight, self.format_weight)
        if not all(0.0 <= w < math.inf for w in weights) or self.rank_weight == 0.0:
            raise InputError(
                f"{self.kind}: rank_weight and format_weight are {weights}; give finite ones, the first above 0"
            )

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """From 0 to the sum of the weights."""
        return 0.0, self.rank_weight + self.format_weight

    def verdict(self, sample: Sample) -> Verdict:
        """Parses the order and discounts its gains."""
        gains = _gains(sample.reference)
        found = region(sample.text)
        if found.reason:
            return Verdict.fault(found.reason)
        try:
            order = identifiers(found.text)
        except Malformed as error:
            return Verdict.fault(str(error))
        if sorted(order) != sorted(gains):
            reason = _no_permutation(order, gains)
            return Verdict.fault(reason, extracted=[clip(x, 40) for x in order[:20]])
        ranked = [gains[x] for x in order]
        quality = reciprocal_recall(ranked, k=self.k) if self.score == "reciprocal" else ndcg(ranked, ranked, k=self.k)
        form = format_share(sample.text, order)
        return Verdict.scored(
            self.rank_weight * quality + self.format_weight * form, aspects={self.score: quality, "format": form},
            extracted=order[:50], first=order[0],
        )  # fmt: skip

    def honest(self) -> Sequence[Sample]:
        """The best order, with every candidate discussed."""
        known = {"candidates": ["a1", "b2", "c3", "d4"], "relevant": {"c3": 2, "a1": 1}}
        text = "<think>c3 answers it, a1 in part, b2 and d4 do not.</think><answer>c3 > a1 > b2 > d4</answer>"
        other = '<think>3 has it; 1 and 2 have not.</think><answer>["3", "1", "2"]</answer>'
        return (
            case("Order them.", text, known),
            case("Order them.", other, {"candidates": [1, 2, 3], "relevant": [3]}),
        )

    def twins(self) -> Sequence[Twin]:
        """Missing, repeated and invented candidates, two orders, look-alikes and floods."""
        known = {"candidates": ["a1", "b2", "c3", "d4"], "relevant": {"c3": 2, "a1": 1}}
        attacks = (
            ("every candidate listed", "c3 > a1 > b2 > d4 > c3 > a1"),
            ("missing candidates", "c3 > a1"),
            ("repeated candidate", "c3 > c3 > a1 > b2 > d4"),
            ("invented candidate", "c3 > a1 > b2 > e5"),
            ("contradiction", "<answer>c3 > a1 > b2 > d4</answer><answer>d4 > b2 > a1 > c3</answer>"),
            ("look-alike letters", "\u04413 > \u04301 > b2 > d4"),
            ("keyword stuffing", "c3 a1 b2 d4 relevant best first"),
            ("over-long answer", "c3 > " * 40_000),
        )
        return tuple(Twin(name, case("Order them.", text, known)) for name, text in attacks)


def format_share(text: str, candidates: Sequence[str]) -> float:
    """The share of four facts: it thinks in tags, answers in tags, names each candidate, and gives a permutation."""
    thinking, closed, _ = text.partition("</think>")
    thought = thinking.partition("<think>")[2] if closed and "<think>" in thinking else ""
    named = set(re.findall(r"[\w.:-]+", thought)) | set(re.findall(r"\w+", thought))
    discussed = all(c in named or (not c.isalnum() and c in thought) for c in candidates)
    return (bool(thought.strip()) + (len(tagged(text)) == 1) + 1.0 + (bool(thought) and discussed)) / 4.0


def _no_permutation(order: Sequence[str], gains: Mapping[str, float]) -> str:
    unknown = [x for x in order if x not in gains]
    if unknown:
        return f"no permutation: {clip(unknown[0], 40)!r} is no candidate"
    missing = [x for x in gains if x not in set(order)]
    return f"no permutation: {missing[0]!r} is missing" if missing else "no permutation: a candidate stands twice"


def _gains(reference: Any) -> dict[str, float]:
    candidates = reference.get("candidates") if isinstance(reference, Mapping) else None
    relevant = reference.get("relevant") if isinstance(reference, Mapping) else None
    if not isinstance(candidates, list | tuple) or not candidates or not isinstance(relevant, list | tuple | Mapping):
        raise InputError(f"reference is {reference!r:.80}; {_WANTED}")
    graded = relevant if isinstance(relevant, Mapping) else dict.fromkeys(map(str, relevant), 1.0)
    gains = {str(c): 0.0 for c in candidates}
    for key, gain in graded.items():
        legal = isinstance(gain, int | float) and not isinstance(gain, bool) and 0.0 <= gain < 1e300
        if str(key) not in gains or not legal:
            raise InputError(
                f"reference has relevant {key!r:.40}: {gain!r:.40}; {_WANTED}, gains finite and at least 0"
            )
        gains[str(key)] = float(gain)
    if len(gains) != len(candidates) or not any(gains.values()):
        raise InputError(f"reference is {reference!r:.80}; {_WANTED}, different candidates of which one is relevant")
    return gains
