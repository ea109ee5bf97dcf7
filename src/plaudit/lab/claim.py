"""What an experiment says beforehand: read from `claim.yaml`, hashed, and never silently changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from plaudit.errors import InputError, MissingError, nearest
from plaudit.records.sample import content_hash

Direction = Literal["greater", "less"]
GRADES = {"A": "tabular or softmax policy", "B": "transformers in a world", "C": "real data"}


@dataclass(frozen=True)
class Claim:
    """A published claim and how it is tested, fixed before the experiment is run."""

    name: str
    """Room and experiment, such as `training/data_scaling`; equals its folder."""
    title: str
    """One line for lists."""
    claim: str
    """The published claim, in a sentence or two."""
    source: str
    """Paper, and catalogue entries in brackets."""
    grade: str
    """`A` tabular or softmax policy, `B` transformers in a world, `C` real data."""
    world: str
    """The world, or the data set."""
    metric: str
    """Name of the primary metric: a number that `run_instance` returns."""
    unit: str
    """Unit of the metric."""
    contrast: tuple[str, str]
    """The arm that the claim says is better, and the arm that it is compared with."""
    direction: Direction
    """Whether the claim says that the metric is `greater` or `less` in the first arm."""
    delta: float
    """Smallest difference that matters, in the metric's unit."""
    arms: tuple[str, ...]
    """All arms: contrast, controls, oracle."""
    budget: Mapping[str, Mapping[str, Any]]
    """Numbers of rows, prompts, ...: one table for `full`, one for `smoke`."""
    blind: str
    """SHA-256 of the salt that the blind instances' seeds are made from, published beforehand."""
    oracle: str | None = None
    """The arm that is the ceiling, for the gap closed."""
    amendments: tuple[Mapping[str, str], ...] = field(default=())
    """Later changes: `date`, `what`, `why`; where the blind instances' salt was drawn anew before they were run, its
    hash as `blind`; once they were run, the `salt` itself, so that anyone can run them again. They do not enter the
    hash."""
    runs: str = ""
    """An experiment whose runs this claim is about too; world, grade, arms, budget and blind are then that one's."""
    base: Claim | None = None
    """The claim of `runs`, read."""
    ranked_like: str = ""
    """An experiment in another world whose methods have the same names and are measured alike: the evidence page
    compares the two rankings."""
    summary: tuple[str, ...] = ()
    """Numbers that the evidence page puts side by side, an arm a line: `metric`, or `metric@dose`."""
    notes: tuple[str, ...] = ()
    """What a reader of the page should know of the arms, and of what is not among them."""
    hash: str = ""
    """Of everything but the amendments and `OUTSIDE`."""

    @property
    def commitment(self) -> str:
        """SHA-256 of the salt that counts: the last one that was published."""
        return [self.blind, *(a["blind"] for a in (self.base or self).amendments if "blind" in a)][-1]

    @property
    def salt(self) -> str | None:
        """The salt that counts, where it has been revealed."""
        told = [str(a["salt"]) for a in (self.base or self).amendments if "salt" in a]
        return next((salt for salt in reversed(told) if salt_hash(salt) == self.commitment), None)

    @property
    def area(self) -> str:
        """The room that the experiment tests."""
        return self.name.split("/")[0]


OUTSIDE = ("ranked_like", "summary", "notes")
"""Keys that say how the evidence page shows an experiment: they may change, and do not enter the hash."""


def read_claim(path: Path) -> Claim:
    """Reads and checks a `claim.yaml`.

    Args:
        path: the file.

    Raises:
        MissingError: if it is not there.
        InputError: if a key is missing or unknown, or a value outside its range.
    """
    row = _row(path)
    base = _base(row, path)
    if base is not None:
        row = _inherited(row, base, path)
    known = {f.name for f in fields(Claim)} - {"hash", "base"}
    required = known - {"oracle", "amendments", "runs", *OUTSIDE}
    for key in row:
        if key not in known:
            raise InputError(f"claim: {path}: key {key!r} is not known; {nearest(str(key), known)}")
    if missing := sorted(required - set(row)):
        raise InputError(f"claim: {path}: {', '.join(missing)} missing; an experiment says all of it beforehand")
    _check(row, path)
    stated = {k: v for k, v in row.items() if k not in ("amendments", *OUTSIDE)}
    return Claim(
        **stated | {"contrast": tuple(row["contrast"]), "arms": tuple(row["arms"]), "delta": float(row["delta"])},
        amendments=tuple(row.get("amendments") or ()),
        ranked_like=str(row.get("ranked_like") or ""),
        summary=tuple(row.get("summary") or ()),
        notes=tuple(row.get("notes") or ()),
        base=base,
        hash=content_hash(stated),
    )


