"""What stands beside a model's weights: arrays in safetensors, with the fingerprint of the model they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError, IntegrityError
from plaudit.records.reading import read
from plaudit.records.rows import Pair, Ranked
from plaudit.rewards.models import ModelReward
from plaudit.runs.atomic import write_bytes

Arrays = Mapping[str, np.ndarray[Any, Any]]


def write_arrays(path: Path, arrays: Arrays, said: Mapping[str, str]) -> None:
    """Writes arrays and texts to one file, whole or not at all."""
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata=dict(said)))


def read_arrays(path: Path, *, of: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """What `write_arrays` wrote, checked to belong to a model.

    Args:
        path: the file.
        of: fingerprint of the model.

    Raises:
        InputError: if the file is torn or not safetensors.
        IntegrityError: if it was made for another model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            said = dict(opened.metadata() or {})
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}
    except SafetensorError as error:
        raise InputError(f"{path}: is torn or not safetensors ({error}); fit it again") from error
    if said.get("model") != of:
        raise IntegrityError(f"{path}: was fitted to another model than the one beside it; fit it again")
    return arrays, said


def open_base(who: str, of: str) -> tuple[ModelReward, Path]:
    """A model and its folder.

    Raises:
        InputError: if the reference is no model folder of a decoder.
    """
    from plaudit.rewards.registry import open_model

    reward = open_model(of)
    if not isinstance(reward, ModelReward):
        raise InputError(f"{who}: {of} is a {type(reward).__name__}; give the folder of a transformers reward model")
    folder = Path(of)
    if not folder.is_dir():
        raise InputError(f"{who}: {of} is no folder; what is fitted is stored beside the weights, so save a copy first")
    return reward, folder if (folder / "config.json").exists() else folder / "model"


def read_pairs(path: str) -> list[Pair | Ranked]:
    """The preference rows of a file.

    Raises:
        InputError: if a row holds no preference.
    """
    rows: list[Pair | Ranked] = []
    for i, row in enumerate(read(path).rows):
        if not isinstance(row, Pair | Ranked):
            raise InputError(f"{path}: row {i + 1} is a {type(row).__name__.lower()} row; give pairs or ranked rows")
        rows.append(row)
    return rows
