"""What an objective may read of a row besides which completion is better and the ratings: numbers by name.

A number a pair:

| column | a pair row gives it as | a ranked row as |
| --- | --- | --- |
| `strength` | `margin`, or `chosen_score - rejected_score` | the difference of the two scores |
| `preference` | `preference`: the probability that chosen is better | (none) |
| `spread` | `judgements`: repeated margins, whose mean absolute difference it is | (none) |
| `second` | `second`: whether another rater prefers chosen too | (none) |
| `labelled` | `labelled`: whether chosen is known to be better; true by default | always 1 |
| `tied` | equal `chosen_score` and `rejected_score`, whatever its margin | equal scores |
| `identity` | a hash of what the row says | the same for all of its pairs |
| `source` | a hash of `annotator`: whoever judged it | the same, if its `annotator` is given |

A number a completion:

| column | a rated row gives it as | a pair row as | a ranked row as |
| --- | --- | --- | --- |
| `second_rating` | `second`: another rater's | `chosen_second` and `rejected_second` | `second`: a list |
| `rating_std` | `score_std`: of its raters | `chosen_score_std` and `rejected_score_std` | `score_std`: a list |

Of these `rating_std` may be left out, of a row or of one completion (null); then it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.records.sample import content_hash
from plaudit.training.identity import BITS, row_identity

Pairs = Sequence[tuple[int, int]]
Column = np.ndarray[tuple[int], np.dtype[np.float32]]


def pair_columns(names: Sequence[str], row: Pair | Ranked, pairs: Pairs, *, index: int) -> dict[str, Column]:
    """The named columns of a row's pairs.

    Args:
        names: keys of `COLUMNS`; others are left out.
        row: where they come from.
        pairs: (better, worse), indices of its completions.
        index: of the row, for messages.

    Raises:
        InputError: if the row lacks what a column is made of, or holds a number out of range.
    """
    return {
        name: np.array([COLUMNS[name](f"row {index + 1}", row, a, b) for a, b in pairs], dtype=np.float32)
        for name in names
        if name in COLUMNS
    }


def exchanged(pair: Pair) -> Pair:
    """The pair with its completions in each other's places, and all that it says about them.

    Scores change places, and so do `chosen_NAME` and `rejected_NAME`; margins and `judgements` change their sign;
    `preference` and `aspect_preferences` become one minus what they were, and `second` the other answer. Twice is the
    identity, but for rounding. What is no number where one belongs stays, for the objective that reads it to refuse.

    Args:
        pair: any pair; further columns stay as they are.
    """
    meta: dict[str, Any] = {}
    for name, value in pair.meta.items():
        side, _, rest = name.partition("_")
        if rest and side in _OTHER:
            meta[f"{_OTHER[side]}_{rest}"] = value
        else:
            meta[name] = _TURNED[name](value) if name in _TURNED and value is not None else value
    return replace(
        pair, chosen=pair.rejected, rejected=pair.chosen, chosen_score=pair.rejected_score,
        rejected_score=pair.chosen_score, margin=None if pair.margin is None else -pair.margin, meta=meta,
    )  # fmt: skip


def incomparable(pair: Pair) -> Pair:
    """The pair without anything it says of its two completions beside each other, or of one: for texts of another kind.

    Margin and scores, `chosen_NAME` and `rejected_NAME`, `judgements`, `preference`, `aspect_preferences` and
    `second` are left out; further columns stay as they are.
    """
    meta = {n: v for n, v in pair.meta.items() if n not in _TURNED and not n.startswith(("chosen_", "rejected_"))}
    return replace(pair, margin=None, chosen_score=None, rejected_score=None, meta=meta)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _complement(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return 1 - value if _number(value) else value


_OTHER = {"chosen": "rejected", "rejected": "chosen"}
_TURNED: Mapping[str, Callable[[Any], Any]] = {
    "preference": _complement,
    "aspect_preferences": lambda said: {n: _complement(p) for n, p in said.items()} if isinstance(said, dict) else said,
    "second": _complement,
    "judgements": lambda said: [-m if _number(m) else m for m in said] if isinstance(said, list | tuple) else said,
}
"""What a column says when the pair is read the other way."""


def completion_columns(names: Sequence[str], row: Pair | Ranked | Rated, *, index: int) -> dict[str, Column]:
    """The named columns of a row's completions.

    Args:
        names: keys of `COMPLETION_COLUMNS`; others are left out.
        row: where they come from.
        index: of the row, for messages.

    Raises:
        InputError: if the row lacks what a column is made of.
    """
    where = f"row {index + 1}"
    return {
        name: np.array(COMPLETION_COLUMNS[name](where, row), dtype=np.float32)
        for name in names
        if name in COMPLETION_COLUMNS
    }


def margin_of(row: Pair | Ranked, better: int, worse: int) -> float | None:
    """By how much one is better: the row's margin, else the difference of its scores, else None."""
    if isinstance(row, Ranked):
        return row.scores[better] - row.scores[worse]
    if row.margin is not None:
        return row.margin
    if row.chosen_score is None or row.rejected_score is None:
        return None
    return row.chosen_score - row.rejected_score


