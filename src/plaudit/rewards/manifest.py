"""What a saved reward model must remember so that it gives the same score everywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from plaudit.errors import InputError, nearest

FILE = "plaudit.json"
Reader = Literal["leaf", "classification", "pooled", "likelihood"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of a reward model that its weights do not say.

    Attributes:
        reader: where the score is read: `leaf` (last token of a decoder), `classification` (an encoder's own
            classification output), `pooled` (a linear head on mean-pooled features of a frozen encoder),
            `likelihood` (a causal language model's probabilities, see `plaudit.rewards.likelihood.saved`).
        template: the rendering policy, see `plaudit.engine.rendering.Template`.
        scored: which messages are scored: always the completion as a whole, read at its end.
        offset: score that counts as reward 0: `reward = (score - offset) / scale`.
        scale: score units per reward unit, positive.
        floor: lowest reward; what a fault of the policy's own is worth. Scores below it are lifted to it.
        head: what the head's outputs mean: `kind`, `outputs` and `options` of `plaudit.rewards.readers.Head`; empty for
            one output that is the score.
        objective: what the model was fitted with.
        base: the model that training started from.
        training: configuration, data hash, counts and losses of the fit.
        format: version of this file.
    """

    reader: Reader = "leaf"
    template: Mapping[str, Any] = field(default_factory=dict)
    scored: str = "completion"
    offset: float = 0.0
    scale: float = 1.0
    floor: float = -10.0
    head: Mapping[str, Any] = field(default_factory=dict)
    objective: str = ""
    base: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    format: int = 1

    def __post_init__(self) -> None:
        numbers = (self.offset, self.scale, self.floor)
        if not all(isinstance(x, int | float) for x in numbers):
            raise InputError(f"manifest: offset, scale and floor are {numbers}; they must be numbers")
        if self.reader not in get_args(Reader):
            raise InputError(
                f"manifest: reader {self.reader!r} is not known; {nearest(str(self.reader), get_args(Reader))}"
            )
        if self.format != 1:
            raise InputError(
                f"manifest: format {self.format!r} is not known, only 1; update plaudit, or save the model again"
            )
        if not all(math.isfinite(x) for x in numbers) or self.scale <= 0:
            raise InputError(
                f"manifest: offset, scale and floor are {numbers}; they must be finite and the scale positive"
            )

    def to_json(self) -> str:
        """The manifest as the text of its file."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a model folder; None where there is none (a model from elsewhere).

        Raises:
            InputError: if the file is not a JSON object, or has unknown keys or values out of range.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}); save the model again") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}: holds {type(row).__name__}, not a JSON object; save the model again")
        known = {f.name for f in fields(cls)}
        for key in row:
            if key not in known:
                raise InputError(f"{path}: unknown key {key!r}; {nearest(key, known)}")
        try:
            return cls(**row)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
