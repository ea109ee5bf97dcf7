"""A calibration as it is kept with a model: `calibration.json` beside `plaudit.json`.

It belongs to the weights that it was fitted to. A file that was left behind when the weights changed is refused in
one line, since its probabilities would look as sure as before and mean nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, final

from plaudit._json import from_json, to_json
from plaudit.errors import InputError, IntegrityError, MissingError
from plaudit.records.sample import content_hash
from plaudit.rewards.calibrators.base import Calibrator
from plaudit.rewards.calibrators.choosing import calibrator_type
from plaudit.rewards.calibrators.temperature import Temperature
from plaudit.rewards.manifest import Manifest
from plaudit.runs.atomic import write_text

FILE = "calibration.json"
WEIGHTS = (
    "model.safetensors", "model-*.safetensors", "head.safetensors", "reference/model.safetensors",
    "reference/model-*.safetensors",
)  # fmt: skip
"""Files of weights that a score depends on."""


def weights_digest(folder: Path) -> str:
    """Hash of all that a folder's scores depend on: weight files, tokenizer, and the manifest's part in the score.

    Files are hashed, not tensors: a model loaded in another precision is still the model that was calibrated.

    Args:
        folder: a model folder.

    Raises:
        MissingError: if it holds no weights.
    """
    # what else lies there in safetensors (a posterior that was fitted later) changes no score
    files = sorted(p for name in WEIGHTS for p in folder.glob(name))
    if not files:
        raise MissingError(f"{folder}: holds no weights ({WEIGHTS[0]}); give a reward model's folder")
    read = [*files, *(p for p in (folder / "tokenizer.json", folder / "chat_template.jinja") if p.is_file())]
    digests = []
    for path in read:
        with open(path, "rb") as file:
            digests.append([path.relative_to(folder).as_posix(), hashlib.file_digest(file, "blake2b").hexdigest()])
    m = Manifest.read(folder)
    rest = None if m is None else [m.reader, dict(m.template), m.offset, m.scale, m.floor, dict(m.head)]
    return content_hash([digests, rest])


@final
@dataclass(frozen=True)
class Calibration:
    """A fitted calibrator with where it comes from.

    Attributes:
        calibrator: the map.
        pairs: pairs that it was fitted to.
        prompts: distinct prompts among them.
        data_hash: hash of the data's rows.
        made: versions, command, seed, whatever the maker wants to keep.
        weights: `weights_digest` of the model that it was fitted to; known once it is written beside that model.
    """

    calibrator: Calibrator
    pairs: int
    prompts: int
    data_hash: str
    made: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""

    @property
    def log_odds_factor(self) -> float | None:
        """By what a stated log-odds is multiplied; None where the calibration is not affine."""
        return self.calibrator.slope if isinstance(self.calibrator, Temperature) else None

    @property
    def fingerprint(self) -> str:
        """Hash of the map: what a comparison's fingerprint adds to its reward's."""
        return content_hash([self.calibrator.method, to_json(self.calibrator)])

    def to_json(self) -> str:
        """The calibration as the text of its file; numbers come back exactly."""
        row = {f: getattr(self, f) for f in ("weights", "pairs", "prompts", "data_hash")}
        row |= {"format": 1, "method": self.calibrator.method, "fit": to_json(self.calibrator), "made": dict(self.made)}
        return json.dumps(row, indent=1, sort_keys=True, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = FILE) -> Self:
        """The inverse of `to_json`.

        Args:
            text: of the file.
            where: named in errors.

        Raises:
            InputError: if it is not JSON, of another format, or a key is unknown or missing.
        """
        fix = "run plaudit calibrate again, or remove the file"
        try:
            row = json.loads(text)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error}); {fix}") from error
        keys = {"format", "method", "fit", "weights", "pairs", "prompts", "data_hash", "made"}
        if not isinstance(row, dict) or set(row) != keys or row["format"] != 1:
            raise InputError(f"{where}: is no calibration of format 1; {fix}")
        try:
            fitted: Calibrator = from_json(calibrator_type(str(row["method"])), row["fit"])
        except InputError as error:
            raise InputError(f"{where}: {error}; {fix}") from error
        return cls(fitted, row["pairs"], row["prompts"], row["data_hash"], row["made"], row["weights"])

    def write(self, folder: str | Path) -> Path:
        """Puts it into a model folder, atomically and bound to the weights that lie there; returns the file."""
        path = Path(folder) / FILE
        write_text(path, replace(self, weights=weights_digest(Path(folder))).to_json())
        return path


def read_calibration(folder: str | Path) -> Calibration | None:
    """The calibration of a model folder; None where there is none.

    Raises:
        InputError: if the file cannot be read.
        IntegrityError: if it was fitted to other weights than the folder holds.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    found = Calibration.from_json(path.read_text(encoding="utf-8"), where=str(path))
    if found.weights != weights_digest(Path(folder)):
        raise IntegrityError(
            f"{path}: was fitted to other weights (or another template) than this folder holds; run plaudit calibrate "
            "again, or remove the file"
        )
    return found