def _strength(where: str, row: Pair | Ranked, better: int, worse: int) -> float:
    found = margin_of(row, better, worse)
    if found is None:
        raise InputError(
            f"{where}: this objective learns from the strength of a preference, and the pair has none; "
            "give margin, or chosen_score and rejected_score"
        )
    return found


def _preference(where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    found = row.meta.get("preference")
    if isinstance(row, Ranked) or found is None:
        raise InputError(
            f"{where}: this objective learns from soft labels, and the row has none; "
            "give pairs with preference, the probability that chosen is better"
        )
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
        raise InputError(f"{where}: preference is {found!r}; it is a probability, 0 to 1")
    return float(found)


def _spread(where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    found = row.meta.get("judgements")
    numbers = isinstance(found, Sequence) and not any(
        isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in found
    )
    if isinstance(row, Ranked) or found is None or not numbers or len(found) < 2:
        raise InputError(
            f"{where}: this objective weighs pairs by repeated judgements, and the row has judgements {found!r}; "
            "give pairs with a list of at least two margins"
        )
    apart = [abs(a - b) for a, b in combinations(found, 2)]  # as `judgement_spread` has it: of two, |r - r'|
    return math.fsum(apart) / len(apart)


def _second(where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    found = row.meta.get("second")
    if isinstance(row, Ranked) or not isinstance(found, bool):
        raise InputError(
            f"{where}: this objective learns from two raters, and the row has second {found!r}; "
            "give pairs with second, true where another rater prefers chosen too and false where not"
        )
    return float(found)


def _labelled(where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    found = row.meta.get("labelled", True) if isinstance(row, Pair) else True
    if not isinstance(found, bool):
        raise InputError(f"{where}: labelled is {found!r}; give true, or false where it is not known which is better")
    return float(found)


def _source(where: str, row: Pair | Ranked, _better: int, _worse: int) -> float:
    found = row.annotator if isinstance(row, Pair) else row.meta.get("annotator")
    if found is None:
        raise InputError(
            f"{where}: this objective weighs sources against each other, and the row does not say whose it is; "
            "give annotator"
        )
    return float(int(content_hash(["source", str(found)]), 16) % (1 << BITS))


def _tied(_where: str, row: Pair | Ranked, better: int, worse: int) -> float:
    if isinstance(row, Ranked):
        return float(row.scores[better] == row.scores[worse])
    # not its margin: that may be another judge's, or 0 because nobody could tell
    return float(row.chosen_score is not None and row.chosen_score == row.rejected_score)


def _given(row: Pair | Ranked | Rated, name: str) -> tuple[Any, int]:
    """What a row says of its completions under a name, and how many there are."""
    if isinstance(row, Rated):
        return [row.meta.get(name)], 1
    if isinstance(row, Pair):
        return [row.meta.get(f"{side}_{name}") for side in ("chosen", "rejected")], 2
    return row.meta.get(name), len(row.completions)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def _rating_std(where: str, row: Pair | Ranked | Rated) -> list[float]:
    given, n = _given(row, "score_std")
    if given is None:
        return [math.nan] * n
    fits = isinstance(given, Sequence) and len(given) == n
    if not fits or not all(x is None or (_is_number(x) and x >= 0) for x in given):
        shown = given[0] if isinstance(row, Rated) else given
        raise InputError(
            f"{where}: score_std is {shown!r}; give the standard deviation of the ratings of each completion, at "
            "least 0 (pairs: chosen_score_std and rejected_score_std), or null"
        )
    return [math.nan if x is None else float(x) for x in given]


def _second_rating(where: str, row: Pair | Ranked | Rated) -> list[float]:
    given, n = _given(row, "second")
    if not isinstance(given, Sequence) or len(given) != n or not all(map(_is_number, given)):
        shown = given[0] if isinstance(row, Rated) else given
        raise InputError(
            f"{where}: this objective learns from two ratings of a completion, and the row has second {shown!r}; "
            "give rated rows with second, another rater's level (pairs: chosen_second and rejected_second)"
        )
    return [float(x) for x in given]


COLUMNS: Mapping[str, Callable[[str, Any, int, int], float]] = {
    "strength": _strength, "preference": _preference, "spread": _spread, "second": _second, "tied": _tied,
    "identity": row_identity,
    "labelled": _labelled, "source": _source,
}  # fmt: skip
"""Name to `(where, row, better, worse) -> number`."""

COMPLETION_COLUMNS: Mapping[str, Callable[[str, Any], list[float]]] = {
    "second_rating": _second_rating, "rating_std": _rating_std,
}  # fmt: skip
"""Name to `(where, row) -> a number a completion`."""
