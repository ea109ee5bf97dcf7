"""Citations that exist and support their claim.

Differs from the paper: Side retrieves passages and ranks them with trained models; here the sources come with the row,
support is judged by words (see `support_words`) unless an entailment model is named, and a claim's score is the share
of its citations that hold, so that citing everything does not pay. `contrast` gives the paper's margin over the other
sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.verdicts import Verdict
from plaudit.rewards.verifiers.base import Twin, Verifier, case
from plaudit.rewards.verifiers.text.answers import after_thinking
from plaudit.rewards.verifiers.text.citing import Claim, claims, sources
from plaudit.rewards.verifiers.text.support_words import best_support, windows
from plaudit.rewards.verifiers.text.words import blank, clip, content_words

if TYPE_CHECKING:
    from plaudit.rewards.verifiers.text.entailment import Entailment

MOST_CLAIMS = 400
"""Sentences that an answer may have."""
MOST_WORDS = 150
"""Content words that a claim may have; a longer one is supported by nothing."""


def contrast(scores: Mapping[str, float], cited: Sequence[str]) -> float:
    """How far the sources that a claim cites stand above the best of the others.

    `mean_cited s - max_other s`, each s the largest over a source's passages; with one citation it is the paper's.

    Args:
        scores: support of the claim by each source, in [0, 1].
        cited: the sources that it cites; those that do not exist support nothing.

    Returns:
        A value in [-1, 1]; the other side counts 0 where there is no other source.

    Source: Petroni et al. 2023, "Improving Wikipedia Verifiability with AI" (Side).
    """
    inside = sum(scores.get(c, 0.0) for c in cited) / len(cited) if cited else 0.0
    return inside - max((s for source, s in scores.items() if source not in cited), default=0.0)


@dataclass(frozen=True)
class CitationsVerifier(Verifier):
    """The mean over an answer's sentences of the share of their citations that exist and support them.

    The reference holds the sources: a list of texts (cited as `[1]`, `[2]`, ...) or a mapping of mark to text. A
    sentence that cites nothing that exists scores the floor, and one that cites nothing at all is left out with
    `uncited=ignore`.
    """

    kind: ClassVar[str] = "verify/citations"

    threshold: float = 0.7
    """Support, in [0, 1], from which on a source counts as supporting a claim."""
    uncited: str = "count"
    """count: a sentence that cites nothing is unsupported; ignore: only sentences that cite are looked at."""
    contrast: bool = False
    """Whether a claim scores its margin over the best source that it does not cite, in [-1, 1]."""
    model: str = ""
    """Folder or hub id of an entailment model; empty for the lexical test."""

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise InputError(f"{self.kind}: threshold is {self.threshold}; give a share, more than 0 and at most 1")
        if self.uncited not in ("count", "ignore"):
            raise InputError(f"{self.kind}: uncited is {self.uncited!r}; give count or ignore")

    def options(self) -> dict[str, Any]:
        """The options, with the hash of the model in place of its path: rewards depend on its weights."""
        found = super().options()
        if self.model:
            from plaudit.rewards.verifiers.text.entailment import load_entailment

            found["model"] = load_entailment(self.model).digest
        return found

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """[0, 1]; [-1, 1] with contrast."""
        return (-1.0, 1.0) if self.contrast else (0.0, 1.0)

    def verdict(self, sample: Sample) -> Verdict:
        """Splits the answer into claims and looks each up in what it cites."""
        texts = sources(sample.reference)
        text = after_thinking(sample.text)
        if blank(text):
            return Verdict.fault("empty answer")
        if text.count("[") > 10 * MOST_CLAIMS:
            return Verdict.fault(f"more than {10 * MOST_CLAIMS} brackets")
        found = claims(text, texts)
        if len(found) > MOST_CLAIMS:
            return Verdict.fault(f"more than {MOST_CLAIMS} sentences", sentences=len(found))
        if not any(c.cited for c in found):
            return Verdict.fault("cites nothing", sentences=len(found))
        judged = [c for c in found if c.cited or self.uncited == "count"]
        supported = self._judge(texts)
        parts = [self._claim(c, supported, texts) for c in judged]
        reward = sum(p["score"] for p in parts) / len(parts)
        existing = [mark in texts for c in judged for mark in c.cited]
        return Verdict.scored(
            reward, aspects={"existing": sum(existing) / len(existing)}, claims=parts[:50], sentences=len(found)
        )

    def _claim(self, claim: Claim, supported: Any, texts: Mapping[str, str]) -> dict[str, Any]:
        wanted = texts if self.contrast else [mark for mark in claim.cited if mark in texts]
        scores = {mark: supported(claim.text, mark) for mark in wanted}
        cited = {mark: round(scores.get(mark, 0.0), 4) for mark in claim.cited}
        if self.contrast:
            exists = any(mark in texts for mark in claim.cited)
            score = contrast(scores, claim.cited) if exists else self.bounds[0]
        else:
            holds = [scores.get(mark, 0.0) >= self.threshold for mark in claim.cited]
            score = sum(holds) / len(holds) if holds else 0.0
        return {
            "claim": clip(claim.text, 120), "cited": {clip(m, 40): s for m, s in list(cited.items())[:20]},
            "missing": [clip(m, 40) for m in claim.cited if m not in texts][:20], "score": score,
        }  # fmt: skip

    def _judge(self, texts: Mapping[str, str]) -> Any:
        """A function of claim and mark; a source is cut into passages once a row."""
        if self.model:
            from plaudit.rewards.verifiers.text.entailment import load_entailment

            return partial(_entailed, load_entailment(self.model), texts)
        passages: dict[str, list[list[str]]] = {}

        def lexical(claim: str, mark: str) -> float:
            if mark not in passages:
                passages[mark] = windows(texts[mark])
            words = content_words(claim)
            return 0.0 if len(words) > MOST_WORDS else best_support(words, passages[mark])

        return lexical

    def honest(self) -> Sequence[Sample]:
        """Claims in the order of their sources' words; none for a model, whose judgement is its own."""
        if self.model:
            return ()
        known = [
            "The bridge was opened in 1932. It carries eight lanes of traffic across the harbour.",
            "The ferry service did not stop then; it still runs every twenty minutes.",
        ]
        text = "The bridge was opened in 1932 [1]. The ferry service did not stop. [2]"
        return (
            case("Tell me about the bridge.", text, known),
            case("And the traffic?", "It carries eight lanes of traffic [b].", {"a": known[1], "b": known[0]}),
        )

    def twins(self) -> Sequence[Twin]:
        """Marks without claims, claims without truth, everything cited, and floods."""
        known = ["Brazil beat France in the final of 1998 by three goals.", "France never lost at home that year."]
        floor = self.bounds[0]
        attacks: tuple[tuple[str, str, float], ...] = (
            ("format alone", "[1] [2]", 0.0),
            ("every candidate listed", "Brazil beat France in the final of 1998 by three goals [1][2][3][4].", 0.25),
            ("contradiction", "Brazil did not beat France in the final of 1998 by three goals [1].", 0.0),
            ("contradiction", "France lost at home that year [2].", 0.0),
            ("turned round", "France beat Brazil in the final of 1998 by three goals [1].", 0.0),
            ("invented source", "Brazil beat France in the final of 1998 by three goals [7].", 0.0),
            ("wrong number", "Brazil beat France in the final of 1997 by three goals [1].", 0.0),
            ("keyword stuffing", "goals three 1998 final France beat Brazil [1].", 0.0),
            (
                "look-alike letters",
                "Br\u0430zil be\u0430t Fr\u0430nce in the fin\u0430l of 1998 by three go\u0430ls [1].",
                0.0,
            ),
            ("over-long answer", "Brazil beat France [1]. " * 5_000, floor),
        )
        if self.model:  # what else passes is the model's affair
            attacks = tuple(a for a in attacks if a[0] in ("format alone", "over-long answer"))
        partial_credit = 0.5 if self.contrast else 0.0  # some words of the source, in place of 0 below the threshold
        return tuple(
            Twin(name, case("Who won?", text, known), most if name == "over-long answer" else max(most, partial_credit))
            for name, text, most in attacks
        )


def _entailed(judge: Entailment, texts: Mapping[str, str], claim: str, mark: str) -> float:
    """The largest probability that a paragraph of a source entails a claim."""
    if not content_words(claim):
        return 0.0
    paragraphs = [p for p in texts[mark].split("\n\n") if not blank(p)]
    return max(judge.probabilities(paragraphs, claim))
