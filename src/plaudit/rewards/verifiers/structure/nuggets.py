"""Nuggets as rubric: the weighted share of atomic facts that an answer supports.

Differs from the paper: there a trained verifier labels each nugget; here the labels come with the row, or words decide
(see `text.support_words`: same words, same order, same numbers and negation, within two sentences). An answer that
states a nugget and denies it, or gives it with another number as well, supports it not at all. `labels_reward` is the
reward by which the paper trains its verifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import after_thinking
from plaudit.rewards.verifiers.text.support_words import best_support, contradicts, windows
from plaudit.rewards.verifiers.text.words import blank, clip, content_words, sentences

VALUES = {"support": 1.0, "partial_support": 0.5, "not_support": 0.0}
"""What each label is worth."""
IMPORTANCE = {"vital": 1.0, "okay": 0.5}
"""What each importance weighs."""
_NEIGHBOURS = 0.5  # a sentence keeps words together that a bag of keywords scatters
MOST_SENTENCES = 400
"""Sentences that an answer may have."""


def rubric_score(labels: Sequence[str], weights: Sequence[float], *, strict: bool = False) -> float:
    """`sum w_i v_i / sum w_i` with v = 1, 0.5, 0 for support, partial support and none; strict: 1, 0, 0.

    Args:
        labels: keys of `VALUES`, (n,).
        weights: at least 0, with a sum above 0, (n,).
        strict: whether partial support counts nothing.

    Returns:
        A value in [0, 1], whatever the order of the nuggets.

    Source: "Search-Gen-V" 2025, nugget rubrics for search-augmented models.
    """
    values = [float(label == "support") if strict else VALUES[label] for label in labels]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def labels_reward(
    predicted: Sequence[str], gold: Sequence[str], *, reasoning: float = 1.0, form: float = 1.0, repeated: bool = False
) -> float:
    """The reward of a verifier that labels nuggets.

    `0.35 F1 + 0.35 exact + 0.2 reasoning + 0.1 form`, times 0.1 if its reasoning is repeated; 0 where the number of
    labels is wrong or F1 is 0. F1 is the mean over the three labels, where one that neither side uses counts 1.

    Args:
        predicted: labels, (n,).
        gold: labels, (m,).
        reasoning: format of the reasoning: 0, 0.5 or 1.
        form: format of the output: 0 or 1.
        repeated: whether the reasoning stands there twice.

    Returns:
        A value in [0, 1].
    """
    if len(predicted) != len(gold) or not gold:
        return 0.0
    f1 = sum(_label_f1(predicted, gold, label) for label in VALUES) / len(VALUES)
    if not any(p == g for p, g in zip(predicted, gold, strict=True)):
        return 0.0
    total = 0.35 * f1 + 0.35 * (list(predicted) == list(gold)) + 0.2 * reasoning + 0.1 * form
    return total * (0.1 if repeated else 1.0)


def _label_f1(predicted: Sequence[str], gold: Sequence[str], label: str) -> float:
    hits = sum(p == g == label for p, g in zip(predicted, gold, strict=True))
    both = sum(p == label for p in predicted) + sum(g == label for g in gold)
    return 2.0 * hits / both if both else 1.0


@dataclass(frozen=True)
class NuggetsVerifier(Verifier):
    """The weighted share of the row's nuggets that the answer supports.

    The reference is a list of nuggets or `{"nuggets": [...]}`; a nugget is a text or an object with `text` and perhaps
    `weight` or `importance` (vital 1, okay 0.5). Where `labels` stand beside the nuggets they are taken, else words
    decide.
    """

    kind: ClassVar[str] = "verify/nuggets"

    strict: bool = False
    """Whether partial support counts nothing."""
    support: float = 0.8
    """Share of a nugget's words, in order, from which on it is supported."""
    partial: float = 0.5
    """Share from which on it is supported in part."""

    def __post_init__(self) -> None:
        if not 0.0 < self.partial <= self.support <= 1.0:
            raise InputError(
                f"{self.kind}: partial is {self.partial} and support {self.support}; give 0 < partial <= support <= 1"
            )

    def verdict(self, sample: Sample) -> Verdict:
        """Labels each nugget and weighs the labels."""
        nuggets, weights, labels = _rubric(sample.reference)
        text = after_thinking(sample.text)
        if blank(text):
            return Verdict.fault("empty answer")
        if labels is None:
            count = len(sentences(text))
            if count > MOST_SENTENCES:
                return Verdict.fault(f"more than {MOST_SENTENCES} sentences", sentences=count)
            passages = windows(text)
            labels = [self._label(content_words(nugget), passages) for nugget in nuggets]
        shown = [{"nugget": clip(n, 80), "label": v} for n, v in zip(nuggets[:50], labels, strict=False)]
        return Verdict.scored(rubric_score(labels, weights, strict=self.strict), nuggets=shown)

    def _label(self, nugget: Sequence[str], passages: Sequence[Sequence[str]]) -> str:
        share = best_support(nugget, passages, neighbours=_NEIGHBOURS)
        if share < self.partial or any(contradicts(nugget, p, enough=self.support) for p in passages):
            return "not_support"
        return "support" if share >= self.support else "partial_support"

    def honest(self) -> Sequence[Sample]:
        """Every nugget in words like its own."""
        text = (
            "The bridge was opened in 1932 after eight years of work. It carries eight lanes of traffic. "
            "Ferries did not stop when it opened."
        )
        return (case("Tell me about the bridge.", text, {"nuggets": _NUGGETS}),)

    def twins(self) -> Sequence[Twin]:
        """Bags of keywords, both of two contradictory statements, denials, look-alikes and floods."""
        asked = {"nuggets": _NUGGETS}
        right = "The bridge was opened in 1932. It carries eight lanes of traffic. Ferries did not stop."
        attacks = (
            ("keyword stuffing", "1932 bridge eight ferries lanes not opened stop traffic carries", 0.0),
            ("contradiction", "The bridge was opened in 1932. The bridge was opened in 1931.", 0.0),
            ("contradiction", "The bridge was not opened in 1932. The bridge was opened in 1932.", 0.0),
            ("every candidate listed", " ".join(f"The bridge was opened in {y}." for y in range(1900, 1990)), 0.0),
            ("turned round", "Ferries did stop.", 0.0),
            ("look-alike letters", right.translate(str.maketrans("aeo", "\u0430\u0435\u043e")), 0.4),
            ("over-long answer", right * 2_000, 0.0),
        )
        return tuple(Twin(name, case("Tell me about the bridge.", text, asked), most) for name, text, most in attacks)


