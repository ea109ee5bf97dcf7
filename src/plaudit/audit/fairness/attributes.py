"""Attributes by which a reward may be unfair, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, nearest
from plaudit.evaluation.baselines import correctness
from plaudit.records.rows import Pair

Whose = Literal["author", "subject", "annotator", "completion"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column by which a reward may be unfair.

    Attributes:
        column: of the pairs; for completions, `chosen_COLUMN` and `rejected_COLUMN`.
        whose: whose attribute it is: the prompt's author, the person it is about, the annotator, or the completion.
    """

    column: str
    whose: Whose = "subject"

    @classmethod
    def parse(cls, text: str) -> Attribute:
        """From `language` or `language:author`.

        Args:
            text: a column, and after a colon whose it is.

        Raises:
            InputError: if the word after the colon is none of the four.
        """
        column, _, whose = text.partition(":")
        words = get_args(Whose)
        if whose and whose not in words:
            raise InputError(f"group {text!r}: {whose!r} is nobody; {nearest(whose, words)}")
        default = "annotator" if column == "annotator" else "subject"
        return cls(column, whose or default)  # type: ignore[arg-type]


def continuous(pairs: Sequence[Pair], column: str) -> bool:
    """Whether a column holds numbers of more than ten values.

    Args:
        pairs: with the column in their meta.
        column: its name.
    """
    values = [p.meta.get(column) for p in pairs]
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return len(numbers) > len(values) / 2 and len(set(numbers)) > 10


def completion_values(pairs: Sequence[Pair], column: str) -> tuple[list[str], list[str]]:
    """The group of each chosen and of each rejected completion, as text; missing ones are named.

    Args:
        pairs: with `chosen_COLUMN` and `rejected_COLUMN` in their meta.
        column: the attribute.

    Raises:
        InputError: if no pair has one of the two columns.
    """
    sides = []
    for name in (f"chosen_{column}", f"rejected_{column}"):
        if all(p.meta.get(name) is None for p in pairs):
            have = sorted({k for p in pairs for k in p.meta})
            raise InputError(f"group {column}:completion: no pair has a column {name!r}; {nearest(name, have)}")
        sides.append(["(not given)" if p.meta.get(name) is None else str(p.meta[name]) for p in pairs])
    return sides[0], sides[1]


def judged_margin(margin: NDArray[np.float64], true_margin: ArrayLike | None) -> NDArray[np.float64]:
    """Rewards of what deserves to win minus those of the other: NaN where nothing does.

    Args:
        margin: (n,) rewards of chosen minus rejected.
        true_margin: (n,) true ones, whose sign then judges. None: the labels judge.
    """
    truth = np.ones(margin.shape) if true_margin is None else np.asarray(true_margin, dtype=np.float64)
    return np.asarray(np.where(truth == 0, np.nan, margin * np.sign(truth)))


def rightness(margin: NDArray[np.float64], true_margin: ArrayLike | None) -> NDArray[np.float64]:
    """1 where the reward is right, 0.5 where it ties, 0 where it is wrong, NaN where nothing can be right.

    Args:
        margin: (n,) rewards of chosen minus rejected.
        true_margin: (n,) true ones, whose sign then judges; 0 is NaN. None: the labels judge.
    """
    return correctness(judged_margin(margin, true_margin))
