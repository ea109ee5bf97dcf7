"""Conditional parity as checks of an audit: is a group worse off than others of equal merit [2]?

What may rightly differ (effort, a grade, a difficulty) is a column that the user names. Of a group of pairs the reward
is right, or not, at equal strata of the pair; a group of completions is preferred, or not, at equal strata of the
completion (`chosen_COLUMN` and `rejected_COLUMN`). Numbers of more than ten values are cut into fifths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.audit.checks import Check, Example, not_measured
from plaudit.audit.fairness.examples import mistakes
from plaudit.audit.fairness.parity import ConditionalParity, conditional_parity
from plaudit.audit.fairness.small import nobody_else, too_small
from plaudit.errors import InputError, nearest
from plaudit.evaluation.baselines import correctness
from plaudit.evaluation.pairs import group_values, prompt_key
from plaudit.records.rows import Pair
from plaudit.stats.calibration import equal_mass_bins

Floats = NDArray[np.float64]
BINS = 5
SAYS = "disadvantage of a group at equal merit"
FIX = "Collect pairs of the group at these strata, or train with --fair conditional-parity, then audit again."


def pair_parity(
    pairs: Sequence[Pair], margin: Floats, judged: Floats, column: str, whose: str, stratum: str, *, threshold: float,
    min_group: int, seed: int, resamples: int,
) -> list[Check]:  # fmt: skip
    """Whether a group of pairs is judged less rightly at equal strata, a check for each value of the column.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        judged: (n,) the same towards what deserves to win (`judged_margin`); NaN where nothing does.
        column: of the group.
        whose: whose attribute it is.
        stratum: column of what may rightly differ.
        threshold: of the violation, in points.
        min_group: rows with a value below which a group is named, and not measured.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if no pair has the stratum.
    """
    bins = _bins(stratum_values(pairs, stratum))
    groups = group_values(pairs, column)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    said = f"right less often where the {whose} has {{}}"

    def examples(at: NDArray[np.bool_], words: str) -> tuple[Example, ...]:
        return mistakes(pairs, margin, judged, at, lambda _: words)

    return _checks(
        correctness(judged), groups, bins, [prompt_key(p) for p in pairs], column, stratum, said, examples, threshold,
        min_group, options,
    )  # fmt: skip


def completion_parity(
    pairs: Sequence[Pair], margin: Floats, column: str, stratum: str, *, threshold: float, min_group: int, seed: int,
    resamples: int,
) -> list[Check]:  # fmt: skip
    """Whether completions of a group are preferred less often at equal strata, a check for each value of the column.

    Args:
        pairs: n pairs with `chosen_COLUMN`, `rejected_COLUMN` of both columns.
        margin: (n,) rewards of chosen minus rejected.
        column: of the group.
        stratum: of what may rightly differ.
        threshold: of the violation, in points.
        min_group: rows with a value below which a group is named, and not measured.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        One grey check where no completion has the stratum.
    """
    sides = ("chosen", "rejected")
    merit = [p.meta.get(f"{side}_{stratum}") for side in sides for p in pairs]
    if all(v is None for v in merit):
        why = f"no completion has a stratum: there is no column chosen_{stratum} or rejected_{stratum}"
        return [not_measured(f"fairness/parity/{column}", f"{SAYS} of {column}", why)]
    values = [p.meta.get(f"{side}_{column}") for side in sides for p in pairs]
    liked = (np.sign(margin) + 1) / 2
    favoured = np.concatenate([liked, 1 - liked])
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    prompts = [prompt_key(p) for p in pairs] * 2
    groups = ["(not given)" if v is None else str(v) for v in values]
    said = "preferred less often with {}"
    bins = _bins(merit)

    def examples(at: NDArray[np.bool_], words: str) -> tuple[Example, ...]:
        """Of the pairs whose chosen (first half) or rejected completion is meant and loses."""
        mine = np.where(at[: len(pairs)], margin, np.where(at[len(pairs) :], -margin, np.nan))
        return mistakes(pairs, margin, mine, np.ones(len(pairs), dtype=bool), lambda _: words)

    return _checks(favoured, groups, bins, prompts, column, stratum, said, examples, threshold, min_group, options)


def _checks(
    favoured: Floats, groups: Sequence[str], bins: NDArray[np.str_], prompts: Sequence[str], column: str, stratum: str,
    said: str, examples: Callable[[NDArray[np.bool_], str], tuple[Example, ...]], threshold: float, min_group: int,
    options: dict[str, Any],
) -> list[Check]:  # fmt: skip
    names, known = np.array(groups, dtype=str), np.isfinite(favoured)
    found: list[Check] = []
    small: dict[str, int] = {}
    for value in sorted(set(groups)):
        inside, name = names == value, f"{column}={value}"
        own, others = int((inside & known).sum()), int((~inside & known).sum())
        if min(own, others) < min_group:
            small[name] = own
            continue
        says = f"{said.format(name)}, at equal {stratum}, than all others"
        try:
            parity = conditional_parity(favoured, inside, bins, prompts, **options)
        except InputError:
            found.append(
                not_measured(f"fairness/parity/{name}", says, f"no value of {stratum} holds rows of both sides")
            )
            continue
        worst = min(parity.gaps, key=lambda e: parity.gaps[e].value)
        shown = examples(inside & (bins == worst), f"{name} at {stratum} {worst}") if parity.violation.value else ()
        found.append(Check(f"fairness/parity/{name}", f"{says}{_told(parity, worst)}", parity.violation, threshold,
                           examples=shown, left_out=int((~known).sum()), fix=FIX))  # fmt: skip
    if small:
        alone = len(set(groups)) == 1
        why = nobody_else(column, groups[0], "rows") if alone else too_small(small, min_group, "rows")
        found.append(not_measured(f"fairness/parity/{column}", f"{SAYS} of {column}", why))
    return found


def _told(parity: ConditionalParity, worst: str) -> str:
    alone = f"; {parity.uncompared:.0%} of it have nobody to compare with" if parity.uncompared > 0 else ""
    told = f"all strata together {parity.marginal.format(2)}; worst at {worst}: {parity.gaps[worst].format(2)}"
    return f" ({told}){alone}"


def stratum_values(pairs: Sequence[Pair], stratum: str) -> list[Any]:
    """What stands in the column of a stratum, a value a pair.

    Args:
        pairs: n pairs.
        stratum: the column.

    Raises:
        InputError: if no pair has it.
    """
    values = [p.meta.get(stratum) for p in pairs]
    if all(v is None for v in values):
        have = sorted({k for p in pairs for k in p.meta})
        raise InputError(f"stratum: no pair has a column {stratum!r}; {nearest(stratum, have)}")
    return values


def _bins(values: Sequence[Any]) -> NDArray[np.str_]:
    """The stratum of each row as text: values as they are, many numbers in fifths, named by their range."""
    numbers = np.array(
        [float(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else np.nan for v in values]
    )
    known = np.isfinite(numbers)
    if known.sum() <= len(values) / 2 or len(np.unique(numbers[known])) <= 10:
        return np.array(["(not given)" if v is None else str(v) for v in values], dtype=str)
    texts = np.full(len(values), "(not given)", dtype=object)
    code = equal_mass_bins(numbers[known], n_bins=BINS)
    for b in np.unique(code):
        part = numbers[known][code == b]
        texts[np.flatnonzero(known)[code == b]] = f"{part.min():.4g} to {part.max():.4g}"
    return texts.astype(str)
