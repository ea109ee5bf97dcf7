"""Groups of pairs as checks of an audit: accuracy by value and by crossed values, and its spread over the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, not_measured
from plaudit.audit.fairness.attributes import Attribute, judged_margin, rightness
from plaudit.audit.fairness.cells import CellGap, Cells, Where, cell_gaps, cell_name
from plaudit.audit.fairness.disparity import Disparity, disparity_estimates
from plaudit.audit.fairness.examples import mistakes
from plaudit.audit.fairness.small import nobody_else, too_small
from plaudit.evaluation.pairs import group_values, prompt_key
from plaudit.records.rows import Pair

Floats = NDArray[np.float64]
SPREAD = 0.1
"""Share of the accuracy between best and worst group from which it matters."""
FIX = "Collect pairs of the group that it serves worse, or weigh them up (training/regularisers), then audit again."


def gap_checks(
    pairs: Sequence[Pair], margin: Floats, attributes: Sequence[Attribute], true_margin: ArrayLike | None, *,
    threshold: float, min_group: int, seed: int, resamples: int,
) -> list[Check]:  # fmt: skip
    """Accuracy of every group minus that of all others, of the worst crossed group, and the spread of each attribute.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        attributes: of the pairs, no numbers.
        true_margin: (n,) true ones, or None.
        threshold: of gaps, in accuracy points.
        min_group: scored pairs below which a group is named and not measured.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        A grey check for each column with groups that were not measured.

    Raises:
        InputError: if an attribute is in no pair.
    """
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "min_group": min_group}
    cells = cell_gaps(pairs, margin, [a.column for a in attributes], true_margin=true_margin, **options)
    judged = judged_margin(margin, true_margin)
    whose, found = {a.column: a.whose for a in attributes}, []
    for cell in (c for c in cells.gaps if c.order == 1):
        says = f"accuracy on pairs whose {whose[cell.where[0][0]]} has {cell.cell}, minus that on all others"
        found.append(_gap(f"fairness/{cell.cell}", f"{says}{_matched(cells)}", cell, pairs, margin, judged, threshold))
    found += [c for a in attributes for c in _unmeasured(a.column, cells, judged, min_group)]
    if len(attributes) > 1:
        found.append(_crossed(cells, pairs, margin, judged, threshold, min_group))
    right = rightness(margin, true_margin)
    for a in attributes:
        values = group_values(pairs, a.column)
        d = disparity_estimates(right, values, [prompt_key(p) for p in pairs], **options)
        found.append(_spread(d, a, values, pairs, margin, judged, min_group))
    return found


def _gap(
    name: str, says: str, cell: CellGap, pairs: Sequence[Pair], margin: Floats, judged: Floats, threshold: float
) -> Check:
    """The check of a cell, with mistakes of whoever is worse off: the cell, or all others."""
    inside = _inside(pairs, cell.where)
    worse = inside if cell.gap.value < 0 else ~inside
    said = cell.cell if cell.gap.value < 0 else f"not {cell.cell}"
    examples = mistakes(pairs, margin, judged, worse, lambda _: said) if cell.gap.value else ()
    lost = int(np.isnan(margin).sum())
    return Check(name, says, cell.gap, threshold, "outside", examples, lost, fix=FIX)


def _unmeasured(column: str, cells: Cells, judged: Floats, least: int) -> list[Check]:
    """A grey check where groups of a column were not measured: which, and why."""
    small = {where: n for where, n in cells.too_small.items() if [c for c, _ in where] == [column]}
    if not np.isfinite(judged).any():
        why = "no pair has a reward and something that deserves to win"
    elif column in cells.single:
        why = nobody_else(column, cells.single[column], "scored pairs")
    elif small:
        why = _named(small, least)
    else:
        return []
    says = f"accuracy on pairs of a group of {column}, minus that on all others"
    return [not_measured(f"fairness/{column}", says, why, fix="Give more pairs of each group.")]


def _crossed(
    cells: Cells, pairs: Sequence[Pair], margin: Floats, judged: Floats, threshold: float, least: int
) -> Check:
    small = {where: n for where, n in cells.too_small.items() if len(where) > 1}
    worst = next((c for c in cells.gaps if c.order > 1), None)
    if worst is not None:
        says = f"accuracy in the crossed group {worst.cell}, the worst, minus that of all others{_matched(cells)}"
        says += f"; not measured: {_named(small, least)}" if small else ""
        return _gap("fairness/crossed", says, worst, pairs, margin, judged, threshold)
    says = f"accuracy in the crossed group with the largest gap, minus that of all others{_matched(cells)}"
    why = _named(small, least) if small else "fewer than two columns have several groups"
    return not_measured("fairness/crossed", says, why, fix="Give more pairs of each group.")


def _spread(
    d: Disparity, a: Attribute, values: Sequence[str], pairs: Sequence[Pair], margin: Floats, judged: Floats,
    least: int,
) -> Check:  # fmt: skip
    """Performance-scaled disparity: a tenth of the accuracy between best and worst group matters."""
    says = f"best minus worst accuracy over the groups of {a.column} ({a.whose}), as a share of the accuracy"
    small = too_small({f"{a.column}={value}": n for value, n in d.too_small.items() if n}, least)
    if not np.isfinite(d.psd_max.value):
        why = "it is right on no pair, so there is no accuracy to take a share of" if d.overall.value == 0 else ""
        why = why or f"fewer than two groups have {least} scored pairs" + (f" ({small})" if small else "")
        return not_measured(f"fairness/spread/{a.column}", says, why, fix="Give more pairs of each group.")
    says += f"; scaled by evenness the accuracy is {d.equity_scaled.format()}" + (f"; left out: {small}" if small else "")
    worst = min(d.groups, key=lambda group: d.groups[group].value)
    at = np.array([value == worst for value in values])
    examples = mistakes(pairs, margin, judged, at, lambda _: f"{a.column}={worst}") if d.psd_max.value else ()
    lost = int(np.isnan(margin).sum())
    return Check(f"fairness/spread/{a.column}", says, d.psd_max, SPREAD, examples=examples, left_out=lost, fix=FIX)


def _named(small: Mapping[Where, int], least: int) -> str:
    return too_small({cell_name(where): n for where, n in small.items()}, least)


def _inside(pairs: Sequence[Pair], where: Where) -> NDArray[np.bool_]:
    inside = np.ones(len(pairs), dtype=bool)
    for column, value in where:
        inside &= np.array([v == value for v in group_values(pairs, column)])
    return inside


def _matched(cells: Cells) -> str:
    return ", at equal true margins" if cells.matched else "; true margins are not known, so its pairs may be harder"
