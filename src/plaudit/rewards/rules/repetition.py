"""Repetition: n-grams that a completion has said before [191].

Differs from the paper: n-grams are of Unicode words, not split at spaces, so that text without spaces counts too;
a text shorter than n has no n-grams and no penalty, where the released code divides by zero.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Bool

from plaudit.errors import InputError
from plaudit.records.sample import Sample
from plaudit.rewards.rules.segments import segments
from plaudit.rewards.verdicts import SampleReward, Verdict


def ngrams(items: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    """All runs of n items, in order; none where there are fewer than n."""
    return list(zip(*(items[i:] for i in range(n)), strict=False))


def distinct_share(items: Sequence[Hashable], n: int) -> float:
    """Distinct n-grams among all n-grams, in (0, 1]; 1 where there are none."""
    grams = ngrams(items, n)
    return len(set(grams)) / len(grams) if grams else 1.0


def repeated_positions(items: Sequence[Hashable], n: int, *, only_start: bool = False) -> Bool[np.ndarray, " t"]:
    """True where an item lies inside an n-gram that was seen before in the same sequence.

    A dense penalty is a constant on these positions. With `only_start` a repeated n-gram marks its own first item
    only.

    Args:
        items: tokens, (t,).
        n: length of the n-grams, at least 1.
        only_start: mark where each repetition begins.

    Source: Yeo et al. 2025 [191], the repetition penalty of section 4.5.
    """
    marked = np.zeros(len(items), dtype=bool)
    seen: set[tuple[Any, ...]] = set()
    for i, gram in enumerate(ngrams(items, n)):
        if gram in seen:
            marked[i : i + (1 if only_start else n)] = True
        seen.add(gram)
    return marked


@final
@dataclass(frozen=True)
class RepetitionReward(SampleReward):
    """`-penalty * (1 - distinct n-grams / n-grams)` of the lower-cased words; 0 where there are fewer than n.

    Source: Yeo et al. 2025 [191], the sparse form.
    """

    n: int = 3
    """Words of an n-gram."""
    penalty: float = 1.0
    """Largest penalty, above 0."""

    kind: ClassVar[str] = "rule/repetition"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"{self.kind}: n is {self.n}; give at least 1 word")
        if not 0 < self.penalty < math.inf:
            raise InputError(f"{self.kind}: penalty is {self.penalty}; give a number above 0")

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """From `-penalty` to 0."""
        return -self.penalty, 0.0

    def verdict(self, sample: Sample) -> Verdict:
        """Counts the n-grams."""
        words = segments(sample.text.lower())
        share = distinct_share(words, self.n)
        return Verdict.scored(-self.penalty * (1 - share), distinct=share, words=len(words))