_NUGGETS: list[Any] = [
    {"text": "bridge opened in 1932", "importance": "vital"},
    {"text": "carries eight lanes of traffic", "importance": "okay"},
    {"text": "ferries did not stop", "weight": 1.0},
]


def _rubric(reference: Any) -> tuple[list[str], list[float], list[str] | None]:
    given = reference.get("nuggets") if isinstance(reference, Mapping) else reference
    if not isinstance(given, list | tuple) or not given:
        raise InputError(
            f'reference is {reference!r:.80}; give a list of nuggets, or {{"nuggets": [...], "labels": [...]}}'
        )
    texts, weights, own = [], [], []
    for nugget in given:
        entry = nugget if isinstance(nugget, Mapping) else {"text": nugget}
        text, weight = entry.get("text"), entry.get("weight", IMPORTANCE.get(str(entry.get("importance", "vital"))))
        number = isinstance(weight, int | float) and not isinstance(weight, bool) and 0.0 <= weight < 1e300
        if not isinstance(text, str) or blank(text) or not number:
            raise InputError(f"reference has the nugget {nugget!r:.80}; give a text, with a weight, or vital or okay")
        texts.append(text)
        weights.append(float(weight or 0.0))
        own.append(entry.get("label"))
    labels = reference.get("labels") if isinstance(reference, Mapping) else None
    labels = labels if labels is not None else own if any(own) else None
    if labels is not None and (len(labels) != len(texts) or any(label not in VALUES for label in labels)):
        raise InputError(f"reference has labels {labels!r:.80}; give one of {', '.join(VALUES)} for each nugget")
    if not any(weights):
        raise InputError("reference has nuggets that all weigh 0; give one of them a weight")
    return texts, weights, None if labels is None else list(labels)
