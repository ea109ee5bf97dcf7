"""Who is preferred in pairs of two groups' completions, as checks of an audit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.fairness.attributes import completion_values, judged_margin
from plaudit.audit.fairness.examples import mistakes
from plaudit.audit.fairness.gaps import FIX
from plaudit.audit.fairness.selection import mixed_pairs, preference_excess
from plaudit.audit.fairness.small import nobody_else, too_small
from plaudit.evaluation.pairs import prompt_key
from plaudit.records.rows import Pair


def preference_checks(
    pairs: Sequence[Pair], margin: NDArray[np.float64], column: str, true_margin: ArrayLike | None, *,
    threshold: float, min_group: int, seed: int, resamples: int,
) -> list[Check]:  # fmt: skip
    """How much more often each group's completion is preferred in mixed pairs than it deserves.

    Args:
        pairs: n pairs with `chosen_COLUMN` and `rejected_COLUMN`.
        margin: (n,) rewards of chosen minus rejected.
        column: the attribute of completions.
        true_margin: (n,) true ones; None: the labels say what is deserved.
        threshold: of the excess, in points.
        min_group: mixed pairs below which a group is named and not measured.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if no pair has one of the two columns.
    """
    first, second = completion_values(pairs, column)
    deserved = np.ones(margin.shape) if true_margin is None else np.asarray(true_margin, dtype=np.float64)
    gaps = preference_excess(
        margin, first, second, deserved, [prompt_key(p) for p in pairs], min_pairs=min_group, seed=seed,
        resamples=resamples,
    )  # fmt: skip
    by = "the labels" if true_margin is None else "the true reward"
    judged, a, b = judged_margin(margin, true_margin), np.array(first, dtype=str), np.array(second, dtype=str)
    owed = np.where(deserved > 0, a, b)
    found = []
    for g in gaps:
        says = (
            f"how much more often the completion with {column}={g.group} is preferred in mixed pairs "
            f"({g.preferred.format(2)}) than by {by} ({g.deserved.format(2)})"
        )
        at = (a != b) & ((a == g.group) | (b == g.group)) & ((owed == g.group) == (g.excess.value < 0))
        examples = mistakes(pairs, margin, judged, at, lambda i: _said(column, first[i], second[i], owed[i]))
        found.append(
            Check(f"fairness/preference/{column}={g.group}", says, g.excess, threshold, "outside",
                  examples if g.excess.value else (), int(np.isnan(margin).sum()), fix=FIX)
        )  # fmt: skip
    why = _missing(column, first, second, margin, deserved, min_group)
    if why:
        says = f"how much more often a group of {column} is preferred than {by} would"
        found.append(not_measured(f"fairness/preference/{column}", says, why, fix="Give more pairs of two groups."))
    return found


def _said(column: str, first: str, second: str, owed: str) -> str:
    other = second if owed == first else first
    return f"{column}={owed} deserves it, {column}={other} is preferred"


def _missing(
    column: str, first: Sequence[str], second: Sequence[str], margin: ArrayLike, deserved: ArrayLike, least: int
) -> str:
    """Which groups were not measured, and why; empty where all were."""
    values = set(first) | set(second)
    if len(values) == 1:
        return nobody_else(column, values.pop(), "completions")
    counts = mixed_pairs(margin, first, second, deserved)
    return too_small({f"{column}={g}": n for g, n in counts.items() if n < least}, least, "mixed pairs")