def _row(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        raise MissingError(f"claim: {path} is not there; an experiment states its claim before it is run")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML was built with it: ten times faster
    row = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    if not isinstance(row, dict):
        raise InputError(f"claim: {path} holds {type(row).__name__}; it is a mapping of keys to values")
    return row


SHARED = ("world", "grade", "arms", "budget", "blind")
"""What a claim about another experiment's runs takes from there."""


def _base(row: Mapping[str, Any], path: Path) -> Claim | None:
    if not row.get("runs"):
        return None
    folder = path.parents[2] / str(row["runs"])
    if folder == path.parent:
        raise InputError(f"claim: {path}: runs names the claim itself; leave it out")
    own = _row(folder / "claim.yaml")
    if own.get("runs"):
        raise InputError(f"claim: {path}: {row['runs']} takes its own runs from {own['runs']}; name that one")
    return read_claim(folder / "claim.yaml")


def _inherited(row: dict[str, Any], base: Claim, path: Path) -> dict[str, Any]:
    for key in SHARED:
        if key in row:
            raise InputError(
                f"claim: {path}: {key} is that of {base.name}, whose runs this claim is about; leave it out"
            )
    return row | {key: getattr(base, key) for key in SHARED} | {"arms": list(base.arms)}


def _check(row: Mapping[str, Any], path: Path) -> None:
    if row["direction"] not in ("greater", "less"):
        raise InputError(f"claim: {path}: direction is {row['direction']!r}; give 'greater' or 'less'")
    if row["grade"] not in GRADES:
        raise InputError(f"claim: {path}: grade is {row['grade']!r}; give one of {', '.join(GRADES)}")
    if isinstance(row["delta"], bool) or not isinstance(row["delta"], int | float) or not row["delta"] > 0:
        raise InputError(f"claim: {path}: delta is {row['delta']!r}; give a positive number in the metric's unit")
    arms = row["arms"]
    if not isinstance(arms, list | tuple) or not isinstance(row["budget"], Mapping):
        raise InputError(f"claim: {path}: arms is a list of names and budget a mapping of full and smoke to numbers")
    contrast = row["contrast"]
    if not isinstance(contrast, list) or len(contrast) != 2:
        raise InputError(f"claim: {path}: contrast is {contrast!r}; give two arms")
    for arm in [*contrast, *([row["oracle"]] if row.get("oracle") else [])]:
        if arm not in arms:
            raise InputError(f"claim: {path}: {arm!r} is no arm; {nearest(str(arm), arms)}")
    if {"full", "smoke"} - set(row["budget"]):
        raise InputError(f"claim: {path}: budget needs both 'full' and 'smoke'")
    like = row.get("ranked_like")
    if like and not (path.parents[2] / str(like) / "claim.yaml").is_file():
        raise InputError(f"claim: {path}: ranked_like names {like!r}, which is no experiment; give its room and name")
    for key in ("summary", "notes"):
        value = row.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"claim: {path}: {key} is {value!r}; give a list of texts")
    doses = {arm.partition("@")[2] for arm in arms}
    for column in row.get("summary") or ():
        if column.partition("@")[2] not in doses:
            raise InputError(f"claim: {path}: summary names {column!r}, and no arm has that dose")
    hashes = [row["blind"]]
    for change in row.get("amendments") or ():
        if row.get("runs") and isinstance(change, Mapping) and {"blind", "salt"} & set(change):
            raise InputError(f"claim: {path}: blind and salt are those of {row['runs']}; amend that claim")
        if not isinstance(change, Mapping) or set(change) - {"blind", "salt"} != {"date", "what", "why"}:
            raise InputError(
                f"claim: {path}: an amendment has date, what and why, and may have blind or salt; got {change!r}"
            )
        hashes += [change["blind"]] if "blind" in change else []
        if "salt" in change and salt_hash(str(change["salt"])) != hashes[-1]:
            raise InputError(f"claim: {path}: the salt's hash is not the one that was published; reveal that one")
    if any(not re.fullmatch(r"[0-9a-f]{64}", str(value)) for value in hashes):
        raise InputError(f"claim: {path}: blind is no SHA-256; publish the salt's hash, keep the salt")


def salt_hash(salt: str) -> str:
    """What is published beforehand: SHA-256 of the salt of the blind instances."""
    return hashlib.sha256(salt.encode()).hexdigest()
