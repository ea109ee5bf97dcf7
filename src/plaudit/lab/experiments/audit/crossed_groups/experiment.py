"""An audit over single and over crossed attributes, and how badly the group that it shows is really served."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from plaudit.audit.fairness.cells import CellGap, cell_gaps
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.records.message import Message
from plaudit.records.rows import Pair
from plaudit.training.frozen import fit_linear

ARMS = ("crossed", "single", "narrow", "lowest", "coin", "group")
COLUMNS = ("a", "b", "c")
SHARES = ((0.78, 0.22), (0.77, 0.23), (0.4, 0.3, 0.3))
"""Of the attributes' values; the crossing of a=1 and b=1 holds one pair in twenty."""
TURNED = 60.0
"""Degrees by which the crossing's weights are turned."""
L2 = 1e-2

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `shown`, see the claim; `something`, 1 if the audit shows a cell; `exact`, 1 if it is the crossing itself.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"crossed_groups: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("features", "train", "audit", "fresh"))
    margin, values, fresh_margin, fresh_values = _audited(seed, bool(knob), sizes)
    cells = _cells(seed, margin, values, 1 if name == "single" else 2, int(budget["resamples"]))
    cell = "a=1, b=1" if name == "group" else _shown(name, seed, cells)
    shown = 0.0
    if cell:
        inside = np.ones(len(fresh_margin), dtype=bool)
        for part in cell.split(", "):
            column, value = part.split("=")
            inside &= fresh_values[COLUMNS.index(column)] == int(value)
        right = (fresh_margin > 0).astype(np.float64)
        if inside.any() and not inside.all():
            shown = float(right[~inside].mean() - right[inside].mean())
    return {"shown": shown, "something": float(bool(cell)), "exact": float(cell == "a=1, b=1")}


def _shown(name: str, seed: int, cells: tuple[CellGap, ...]) -> str:
    """The cell that an audit shows, or nothing."""
    if name == "coin":
        return cells[int(np.random.default_rng([seed, 9]).integers(len(cells)))].cell if cells else ""
    wide = float(norm.ppf(1 - 0.025 / max(len(cells), 1)) / norm.ppf(0.975))

    def high(c: CellGap) -> float:
        reach = c.gap.high - c.gap.value
        return c.gap.value + (reach / wide if name == "narrow" else 0.0 if name == "lowest" else reach)

    worst = [c for c in cells if high(c) < 0]
    return min(worst, key=lambda c: c.gap.value).cell if worst else ""


def _cells(seed: int, margin: Numbers, values: Numbers, order: int, resamples: int) -> tuple[CellGap, ...]:
    pairs = [
        Pair((Message("user", f"{i}"),), "chosen", "rejected", meta=dict(zip(COLUMNS, map(int, row), strict=True)))
        for i, row in enumerate(values.T)
    ]
    return cell_gaps(pairs, margin, COLUMNS, order=order, seed=seed % 2**31, resamples=resamples).gaps


@lru_cache(maxsize=2)
def _audited(seed: int, equal: bool, sizes: tuple[int, ...]) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Margins of the pairs of the audit and of fresh ones, chosen minus rejected, with their attributes (3, n)."""
    d, train, audit, fresh = sizes
    rng = np.random.default_rng([seed, 1])
    weight, other = rng.normal(size=d), rng.normal(size=d)
    other -= weight * (other @ weight) / (weight @ weight)
    other *= np.linalg.norm(weight) / max(float(np.linalg.norm(other)), 1e-12)
    angle = 0.0 if equal else np.radians(TURNED)
    turned = np.cos(angle) * weight + np.sin(angle) * other

    def rows(part: int, n: int, *, noisy: bool) -> tuple[Numbers, Numbers]:
        draw = np.random.default_rng([seed, 2, part])
        values = np.stack([draw.choice(len(s), size=n, p=s) for s in SHARES])
        gap = draw.normal(size=(n, d)) * np.sqrt(2)
        crossing = (values[0] == 1) & (values[1] == 1)
        margin = np.where(crossing, gap @ turned, gap @ weight)
        first = draw.random(n) < expit(margin) if noisy else margin > 0
        return gap * np.where(first, 1.0, -1.0)[:, None], values

    head = fit_linear(rows(0, train, noisy=True)[0], l2=L2)
    (pairs, values), (more, fresh_values) = rows(1, audit, noisy=True), rows(2, fresh, noisy=False)
    return pairs @ head, values, more @ head, fresh_values
