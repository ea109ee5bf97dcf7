"""Comparisons of two systems on a prompt, as crowds and judges publish them.

Three spellings of the columns are read: `model_a`, `model_b` with a winner `model_a`, `model_b`, `tie` (and LMSYS's
`tie (bothbad)`, `both_bad`); `left`, `right`, or `model_x`, `model_y`, with a winner `left`, `right`, `tie`. Where a
file has names (`left`) beside numbers (`model_x`), the names are taken.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, MissingError, nearest
from plaudit.records.decoding import RawRow, raw_rows
from plaudit.records.fields import RowError
from plaudit.records.sample import content_hash
from plaudit.runs.atomic import write_text

SIDES = (("model_a", "model_b"), ("left", "right"), ("model_x", "model_y"))
"""The pairs of columns that name the two systems; the first pair that a file has is taken."""
PROMPTS = ("prompt", "question_id")
"""The columns that name the prompt; battles of one prompt are resampled together."""
WINNERS: Mapping[str, float] = {
    "left": 1.0, "model_a": 1.0, "model_x": 1.0,
    "right": 0.0, "model_b": 0.0, "model_y": 0.0,
    "tie": 0.5, "draw": 0.5,
    "tie (bothbad)": 0.5, "both_bad": 0.5, "bothbad": 0.5,
}  # fmt: skip
"""What the first system gets for each word: 1 a win, 0 a loss, 1/2 a tie. That both are bad is a tie between them."""


@dataclass(frozen=True)
class Battles:
    """n comparisons of m systems.

    Attributes:
        models: the systems, in order of first appearance.
        first: place in `models` of the one shown first, (n,).
        second: place of the other, (n,).
        outcome: 1 where the first won, 0 where the second did, 1/2 for a tie, (n,).
        prompt: code of the prompt, (n,); every battle has its own where the source names none.
        n_prompts: distinct prompts; 0 where the source names none.
        unnamed: battles without a prompt in a source that names others: each is one of its own.
        skipped: rows that say nothing, by reason.
        words: how often each winner word occurred.
    """

    models: tuple[str, ...]
    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]
    outcome: Float[np.ndarray, " n"]
    prompt: Int[np.ndarray, " n"]
    n_prompts: int = 0
    unnamed: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.outcome)

    def counts(self) -> Int[np.ndarray, " m"]:
        """Battles of each system, (m,)."""
        both = np.concatenate([self.first, self.second])
        return np.asarray(np.bincount(both, minlength=len(self.models)))

    def wins(self, weight: Float[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "m m"]:
        """How much row beat column, ties half each.

        Args:
            weight: of each battle, (n,); 1 by default.
        """
        m = len(self.models)
        w = np.ones(len(self)) if weight is None else np.asarray(weight, dtype=np.float64)
        won = np.bincount(self.first * m + self.second, weights=w * self.outcome, minlength=m * m)
        lost = np.bincount(self.second * m + self.first, weights=w * (1 - self.outcome), minlength=m * m)
        return np.asarray((won + lost).reshape(m, m))


def read_battles(source: str | Path, *, skip_broken: str | Path | None = None) -> Battles:
    """Reads comparisons from a `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` file, each also `.gz`.

    Args:
        source: the file.
        skip_broken: a file for the rows that cannot be read, as JSON lines; without it the first is an error.

    Raises:
        InputError: if a row cannot be read, a winner's word is not known, or no battle is left.
        MissingError: if there is no such file.
    """
    path = Path(source)
    if not path.is_file():
        raise MissingError(f"rate: there is no file {source}")
    return battles_from_rows(raw_rows(path), source=str(source), skip_broken=skip_broken)


def battles_from_rows(
    rows: Iterable[RawRow | Mapping[str, Any]],
    *,
    source: str = "battles",
    skip_broken: str | Path | None = None,
) -> Battles:
    """Battles from rows.

    Args:
        rows: mappings with the columns above, or `(number, row, raw)` as readers give them.
        source: what messages call the rows.
        skip_broken: as in `read_battles`.

    Raises:
        InputError: as in `read_battles`.
    """
    found: list[tuple[str, str, float, str | None]] = []
    broken: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for place, item in enumerate(rows, start=1):
        number, row, raw = item if isinstance(item, tuple) else (place, item, None)
        try:
            if isinstance(row, RowError):
                raise row
            first, second, word, prompt = _battle(row)
        except RowError as error:
            if skip_broken is None:
                raise InputError(f"{source} row {number}: {error} (or set it aside with --skip-broken)") from error
            broken.append({"row": number, "error": str(error), "raw": raw if isinstance(row, RowError) else dict(row)})
            continue
        words[word] += 1
        if first == second:
            skipped["a system against itself"] += 1
            continue
        found.append((first, second, WINNERS[word], prompt))
    if skip_broken is not None:
        write_text(skip_broken, "".join(json.dumps(b, default=str) + "\n" for b in broken))
        if broken:
            skipped["broken, set aside"] = len(broken)
    if not found:
        why = ", ".join(f"{n} rows are {words}" for words, n in skipped.items()) or "the file has no row"
        raise InputError(f"{source}: no battle between two systems is left; {why}")
    return _battles(found, skipped, words)


def _battles(
    found: Sequence[tuple[str, str, float, str | None]], skipped: Mapping[str, int], words: Mapping[str, int]
) -> Battles:
    place = {name: i for i, name in enumerate(dict.fromkeys(side for a, b, _, _ in found for side in (a, b)))}
    prompts: dict[str, int] = {}
    codes = [prompts.setdefault(f"(row {i})" if p is None else p, len(prompts)) for i, (*_, p) in enumerate(found)]
    without = sum(p is None for *_, p in found)
    named = without < len(found)
    return Battles(
        models=tuple(place),
        first=np.array([place[a] for a, *_ in found]),
        second=np.array([place[b] for _, b, *_ in found]),
        outcome=np.array([o for _, _, o, _ in found]),
        prompt=np.array(codes),
        n_prompts=len(prompts) if named else 0,
        unnamed=without if named else 0,
        skipped=dict(skipped),
        words=dict(words),
    )


def _battle(row: Mapping[str, Any]) -> tuple[str, str, str, str | None]:
    sides = next((s for s in SIDES if s[0] in row and s[1] in row), None)
    if sides is None:
        missing = next((b if a in row else a for a, b in SIDES if a in row or b in row), "model_a")
        raise RowError(
            missing, None, "is missing; a battle needs model_a and model_b, left and right, or model_x and model_y"
        )
    if row.get("winner") is None:
        raise RowError("winner", None, "is missing; give left, right or tie (or model_a, model_b, tie)")
    word = str(row["winner"]).strip().lower()
    if word not in WINNERS:
        raise RowError("winner", row["winner"], f"is no outcome; {nearest(word, WINNERS)}")
    key = next((row[c] for c in PROMPTS if not _blank(row.get(c))), None)
    prompt = None if key is None else key if isinstance(key, str) else content_hash(key)
    return _name(row, sides[0]), _name(row, sides[1]), word, prompt


def _name(row: Mapping[str, Any], column: str) -> str:
    """A system's name; a number is one too.

    Raises:
        RowError: if it is missing or blank: it would become a system of that name.
    """
    if _blank(row[column]):
        raise RowError(column, row[column], "names no system; give its name")
    return str(row[column])


def _blank(cell: object) -> bool:
    """Whether a cell says nothing: null, not a number, or white space."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )
