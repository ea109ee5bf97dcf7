"""Ranked lists of answers: the earlier the right one stands, the more the list is worth.

Differs from the paper: an item is right where it equals a gold answer after normalisation; a judge of equivalence is
left to aliases in the reference. Items beyond `most` make the list the candidate's fault, and `penalty` takes a share
for each item beyond the number of golds: both against lists that hold everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.structure.json_text import Malformed
from plaudit.rewards.verifiers.structure.listing import ordered_items, region
from plaudit.rewards.verifiers.text.answers import golds
from plaudit.rewards.verifiers.text.words import clip, normalised_or_literal


def gold_ranks(items: Sequence[str], gold: Sequence[Sequence[str]]) -> list[int | None]:
    """The rank of each gold answer among the different items, from 1; None where it is absent.

    Args:
        items: normalised, in order; what is repeated counts once, at its first place.
        gold: for each gold answer the normalised texts that name it.
    """
    places = {item: rank for rank, item in enumerate(dict.fromkeys(items), start=1)}
    found = [[places[name] for name in names if name in places] for names in gold]
    return [min(ranks) if ranks else None for ranks in found]


def list_reward(ranks: Sequence[int | None], score: str = "mrr") -> float:
    """What the ranks of the gold answers are worth.

    `mrr`: 1 over the best rank; `in`: 1 if any is there; `recall`: the share that is there.

    Args:
        ranks: from 1, None where absent; at least one.
        score: one of the three.

    Returns:
        A value in [0, 1].

    Source: "Single Answer is Not Enough" 2025, rewards for ranked lists.
    """
    present = [rank for rank in ranks if rank is not None]
    if not present:
        return 0.0
    return {"mrr": 1.0 / min(present), "in": 1.0, "recall": len(present) / len(ranks)}[score]


@dataclass(frozen=True)
class RankedListVerifier(Verifier):
    """What a ranked list of answers is worth, by the rank of the gold answer.

    The reference is the gold answer, a list of them (with `mrr` and `in` any of them will do), or a mapping of gold
    answer to its aliases. The list is numbered, bulleted, JSON, or a line each, inside `<answer>` where there is one.
    """

    kind: ClassVar[str] = "verify/ranked-list"

    score: str = "mrr"
    """mrr: 1 over the best rank; in: whether a gold answer is there; recall: the share of them that is."""
    most: int = 10
    """Different items that a list may have."""
    penalty: float = 0.0
    """Share of the reward that each item beyond the number of golds costs, in [0, 1]."""

    def __post_init__(self) -> None:
        if self.score not in ("mrr", "in", "recall"):
            raise InputError(f"{self.kind}: score is {self.score!r}; give mrr, in or recall")
        if self.most < 1 or not 0.0 <= self.penalty <= 1.0:
            raise InputError(
                f"{self.kind}: most is {self.most} and penalty {self.penalty}; give at least 1 item and a share"
            )

    def verdict(self, sample: Sample) -> Verdict:
        """Parses the list and finds the golds in it."""
        gold = _golds(sample.reference)
        found = region(sample.text)
        if found.reason:
            return Verdict.fault(found.reason)
        try:
            items = ordered_items(found.text)
        except Malformed as error:
            return Verdict.fault(str(error))
        distinct = list(dict.fromkeys(normalised_or_literal(item) for item in items))
        if not distinct or len(distinct) > self.most:
            return Verdict.fault(f"a list of {len(distinct)} items; it may have 1 to {self.most}")
        ranks = gold_ranks(distinct, gold)
        kept = max(0.0, 1.0 - self.penalty * max(0, len(distinct) - len(gold)))
        return Verdict.scored(
            kept * list_reward(ranks, self.score), extracted=[clip(item, 60) for item in items[:20]], ranks=ranks,
            items=len(distinct),
        )  # fmt: skip

    def honest(self) -> Sequence[Sample]:
        """The gold answer first, alone where longer lists cost something."""
        longer = "" if self.penalty else "\n2. Influenza\n3. Asthma"
        return (
            case("Which disease?", f"<think>Cough.</think><answer>1. Pneumonia{longer}</answer>", "pneumonia"),
            case("Which disease?", "- lung infection", {"Pneumonia": ["infection of the lung", "lung infection"]}),
        )

    def twins(self) -> Sequence[Twin]:
        """Lists of everything, items that hold several answers, repetitions and look-alikes."""
        many = "\n".join(f"{i}. Disease {i}" for i in range(1, 60)) + "\n60. Pneumonia"
        last = "\n".join([*(f"{i}. Disease {i}" for i in range(1, self.most)), f"{self.most}. Pneumonia"])
        attacks = [
            ("every candidate listed", many, 0.0),
            ("every candidate listed", "1. Influenza, Pneumonia, Asthma", 0.0),
            ("contradiction", "<answer>1. Pneumonia</answer><answer>1. Asthma</answer>", 0.0),
            ("look-alike letters", "1. Pneum\u043enia", 0.0),
            ("keyword stuffing", "1. Pneumonia Pneumonia\n2. pneumonia-like disease", 0.0),
            ("over-long answer", "1. Pneumonia or something else " * 8_000, 0.0),
        ]
        if self.score == "mrr" and self.most > 1:
            attacks.append(("every candidate listed", last, 1.0 / self.most))
            attacks.append(("repetition", "1. Asthma\n2. Asthma\n3. Pneumonia", 0.5))
        return tuple(Twin(name, case("Which disease?", text, "pneumonia"), most) for name, text, most in attacks)


def _golds(reference: Any) -> list[list[str]]:
    if isinstance(reference, Mapping):
        named = [[str(key), *golds(list(names))] if names else golds(str(key)) for key, names in reference.items()
                 if isinstance(names, list | tuple)]  # fmt: skip
        if not named or len(named) != len(reference):
            raise InputError(f"reference is {reference!r:.80}; give the gold answer, a list, or answer to aliases")
    else:
        named = [[g] for g in golds(reference)]
    return [[normalised_or_literal(name) for name in names] for names in named]
