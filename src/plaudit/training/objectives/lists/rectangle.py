"""Lists of different lengths as one rectangle, and the columns that belong to them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from plaudit.errors import InputError, ShapeError


def rectangle(
    who: str, n: int, lists: Sequence[Int[Tensor, " _"]], device: torch.device
) -> tuple[Int[Tensor, "l k"], Bool[Tensor, "l k"]]:
    """Indices of the members of each list, and True where there is one.

    Args:
        who: begins the message of an error.
        n: how many sequences there are.
        lists: indices of each list's members.
        device: where the result lies.

    Returns:
        (l, k) with k the longest list; index 0 where there is no member.

    Raises:
        ShapeError: if a list has fewer than two members or is not one-dimensional.
        InputError: if it names a sequence that is not there, or one of them twice.
    """
    for place, members in enumerate(lists):
        if members.ndim != 1 or members.numel() < 2:
            raise ShapeError(
                f"{who}: lists[{place}] has shape {tuple(members.shape)}; a list needs two members or more"
            )
    index = together("lists", lists, -1, device)
    present = index >= 0
    joined = torch.cat([*lists]) if lists else index.new_zeros(0)
    if joined.numel() and not (0 <= int(joined.min()) and int(joined.max()) < n):
        raise InputError(f"{who}: lists name sequences {int(joined.min())} to {int(joined.max())}; there are {n}")
    ordered = index.sort(dim=1).values
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if bool(twice.any()):
        place, at = twice.nonzero()[0].tolist()
        raise InputError(f"{who}: lists[{place}] names sequence {int(ordered[place, at])} twice")
    return index.clamp(min=0), present


def together(name: str, columns: Sequence[Shaped[Tensor, " _"]], fill: float, device: torch.device) -> Tensor:
    """The columns as rows of one rectangle (l, k), with `fill` where a column has ended."""
    if not columns:
        return torch.zeros(0, 0, dtype=torch.bool if name == "tied" else torch.long, device=device)
    return pad_sequence([c.to(device) for c in columns], batch_first=True, padding_value=fill)


def beside(
    who: str, name: str, columns: Sequence[Shaped[Tensor, " _"]], present: Bool[Tensor, "l k"], fill: float
) -> Tensor:
    """Columns with one entry a member, as a rectangle like that of their lists.

    Args:
        who: begins the message of an error.
        name: of the columns.
        columns: one a list.
        present: of `rectangle`.
        fill: where there is no member.

    Raises:
        ShapeError: if there is another number of columns, or one of another length.
    """
    if len(columns) != present.shape[0]:
        raise ShapeError(f"{who}: {name} of {len(columns)} lists for {present.shape[0]} lists")
    for place, (column, k) in enumerate(zip(columns, present.sum(dim=1).tolist(), strict=True)):
        if column.shape != (k,):
            raise ShapeError(f"{who}: {name}[{place}] has shape {tuple(column.shape)} for a list of {k}")
    return together(name, columns, fill, present.device)
