"""The state of a transform in a file of its own: what a loop saves, and a reference or a recipe names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from plaudit.errors import InputError, MissingError
from plaudit.runs.atomic import write_text
from plaudit.shaping.transforms.base import ValueTransform

Made = TypeVar("Made", bound=ValueTransform)


def save_state(by: ValueTransform, path: str | Path) -> None:
    """Writes a transform's state, `{"transform": kind, "state": {...}}`; whoever reads it finds the old one or the new.

    Numbers are written so that they are read back to the last bit. Options are not written: they stand in the
    reference.

    Args:
        by: a transform that remembers something.
        path: of the file; its folder is made where it is missing.

    Raises:
        InputError: if the transform has no state, or the file cannot be written.
    """
    if not by.remembered:
        raise InputError(f"{by.kind}: has no state that could be saved; its options are all of it")
    row = {"transform": by.kind, "state": by.state()}
    write_text(path, json.dumps(row, allow_nan=False) + "\n")


def read_state(path: str | Path, kind: str) -> dict[str, Any]:
    """The state in a file that `save_state` wrote.

    Args:
        path: of the file.
        kind: of the transform that it must be of.

    Raises:
        MissingError: if there is no such file.
        InputError: if it is no state, or another transform's.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingError(f"shape/{kind}: state {path}: no such file; save_state writes it")
    try:
        row = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"shape/{kind}: state {path} is not JSON; give a file that save_state wrote") from error
    if not isinstance(row, dict) or set(row) != {"transform", "state"} or not isinstance(row["state"], dict):
        raise InputError(f"shape/{kind}: {path} holds no state of a transform; give a file that save_state wrote")
    if row["transform"] != kind:
        raise InputError(f"shape/{kind}: {path} is a state of shape/{row['transform']}; give one of shape/{kind}")
    return dict(row["state"])


def with_state(by: Made, path: str | Path) -> Made:
    """The transform in the state that a file has.

    Args:
        by: the transform, with its options.
        path: of a file that `save_state` wrote.

    Raises:
        MissingError: if there is no such file.
        InputError: if it is no state, another transform's, or has other entries.
    """
    state = read_state(path, by.kind)
    try:
        return by.restored(state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
