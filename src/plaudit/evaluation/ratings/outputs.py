"""Models' outputs beside a baseline's, as judges' files have them.

Two kinds of rows: AlpacaEval's annotations (`instruction`, `output_1` of the baseline, `output_2` of the model,
`generator_1`, `generator_2`, `preference` from 1 to 2), and compared rows (`prompt`, `first` of the model, `second` of
the baseline, `probability` that the first is better, optionally `outcome`, `model`, `baseline`). Both may have
`instruction_difficulty` and `index`. AlpacaEval's published annotations have neither: there the published code takes a
row's place among its model's for the index, which is `place` here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import InputError, MissingError
from plaudit.evaluation.ratings.length_control import GamedRows
from plaudit.records.decoding import raw_rows
from plaudit.records.fields import RowError
from plaudit.records.reading import read_parsed


@dataclass(frozen=True)
class Judged:
    """One model's answer beside the baseline's.

    Attributes:
        model: its name.
        baseline: the baseline's name.
        prompt: the prompt's text.
        output: the model's answer.
        baseline_output: the baseline's.
        preference: probability that the model's is better; NaN where there is no judgement.
        index: the instruction's number in the benchmark, if it has one.
        difficulty: of the instruction; NaN where it is not given.
        place: among the rows of its model in the file, from 0.
    """

    model: str
    baseline: str
    prompt: str
    output: str
    baseline_output: str
    preference: float
    index: str | None = None
    difficulty: float = math.nan
    place: int = 0


def read_outputs(source: str | Path, skip_broken: str | Path | None = None) -> tuple[list[Judged], int]:
    """The rows of a file, and how many were set aside as broken.

    Args:
        source: `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet`, each also `.gz`.
        skip_broken: a file for the rows that cannot be read; without it the first is an error.

    Raises:
        InputError: if a row cannot be read and `skip_broken` is None, or there is none.
        MissingError: if there is no such file.
    """
    seen = Counter[str]()

    def read_row(row: Mapping[str, Any]) -> Judged:
        judged = _alpaca(row) if "output_1" in row else _compared(row)
        place = seen[judged.model]
        seen[judged.model] += 1
        return replace(judged, place=place)

    rows, broken = read_parsed(source, read_row, skip_broken=skip_broken)
    if not rows:
        raise InputError(f"{source}: no row can be used; give AlpacaEval's annotations or compared rows")
    return rows, len(broken)


def _alpaca(row: Mapping[str, Any]) -> Judged:
    value = _number(row, "preference")
    if value == 0:
        value = 1.5  # an old spelling of a tie
    if not (math.isnan(value) or 1 <= value <= 2):
        raise RowError("preference", row["preference"], "is outside 1..2 (1 the baseline is better, 2 the model)")
    return Judged(
        model=_name(row, "generator_2", "model"), baseline=_name(row, "generator_1", "baseline"),
        prompt=_text(row, "instruction"), output=_text(row, "output_2"), baseline_output=_text(row, "output_1"),
        preference=value - 1, index=_index(row),
        difficulty=_number(row, "instruction_difficulty"),
    )  # fmt: skip


def _compared(row: Mapping[str, Any]) -> Judged:
    value = _number(row, "probability")
    if not (math.isnan(value) or 0 <= value <= 1):
        raise RowError("probability", row["probability"], "is outside 0..1")
    if str(row.get("outcome") or "scored") not in ("scored", "policy_fault"):  # a fault of a text lost the comparison
        value = math.nan
    return Judged(
        model=_name(row, "model", "first"), baseline=_name(row, "baseline", "second"), prompt=_text(row, "prompt"),
        output=_text(row, "first"), baseline_output=_text(row, "second"), preference=value,
        index=_index(row),
        difficulty=_number(row, "instruction_difficulty"),
    )  # fmt: skip


def _name(row: Mapping[str, Any], column: str, default: str) -> str:
    """A system's name, or what it is called where the row has no such column."""
    value = row.get(column, default)
    if value is None or not str(value).strip():
        raise RowError(column, value, "names no system; give its name, or leave the column out")
    return str(value)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, list):  # messages: what the assistant says is what is long
        return "\n".join(str(m.get("content", "")) for m in value if isinstance(m, dict))
    if not isinstance(value, str):
        raise RowError(name, value, "is no text; rows need instruction, output_1, output_2, or prompt, first, second")
    return value


def _index(row: Mapping[str, Any]) -> str | None:
    """The instruction's number as text: 3 and 3.0, as tables with gaps store it, are the same."""
    value = row.get("index")
    if value is None or value == "":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).removesuffix(".0")


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RowError(name, value, "is no number") from None


def read_gamed(path: str | Path) -> tuple[GamedRows, dict[str, float]]:
    """The gamed baselines' rows, and the difficulty of each instruction by its index.

    Args:
        path: AlpacaEval's `df_gamed.csv`, or a file with its columns `preference` (0 to 1; NaN or nothing where there
            is no judgement), `std_delta_len`, `instruction_difficulty`, and `index` where difficulties are to be looked
            up by it.

    Raises:
        InputError: if a cell is no number, or no row has a preference.
        MissingError: if there is no such file.
    """
    if not Path(path).is_file():
        raise MissingError(f"--gamed: there is no file {path}")
    columns: dict[str, list[float]] = {"preference": [], "std_delta_len": [], "instruction_difficulty": []}
    known: dict[str, float] = {}
    for number, row, _ in raw_rows(Path(path)):
        try:
            if isinstance(row, RowError):
                raise row
            cells = {name: _gamed_number(row, name) for name in columns}
        except RowError as error:
            raise InputError(f"{path} row {number}: {error}; each row needs {', '.join(columns)}") from error
        for name, value in cells.items():
            columns[name].append(value)
        if (index := _index(row)) is not None:
            known.setdefault(index, cells["instruction_difficulty"])
    p, delta, gamma = (np.asarray(columns[c]) for c in columns)
    if not (~np.isnan(p)).any():
        raise InputError(f"{path}: has no row with a preference; give AlpacaEval's df_gamed.csv")
    return GamedRows(p, delta, gamma), known


def _gamed_number(row: Mapping[str, Any], name: str) -> float:
    """A cell; only a preference may be missing, in the words that tables use for it."""
    value = row.get(name)
    if name == "preference" and str(value).lower() in ("", "na", "n/a", "nan", "none", "null"):
        return math.nan
    number = _number(row, name)
    if not math.isfinite(number) or (name == "preference" and not 0 <= number <= 1):
        raise RowError(name, value, "is outside 0..1" if name == "preference" else "is no finite number")
    return number
