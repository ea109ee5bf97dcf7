"""Answers of a group sorted into classes of equal ones, and the class that most of them are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from plaudit.records.sample import Sample
from plaudit.rewards.verifiers.math.equivalence import Effort, compare_all
from plaudit.rewards.verifiers.math.extraction import extract

NONE = -1
"""Class of a sample without an answer."""


def answers_of(samples: Sequence[Sample], rules: Sequence[str]) -> list[str | None]:
    """The answer of each completion, as `verify/math` extracts it; None where there is none, or several differ."""
    found = [extract(sample.text, rules) for sample in samples]
    return [None if f is None or f.others else f.text.strip() for f in found]


def answer_classes(answers: Sequence[str | None], *, effort: Effort | None = None) -> NDArray[np.int64]:
    """Numbers classes of equal answers, in the order in which they first occur.

    Each answer is compared with the first answer of every class so far, spelled alike without comparison: equality by
    algebra is taken to be transitive.

    Args:
        answers: (n,), None for no answer.
        effort: limits of a comparison by algebra.

    Returns:
        Class numbers from 0, (n,); `NONE` where there is no answer.
    """
    spelled: dict[str, int] = {}
    leaders: list[str] = []
    for answer in answers:
        if answer is None or answer in spelled:
            continue
        pairs = [(leader, answer) for leader in leaders]
        same = [i for i, found in enumerate(compare_all(pairs, effort=effort or Effort())) if found.equal]
        if not same:
            leaders.append(answer)
        spelled[answer] = same[0] if same else len(leaders) - 1
    return np.array([NONE if a is None else spelled[a] for a in answers], dtype=np.int64)


def majority_label(classes: Int[np.ndarray, " n"], *, weights: Sequence[float] | None = None) -> int | None:
    """The class with the most votes; None where nobody voted or several classes are ahead together.

    Args:
        classes: class numbers, `NONE` for no vote, (n,).
        weights: of the votes, (n,); 1 each by default.
    """
    votes: Counter[int] = Counter()
    for i, label in enumerate(classes.tolist()):
        if label != NONE:
            votes[label] += 1.0 if weights is None else weights[i]  # type: ignore[assignment]
    ranked = votes.most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
