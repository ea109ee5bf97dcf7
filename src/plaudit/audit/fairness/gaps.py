"""Groups of pairs as checks of an audit: accuracy by value and by crossed values, and its spread over the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.checks import Check, Example, not_measured
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
    texts = Texts(
        pairs, margin, judged_margin(margin, true_margin),
        {a.column: np.array(group_values(pairs, a.column), dtype=str) for a in attributes},
    )  # fmt: skip
    whose, found = {a.column: a.whose for a in attributes}, []
    for cell in (c for c in cells.gaps if c.order == 1):
        says = f"accuracy on pairs whose {whose[cell.where[0][0]]} has {cell.cell}, minus that on all others"
        found.append(_gap(f"fairness/{cell.cell}", f"{says}{_matched(cells)}", cell, texts, threshold))
    found += [c for a in attributes for c in _unmeasured(a.column, cells, texts, min_group)]
    if len(attributes) > 1:
        found.append(_crossed(cells, texts, threshold, min_group))
    right = rightness(margin, true_margin)
    for a in attributes:
        d = disparity_estimates(right, texts.values[a.column].tolist(), [prompt_key(p) for p in pairs], **options)
        found.append(_spread(d, a, texts, min_group))
    return found


@dataclass(frozen=True)
class Texts:
    """Where examples come from.

    Attributes:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected.
        judged: (n,) the same towards what deserves to win.
        values: column to the value of each pair.
    """

    pairs: Sequence[Pair]
    margin: Floats
    judged: Floats
    values: Mapping[str, NDArray[np.str_]]

    def of(self, where: Where, *, others: bool = False) -> tuple[Example, ...]:
        """Mistakes in a cell, or in all others."""
        inside = np.ones(len(self.pairs), dtype=bool)
        for column, value in where:
            inside &= self.values[column] == value
        said = f"not {cell_name(where)}" if others else cell_name(where)
        return mistakes(self.pairs, self.margin, self.judged, ~inside if others else inside, lambda _: said)

    def lost(self) -> int:
        """Pairs without a reward."""
        return int(np.isnan(self.margin).sum())


def _gap(name: str, says: str, cell: CellGap, texts: Texts, threshold: float) -> Check:
    """The check of a cell, with mistakes of whoever is worse off: the cell, or all others."""
    examples = texts.of(cell.where, others=cell.gap.value > 0) if cell.gap.value else ()
    return Check(name, says, cell.gap, threshold, "outside", examples, texts.lost(), fix=FIX)


def _unmeasured(column: str, cells: Cells, texts: Texts, least: int) -> list[Check]:
    """A grey check where groups of a column were not measured: which, and why."""
    small = {where: n for where, n in cells.too_small.items() if [c for c, _ in where] == [column]}
    if not np.isfinite(texts.judged).any():
        why = "no pair has a reward and something that deserves to win"
    elif column in cells.single:
        why = nobody_else(column, cells.single[column], "scored pairs")
    elif small:
        why = _named(small, least)
    else:
        return []
    says = f"accuracy on pairs of a group of {column}, minus that on all others"
    return [not_measured(f"fairness/{column}", says, why, fix="Give more pairs of each group.")]


def _crossed(cells: Cells, texts: Texts, threshold: float, least: int) -> Check:
    small = {where: n for where, n in cells.too_small.items() if len(where) > 1}
    worst = next((c for c in cells.gaps if c.order > 1), None)
    if worst is not None:
        says = f"accuracy in the crossed group {worst.cell}, the largest gap, minus that of all others{_matched(cells)}"
        says += f"; not measured: {_named(small, least)}" if small else ""
        return _gap("fairness/crossed", says, worst, texts, threshold)
    says = f"accuracy in the crossed group with the largest gap, minus that of all others{_matched(cells)}"
    why = _named(small, least) if small else "fewer than two columns have several groups"
    return not_measured("fairness/crossed", says, why, fix="Give more pairs of each group.")


def _spread(d: Disparity, a: Attribute, texts: Texts, least: int) -> Check:
    """Performance-scaled disparity: a tenth of the accuracy between best and worst group matters."""
    says = f"best minus worst accuracy over the groups of {a.column} ({a.whose}), as a share of the accuracy"
    small = too_small({f"{a.column}={value}": n for value, n in d.too_small.items() if n}, least)
    if not np.isfinite(d.psd_max.value):
        why = "it is right on no pair, so there is no accuracy to take a share of" if d.overall.value == 0 else ""
        why = why or f"fewer than two groups have {least} scored pairs" + (f" ({small})" if small else "")
        return not_measured(f"fairness/spread/{a.column}", says, why, fix="Give more pairs of each group.")
    says += f"; scaled by evenness the accuracy is {d.equity_scaled.format()}" + (
        f"; left out: {small}" if small else ""
    )
    worst = min(d.groups, key=lambda group: d.groups[group].value)
    examples = texts.of(((a.column, worst),)) if d.psd_max.value else ()
    return Check(
        f"fairness/spread/{a.column}", says, d.psd_max, SPREAD, examples=examples, left_out=texts.lost(), fix=FIX
    )


def _named(small: Mapping[Where, int], least: int) -> str:
    return too_small({cell_name(where): n for where, n in small.items()}, least)


def _matched(cells: Cells) -> str:
    return ", at equal true margins" if cells.matched else "; true margins are not known, so its pairs may be harder"
