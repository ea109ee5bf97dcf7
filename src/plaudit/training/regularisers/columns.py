"""What a regulariser reads of the rows: their groups, strata and attributes as numbers, a number a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plaudit.errors import InputError, nearest
from plaudit.records.weights import row_values
from plaudit.stats.dependence import attribute_matrix
from plaudit.training.groups import Group, TrainingRow
from plaudit.training.regularisers.naming import Fair


def with_fair_columns(
    groups: Sequence[Group], rows: Sequence[TrainingRow], fair: Fair
) -> tuple[list[Group], dict[str, Any]]:
    """The groups with the columns that the regulariser reads, and what the manifest keeps of them.

    Args:
        groups: of `encode_groups`.
        rows: that they were made of, in the same order.
        fair: what reads them.

    Returns:
        Groups whose `columns` have `fair_group` (a number a value, or 1 for the protected one), `fair_stratum`, or
        `fair_attribute_00` and on; and `{"name", "options", "columns", "groups": {value: pairs}}`.

    Raises:
        InputError: if a row lacks a column, there is one group only, every pair is a group of its own, or the protected
            value does not occur.
    """
    who = f"fair {fair.name}"
    named = {column: row_values(rows, column, who=who) for column in fair.columns}
    sizes = [g.n_pairs for g in groups]
    counts = {column: _counted(values, sizes) for column, values in named.items()}
    for column, count in counts.items():
        if len(count) < 2:
            raise InputError(
                f"{who}: column {column!r} has one value, {next(iter(count))!r}, in all {len(rows)} rows; "
                "there is nothing to compare"
            )
    told: dict[str, Any] = {"name": fair.name, "options": dict(fair.options), "columns": list(fair.columns)}
    table = _table(rows, fair, named, counts, who)
    if not fair.method.several:
        told["groups"] = dict(counts[fair.columns[0]])
    return [
        replace(g, columns={**g.columns, **{k: np.full(n, v[i], dtype=np.float32) for k, v in table.items()}})
        for i, (g, n) in enumerate(zip(groups, sizes, strict=True))
    ], told


def _table(
    rows: Sequence[TrainingRow], fair: Fair, named: Mapping[str, Sequence[Any]],
    counts: Mapping[str, Mapping[str, int]], who: str,
) -> dict[str, Any]:  # fmt: skip
    """Column to a number a row."""
    if fair.method.several:
        matrix = attribute_matrix(list(named.values()))
        return {f"fair_attribute_{k:02d}": column for k, column in enumerate(matrix.T)}
    column = fair.columns[0]
    values, count = [str(v) for v in named[column]], counts[column]
    if fair.name != "conditional-parity":
        if len(count) > len(rows) / 2:
            raise InputError(
                f"{who}: column {column!r} has {len(count)} values in {len(rows)} rows; groups of one pair say "
                "nothing: put the values into bins, or use distance-covariance"
            )
        return {"fair_group": np.unique(values, return_inverse=True)[1]}
    protected, strata = str(fair.options["protected"]), str(fair.options["strata"])
    if protected not in count:
        raise InputError(f"{who}: protected is {protected!r}, which {column!r} never is; {nearest(protected, count)}")
    stratum = [str(v) for v in row_values(rows, strata, who=who)] if strata else ["all"] * len(rows)
    return {
        "fair_group": np.array([v == protected for v in values], dtype=np.float64),
        "fair_stratum": np.unique(stratum, return_inverse=True)[1],
    }


def _counted(values: Sequence[Any], sizes: Sequence[int]) -> dict[str, int]:
    count: Counter[str] = Counter()
    for value, n in zip(values, sizes, strict=True):
        count[str(value)] += n
    return dict(sorted(count.items()))
