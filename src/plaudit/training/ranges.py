"""Labels that an objective cannot read: found before anything is trained, and named by row.

The losses check the same of what reaches them, but by then a step has come to it and the row's number is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from plaudit.errors import InputError
from plaudit.records.rows import Pair, Ranked, Rated
from plaudit.training.columns import completion_columns, margin_of

TrainingRow = Pair | Ranked | Rated


def check_strengths(rows: Sequence[TrainingRow], **_: Any) -> None:
    """Refuses pairs whose strength is negative: they say that rejected is better.

    Args:
        rows: what is trained on.

    Raises:
        InputError: naming the first such row.
    """
    for i, row in enumerate(rows):
        strength = margin_of(row, 0, 1) if isinstance(row, Pair) else None
        if isinstance(row, Pair) and strength is not None and strength < 0:
            scores = f"chosen_score is {row.chosen_score} and rejected_score {row.rejected_score}"
            said = scores if row.margin is None else f"margin is {strength:g}"
            raise InputError(
                f"row {i + 1}: {said}, so rejected would be the better; this objective takes strengths of at least 0: "
                "exchange the two, or leave the row out"
            )


def check_margins(rows: Sequence[TrainingRow], **options: Any) -> None:
    """Refuses negative strengths, and rows of which none has a strength.

    Args:
        rows: what is trained on.
        **options: of the objective; they play no part.

    Raises:
        InputError: naming the first row of negative strength, or saying what no row has.
    """
    check_strengths(rows, **options)
    if not any(margin_of(row, 0, 1) for row in rows if isinstance(row, Pair)) and not any(
        len(set(row.scores)) > 1 for row in rows if isinstance(row, Ranked)
    ):
        raise InputError(
            "no row has a margin or scores that differ, and without them this objective is bradley-terry; give margin, "
            "or train with bradley-terry"
        )


def check_ratings(rows: Sequence[TrainingRow], *, levels: int, **_: Any) -> None:
    """Refuses ratings outside 1 to `levels`.

    Args:
        rows: what is trained on; rows without a rating are left to the encoding.
        levels: of the objective.

    Raises:
        InputError: naming the first such row.
    """
    for i, row in enumerate(rows):
        for rating in _ratings(row):
            if not 1 <= rating <= levels:
                raise _outside(i, rating, f"ratings from 1 to {levels}")


def check_distribution(rows: Sequence[TrainingRow], *, levels: int, fidelity_coef: float, **_: Any) -> None:
    """The same, and refuses a fidelity loss, which is of two completions of one prompt, where there are no two.

    Args:
        rows: what is trained on; neighbouring rated rows of one prompt are compared.
        levels: of the objective.
        fidelity_coef: of the fidelity loss.

    Raises:
        InputError: naming the first row whose rating is outside the levels, or what no prompt has.
    """
    check_ratings(rows, levels=levels)
    alone = all(isinstance(row, Rated) for row in rows)
    if fidelity_coef and alone and not any(a.prompt == b.prompt for a, b in pairwise(rows)):
        raise InputError(
            "fidelity_coef compares the completions of a prompt, and no prompt has two in neighbouring rows; give more "
            "completions a prompt, or leave it out"
        )


def check_levels(rows: Sequence[TrainingRow], *, levels: int, **_: Any) -> None:
    """Refuses ratings that are not whole numbers from 1 to `levels`.

    Args:
        rows: what is trained on; rows without a rating are left to the encoding.
        levels: of the objective.

    Raises:
        InputError: naming the first such row.
    """
    for i, row in enumerate(rows):
        _check_whole(i, _ratings(row), levels)


def check_annotators(rows: Sequence[TrainingRow], *, beta: float, **sizes: int) -> None:
    """Refuses pairs that do not say whose they are, pairs of one person, and pairs of people of whom nobody has two.

    Args:
        rows: what is trained on.
        beta: of the user model.
        **sizes: its further options.

    Raises:
        InputError: naming the first such row, or the option that is out of range.
    """
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"objective variational: {name} is {value}; give at least 1")
    if beta < 0:
        raise InputError(f"objective variational: beta is {beta:g}; give at least 0")
    people: Counter[str] = Counter()
    for i, row in enumerate(rows):
        if not isinstance(row, Pair) or row.annotator is None:
            raise InputError(
                f"row {i + 1}: this objective learns who prefers what, and takes pairs that say whose they are; "
                "give annotator"
            )
        people[row.annotator] += 1
    if len(people) == 1:
        raise InputError(
            f"all rows are of annotator {next(iter(people))!r}, and this objective learns how people differ; give rows "
            "of others too, or train with bradley-terry"
        )
    if max(people.values()) < 2:
        raise InputError(
            f"all {len(people)} annotators have one pair each: nobody can be predicted from what is known of them; "
            "give pairs whose annotator occurs again"
        )


def check_two_levels(rows: Sequence[TrainingRow], *, levels: int, **_: Any) -> None:
    """The same of both raters.

    Args:
        rows: what is trained on; rows without ratings are left to the encoding.
        levels: of the objective.

    Raises:
        InputError: naming the first such row, or the first without a second rating.
    """
    for i, row in enumerate(rows):
        given = _ratings(row)
        _check_whole(i, given, levels)
        if given:
            _check_whole(i, completion_columns(("second_rating",), row, index=i)["second_rating"].tolist(), levels)


def _check_whole(index: int, ratings: Sequence[float], levels: int) -> None:
    for rating in ratings:
        if rating != round(rating) or not 1 <= rating <= levels:
            raise _outside(index, rating, f"whole levels, 1 to {levels}")


def _outside(index: int, rating: float, wanted: str) -> InputError:
    return InputError(
        f"row {index + 1}: a rating is {rating:g}, and this objective takes {wanted}; set its levels "
        "(OBJECTIVE?levels=N), or bring the ratings to them"
    )


def _ratings(row: TrainingRow) -> list[float]:
    """The finite ratings of a row's completions; others have errors of their own."""
    if isinstance(row, Ranked):
        given: Sequence[float | None] = row.scores
    else:
        given = (row.score,) if isinstance(row, Rated) else (row.chosen_score, row.rejected_score)
    return [x for x in given if x is not None and x - x == 0]
