"""What objectives refuse, each in one line: pairs of the wrong shape, numbers and labels outside their range."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from plaudit.errors import InputError, ShapeError


def check_pairs(who: str, pairs: Tensor, **columns: Tensor | None) -> None:
    """Refuses pairs that are not (m, 2) and columns that do not have one entry a pair.

    Args:
        who: begins the message.
        pairs: indices, chosen and rejected.
        columns: what belongs to the pairs, by name; None is passed over.

    Raises:
        ShapeError: if a shape is wrong.
    """
    if pairs.ndim != 2 or pairs.shape[-1] != 2:
        raise ShapeError(f"{who}: pairs have shape {tuple(pairs.shape)}; they must be (m, 2)")
    check_columns(who, "pairs", pairs.shape[0], **columns)


def check_columns(who: str, items: str, n: int, **columns: Tensor | None) -> None:
    """Refuses columns that do not have one entry an item.

    Args:
        who: begins the message.
        items: the word for what the n are.
        n: how many entries are wanted.
        columns: one-dimensional tensors by name; None is passed over.

    Raises:
        ShapeError: if a shape is not (n,).
    """
    for name, column in columns.items():
        if column is not None and column.shape != (n,):
            raise ShapeError(f"{who}: {name} has shape {tuple(column.shape)} for {n} {items}")


def check_number(
    who: str, name: str, value: float, *, low: float = -math.inf, high: float = math.inf, within: str = "[]"
) -> None:
    """Refuses a hyper-parameter outside its range, NaN and infinity.

    Args:
        who: begins the message.
        name: of the hyper-parameter.
        value: what was given.
        low: lower end.
        high: upper end.
        within: brackets of the interval, a round one where the end itself is refused.

    Raises:
        InputError: if the value is outside.
    """
    above = value > low if within[0] == "(" else value >= low
    below = value < high if within[1] == ")" else value <= high
    if not (above and below and math.isfinite(value)):
        raise InputError(f"{who}: {name} is {value}; {_range(low, high, within)}")


def check_values(
    who: str, name: str, values: Tensor | None, *, low: float = -math.inf, high: float = math.inf, within: str = "[]"
) -> None:
    """Refuses labels outside their range, and NaN and infinity; names the first of them.

    Args:
        who: begins the message.
        name: of the labels.
        values: any shape; None is passed over.
        low: lower end.
        high: upper end.
        within: brackets of the interval, a round one where the end itself is refused.

    Raises:
        InputError: if a value is outside.
    """
    if values is None:
        return
    good = values > low if within[0] == "(" else values >= low
    good = good & (values < high if within[1] == ")" else values <= high)
    if values.is_floating_point():
        good = good & values.isfinite()
    if not bool(good.all()):
        place = (~good).nonzero()[0].tolist()
        shown = ", ".join(map(str, place))
        raise InputError(f"{who}: {name}[{shown}] is {values[tuple(place)].item()}; {_range(low, high, within)}")


def weighted_sum(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The sum of losses, each times its weight where weights are given: zero-dimensional."""
    return losses.sum() if weight is None else torch.sum(losses * weight)


def _range(low: float, high: float, within: str) -> str:
    if high < math.inf:
        return f"it must lie in {within[0]}{low:g}, {high:g}{within[1]}"
    if low == -math.inf:
        return "it must be finite"
    return f"it must be finite and {'above' if within[0] == '(' else 'at least'} {low:g}"
