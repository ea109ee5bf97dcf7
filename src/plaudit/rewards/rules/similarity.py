"""Similarity of meaning to a reference, token by token [223], [126].

Differs from the paper: by default tokens are compared by spelling, without a model. As in the paper, a token may be
matched by many: an answer that repeats what is right keeps its F1, so put `rule/repetition` or a length beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError, MissingError
from plaudit.records.sample import Sample
from plaudit.rewards.rules.embedding import Embedded, Embedder, open_embedder
from plaudit.rewards.rules.matching import TokenMatch, token_match
from plaudit.rewards.verdicts import SampleReward, Verdict


def inverse_document_frequencies(documents: Iterable[Sequence[str]]) -> dict[str, float]:
    """`log((D + 1) / (d_t + 1))` for each token, with d_t of D documents holding it; the key "" has a token in none.

    Args:
        documents: the tokens of each.

    Source: Zhang et al. 2020, "BERTScore", with add-one smoothing.
    """
    counts: Counter[str] = Counter()
    total = 0
    for tokens in documents:
        counts.update(set(tokens))
        total += 1
    return {token: math.log((total + 1) / (n + 1)) for token, n in counts.items()} | {"": math.log(total + 1)}


@final
@dataclass(frozen=True)
class SimilarityReward(SampleReward):
    """F1 (or mean) of greedy token matches between completion and reference, rescaled from a baseline, in [0, 1].

    `max(0, (s - baseline) / (1 - baseline))`; with several references the best one counts. An empty answer is a
    fault. Reference: a text, or a list of texts.

    Source: BERTScore as used by [223]; `mean=arithmetic` is the bidirectional max-average similarity of [126].
    """

    model: str = ""
    """Folder, hub id or `package:NAME/FOLDER` of a transformers model; empty: by spelling."""
    contextual: bool = True
    """Whether the model's last layer is compared; false: the rows of its input table, as in [126]."""
    mean: str = "harmonic"
    """`harmonic` (F1) or `arithmetic`."""
    baseline: float = 0.0
    """Similarity that unrelated texts have, which becomes 0; contextual models have one near 0.8."""
    corpus: str = ""
    """A text file, one document a line, whose inverse document frequencies weigh the tokens; empty: equal weights."""

    kind: ClassVar[str] = "rule/similarity"

    def __post_init__(self) -> None:
        if self.mean not in ("harmonic", "arithmetic"):
            raise InputError(f"{self.kind}: mean is {self.mean!r}; give 'harmonic' or 'arithmetic'")
        if not 0 <= self.baseline < 1:
            raise InputError(f"{self.kind}: baseline is {self.baseline}; give at least 0 and below 1")
        if self.corpus and not Path(self.corpus).is_file():
            raise MissingError(f"{self.corpus}: no such file; {self.kind} reads one document a line from it")

    def options(self) -> dict[str, Any]:
        """The options, with what the model and the corpus hold in place of where they lie."""
        weights = _weights(self.corpus, self.model, self.contextual) if self.corpus else {}
        return {**super().options(), "model": self._embedder().fingerprint, "corpus": weights}

    def verdict(self, sample: Sample) -> Verdict:
        """Compares with each reference."""
        golds = [sample.reference] if isinstance(sample.reference, str) else sample.reference
        if not isinstance(golds, list | tuple) or not golds or not all(isinstance(g, str) and g.strip() for g in golds):
            raise InputError(f"reference is {sample.reference!r:.80}; give a text, or a list of texts")
        embed = self._embedder()
        answer = embed(sample.text)
        if not answer.tokens:
            return Verdict.fault("no words")
        found = [self._match(answer, embed(gold)) for gold in golds]
        best = max(found, key=self._value)
        value = max(0.0, min(1.0, (self._value(best) - self.baseline) / (1 - self.baseline)))
        return Verdict.scored(
            value, aspects={"precision": best.precision, "recall": best.recall}, tokens=len(answer.tokens),
            cut=answer.cut,
        )  # fmt: skip

    def _value(self, match: TokenMatch) -> float:
        return match.f1 if self.mean == "harmonic" else match.mean

    def _match(self, answer: Embedded, gold: Embedded) -> TokenMatch:
        return token_match(
            answer.vectors, gold.vectors,
            candidate_weights=self._weigh(answer.tokens), reference_weights=self._weigh(gold.tokens),
        )  # fmt: skip

    def _weigh(self, tokens: Sequence[str]) -> NDArray[np.float64] | None:
        if not self.corpus or not tokens:
            return None
        known = _weights(self.corpus, self.model, self.contextual)
        weights = np.array([known.get(token, known[""]) for token in tokens])
        return weights if weights.sum() > 0 else None

    def _embedder(self) -> Embedder:
        return open_embedder(self.model, contextual=self.contextual)


@lru_cache(maxsize=8)
def _weights(corpus: str, model: str, contextual: bool) -> dict[str, float]:
    embed = open_embedder(model, contextual=contextual)
    lines = Path(corpus).read_text(encoding="utf-8", errors="replace").splitlines()
    return inverse_document_frequencies(embed(line).tokens for line in lines if line.strip())
