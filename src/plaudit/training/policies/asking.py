"""Preferences and principles as questions whose answer is one word: what the yes/no objectives are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated, Unpaired
from plaudit.rewards.likelihood.questions import Wording
from plaudit.rewards.likelihood.yes import INSTRUCTION, said_of
from plaudit.training.identity import kind_of


def comparison_rows(
    rows: Sequence[Any], *, wording: Wording | None = None, instruction: str = INSTRUCTION
) -> list[Pair]:
    """Two questions a preference, one in each order: whether chosen beats rejected (yes), and the reverse (no).

    Args:
        rows: pairs; of a ranked row all pairs of different scores.
        wording: of the questions.
        instruction: the criteria.

    Raises:
        InputError: if a row holds no preference.
    """
    put, found = wording or Wording(), []
    for i, row in enumerate(rows):
        if isinstance(row, Pair):
            couples = [(row.chosen, row.rejected)]
        elif isinstance(row, Ranked):
            both = list(zip(row.completions, row.scores, strict=True))
            couples = [(a, b) for a, x in both for b, y in both if x > y]
        else:
            couples = []
        if not couples:
            raise InputError(f"row {i + 1}: {kind_of(row)} row holds no preference; give pairs or ranked rows")
        for better, worse in couples:
            a, b = said_of(better), said_of(worse)
            found.append(Pair(put.compare(row.prompt, a, b, instruction), put.yes, put.no))
            found.append(Pair(put.compare(row.prompt, b, a, instruction), put.no, put.yes))
    return found


def principle_rows(rows: Sequence[Any], *, wording: Wording | None = None) -> list[Pair]:
    """One question a judged principle.

    Args:
        rows: rated rows whose aspects are principles, above 1/2 followed and below it not (an aspect of 1/2 is partial,
            and left out), or unpaired rows with a `principle` in their meta.
        wording: of the questions.

    Raises:
        InputError: if a row judges no principle, an aspect is not within 0 and 1, or all verdicts are partial.
    """
    put, found, partial = wording or Wording(), [], 0
    for i, row in enumerate(rows):
        for principle, verdict in _judged(i, row):
            if verdict == 0.5:
                partial += 1
                continue
            answers = (put.yes, put.no) if verdict > 0.5 else (put.no, put.yes)
            found.append(Pair(put.judge(row.prompt, said_of(row.completion), principle), *answers))
    if partial and not found:
        raise InputError(
            f"training: no verdict of a principle is 0 or 1: all {partial} are 0.5 (partial) and left out; "
            "give rows with aspects of 1 (followed) or 0 (not followed)"
        )
    return found


def _judged(index: int, row: Any) -> list[tuple[str, float]]:
    if isinstance(row, Unpaired) and isinstance(row.meta.get("principle"), str):
        return [(row.meta["principle"], float(row.label))]
    if isinstance(row, Rated) and row.aspects:
        if not all(0 <= v <= 1 for v in row.aspects.values()):
            raise InputError(
                f"row {index + 1}: aspects are {dict(row.aspects)}; a principle is followed (1) or not (0)"
            )
        return list(row.aspects.items())
    raise InputError(
        f"row {index + 1}: {kind_of(row)} row judges no principle; give rated rows with aspects of "
        "0 and 1, or unpaired rows with a principle"
    )
