"""Accuracy in every cell of several attributes, crossed: gaps that no single attribute shows [25].

`gap(cell) = accuracy inside - accuracy of all other pairs`, for every value of every attribute and for every
combination of values of two (or more) of them, at equal true margins where these are known.

**Many cells.** Among forty cells two lie outside a 95% interval by chance. Each interval here is widened to the level
1 - 0.05 / (number of cells), so that all hold together (Bonferroni), about the same centre: the bootstrap's own
quantiles so far out would rest on single resamples. A cell in which all are right, or all wrong, does not vary under
resampling; there Wilson's interval stands in, at the wider level itself (`edge_gap`).

Source: Gustafson et al. 2023, "FACET": disparities of recall over attributes and their products with minimum counts.

Differs from the paper: pairs replace images and accuracy recall; every cell is held against all others and not
against each other cell; intervals are simultaneous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.audit.biases.gaps import edge_gap, stratified_gap
from plaudit.errors import InputError
from plaudit.evaluation.baselines import correctness
from plaudit.evaluation.pairs import group_values, prompt_key
from plaudit.records.rows import Pair
from plaudit.stats.calibration import equal_mass_bins
from plaudit.stats.clusters import cluster_codes
from plaudit.stats.estimate import Estimate

Floats = NDArray[np.float64]
Where = tuple[tuple[str, str], ...]
"""Column and value of each attribute of a cell."""


@dataclass(frozen=True, slots=True)
class CellGap:
    """One cell of crossed attributes.

    Attributes:
        cell: `language=de`, or `language=de, age=old`.
        order: number of attributes crossed.
        accuracy: inside the cell.
        gap: accuracy inside minus outside, with an interval that holds for all cells together.
        n_pairs: scored pairs inside.
        where: column and value of each attribute; names and values may hold any character.
    """

    cell: str
    order: int
    accuracy: float
    gap: Estimate
    n_pairs: int
    where: Where = ()


@dataclass(frozen=True, slots=True)
class Cells:
    """All cells, largest absolute gap first.

    Attributes:
        gaps: cells with enough pairs.
        matched: whether true margins were matched.
        too_small: cell (columns and values) to its scored pairs, where these or all others are fewer than the minimum.
        single: column to its only value among the scored pairs; such a column forms no cell.
    """

    gaps: tuple[CellGap, ...]
    matched: bool
    too_small: Mapping[Where, int] = field(default_factory=dict)
    single: Mapping[str, str] = field(default_factory=dict)


def cell_gaps(
    pairs: Sequence[Pair],
    margin: ArrayLike,
    columns: Sequence[str],
    *,
    true_margin: ArrayLike | None = None,
    order: int = 2,
    min_group: int = 30,
    strata: int = 5,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 2000,
) -> Cells:
    """Accuracy gaps of all cells of up to `order` crossed attributes.

    Args:
        pairs: n pairs.
        margin: (n,) rewards of chosen minus rejected; NaN rows are left out.
        columns: meta columns, or `annotator`.
        true_margin: (n,) true margins: accuracy is judged by their sign, at equal size.
        order: most attributes that are crossed.
        min_group: cells with fewer scored pairs, inside or outside, are counted and named, not measured.
        strata: bins of |true margin|.
        level: that all intervals hold together.
        seed: of the bootstrap over prompts.
        resamples: number of bootstrap resamples.

    Raises:
        InputError: if there is no column, or a column is in no pair.
    """
    from scipy.stats import norm

    if not columns:
        raise InputError("cell_gaps: there is no column; name at least one attribute of the pairs")
    m = np.asarray(margin, dtype=np.float64)
    truth = np.ones(m.shape) if true_margin is None else np.asarray(true_margin, dtype=np.float64)
    known = np.isfinite(m) & np.isfinite(truth) & (truth != 0)
    right = correctness(m * np.sign(truth))[known]
    kept = [p for p, k in zip(pairs, known, strict=True) if k]
    # true margins of one size make one stratum: equal_mass_bins of ones is a single bin
    stratum = np.zeros(right.size, dtype=np.int64)
    if true_margin is not None and right.size:
        stratum = equal_mass_bins(np.abs(truth[known]), n_bins=strata)
    prompts = cluster_codes([prompt_key(p) for p in kept], right.size)
    values = {c: np.array(group_values(pairs, c), dtype=str)[known] for c in columns}
    # what is crossed with a column of one value is the other column again
    single = {c: str(v[0]) for c, v in values.items() if v.size and (v == v[0]).all()}
    cells, small = _cells({c: v for c, v in values.items() if c not in single}, order, min_group)
    wide = norm.ppf(1 - (1 - level) / 2 / max(len(cells), 1)) / norm.ppf(0.5 + level / 2)
    options: dict[str, Any] = {"seed": seed, "resamples": resamples, "level": level}
    found = []
    for where, inside in cells.items():
        gap = edge_gap(right, inside, stratum, prompts, **options, cells=len(cells)) or _widened(
            stratified_gap(right, inside, stratum, prompts, **options), float(wide), len(cells)
        )
        found.append(CellGap(cell_name(where), len(where), float(right[inside].mean()), gap, int(inside.sum()), where))
    found.sort(key=lambda c: -abs(c.gap.value))
    return Cells(tuple(found), true_margin is not None, small, single)


def cell_name(where: Where) -> str:
    """`language=de, age=old`.

    Args:
        where: columns and values.
    """
    return ", ".join(f"{c}={v}" for c, v in where)


def _cells(
    values: Mapping[str, NDArray[np.str_]], order: int, min_group: int
) -> tuple[dict[Where, NDArray[np.bool_]], dict[Where, int]]:
    """Membership of every cell that is large enough, and the pairs of each that is not."""
    found: dict[Where, NDArray[np.bool_]] = {}
    small: dict[Where, int] = {}
    for k in range(1, min(order, len(values)) + 1):
        for names in combinations(values, k):
            rows = list(zip(*(values[c].tolist() for c in names), strict=True))
            for cell, n in sorted(Counter(rows).items()):
                where = tuple(zip(names, cell, strict=True))
                if min(n, len(rows) - n) < min_group:
                    small[where] = n
                else:
                    found[where] = np.array([r == cell for r in rows])
    return found, small


def _widened(e: Estimate, factor: float, cells: int) -> Estimate:
    low, high = e.value - factor * (e.value - e.low), e.value + factor * (e.high - e.value)
    return replace(e, low=low, high=high, method=f"{e.method}, widened for {cells} cells")
