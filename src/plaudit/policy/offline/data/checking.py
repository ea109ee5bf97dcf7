"""Whether rows are what an algorithm learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from plaudit.errors import InputError
from plaudit.policy.algorithms import Data, NamedAlgorithm
from plaudit.records.rows import Pair, Ranked, Rated, Unpaired
from plaudit.records.sample import Sample, completion_text

KINDS: dict[Data, tuple[type, ...]] = {
    "pairs": (Pair, Ranked),
    "labels": (Pair, Ranked, Unpaired),
    "scores": (Pair, Ranked),
    "demonstrations": (Pair, Unpaired, Rated, Sample),
}
"""How an algorithm reads rows, and the kinds of rows that it can."""


def checked_rows(rows: Sequence[Any], named: NamedAlgorithm) -> list[Any]:
    """The rows that are trained on: those given, or what the algorithm makes of them.

    Args:
        rows: of any kind.
        named: the algorithm.

    Raises:
        InputError: naming the first row of a kind that the algorithm does not learn from; if there are no rows; if
            chosen and rejected are identical in all of them.
    """
    who = f"algorithm {named.name}"
    if not len(rows):
        raise InputError(f"{who}: there are no rows; give {named.algorithm.needs}")
    taken = list(named.rows(rows))
    for i, row in enumerate(taken):
        if not isinstance(row, KINDS[named.algorithm.data]):
            raise InputError(
                f"{who}: row {i + 1} is a {type(row).__name__.lower()} row, and it learns from "
                f"{named.algorithm.needs}{_way(row, named.algorithm.data)}"
            )
    if named.algorithm.data == "demonstrations":
        return _shown(taken, who)
    pairs = [r for r in taken if isinstance(r, Pair)]
    if named.algorithm.data == "scores":
        _check_scores(taken, who)
    if pairs and len(pairs) == len(taken):
        same = sum(completion_text(p.chosen) == completion_text(p.rejected) for p in pairs)
        if same == len(pairs):
            raise InputError(
                f"{who}: chosen and rejected are identical in all {same} rows; there is nothing to learn. "
                "Were the columns filled from the same field?"
            )
    return taken


def _shown(rows: Sequence[Any], who: str) -> list[Unpaired]:
    """What is to be imitated of the rows: chosen ones, wanted ones, and whatever stands alone."""
    found = []
    for row in rows:
        if isinstance(row, Pair):
            found.append(Unpaired(row.prompt, row.chosen, True, row.meta))
        elif not isinstance(row, Unpaired) or row.label:
            found.append(Unpaired(row.prompt, row.completion, True, row.meta))
    if not found:
        raise InputError(f"{who}: none of the {len(rows)} rows is wanted; there is nothing to imitate")
    return found


def _check_scores(rows: Sequence[Any], who: str) -> None:
    """Refuses pairs without scores, and scores that are not finite."""
    for i, row in enumerate(rows):
        scores = (row.chosen_score, row.rejected_score) if isinstance(row, Pair) else row.scores
        if any(s is None or not math.isfinite(s) for s in scores):
            raise InputError(
                f"{who}: row {i + 1} has the scores {list(scores)}; it is a regression on scores: give finite ones as "
                "chosen_score and rejected_score, or ranked rows"
            )


def _way(row: Any, data: Data) -> str:
    """What would help."""
    if isinstance(row, Unpaired) and data == "pairs":
        return " (plaudit data convert --to pairs, or --algorithm kto)"
    rewarded = isinstance(row, Sample) and "reward" in row.meta
    return " (plaudit data convert --to pairs)" if isinstance(row, Rated) or rewarded else ""
