"""Which experiments there are: every folder below `experiments` with a `claim.yaml`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from plaudit.errors import InputError, nearest
from plaudit.lab.claim import Claim, read_claim
from plaudit.lab.experiment import Experiment

FOLDER = Path(__file__).parent / "experiments"


def list_experiments(folder: Path = FOLDER) -> dict[str, Claim]:
    """Name to claim, sorted; no experiment's code is imported.

    Args:
        folder: where to look.

    Raises:
        InputError: if a claim does not carry its folder's name, or cannot be read.
    """
    return {name: _read(name, path) for name, path in _paths(folder).items()}


def _paths(folder: Path) -> dict[str, Path]:
    """Name to file, sorted."""
    return {p.parent.relative_to(folder).as_posix(): p for p in sorted(folder.glob("*/*/claim.yaml"))}


def _read(name: str, path: Path) -> Claim:
    claim = read_claim(path)
    if claim.name != name:
        raise InputError(f"experiments: {path} names itself {claim.name!r}; its folder says {name!r}")
    return claim


_TAUGHT = (
    "curation/hierarchical_factors", "curation/preference_strength", "curation/principle_consensus",
    "curation/tree_data",
)  # fmt: skip
"""Experiments of curation on what reward models are taught by: other labels, turned ones, principles, trees."""

AREAS: dict[str, Callable[[str], bool]] = {
    "reward-models": lambda name: (
        (name.split("/")[0] in ("training", "rewards") and not name.startswith("rewards/verifier")) or name in _TAUGHT
    ),
    "verifiers": lambda name: name.startswith("rewards/verifier"),
}
"""Areas that are more, or less, than one room: which experiments belong to them."""


def in_area(claims: Mapping[str, Claim], area: str | None) -> dict[str, Claim]:
    """The claims of an area: one of `AREAS`, or a room; all of them if None.

    Raises:
        InputError: if there is no such area.
    """
    if area is None:
        return dict(claims)
    rooms = {claim.area for claim in claims.values()}
    if area not in AREAS and area not in rooms:
        raise InputError(f"lab: area {area!r} is not known; {nearest(area, sorted({*AREAS, *rooms}))}")
    belongs = AREAS.get(area) or (lambda name: name.split("/")[0] == area)
    return {name: claim for name, claim in claims.items() if belongs(name)}


def find_experiment(name: str) -> Experiment:
    """The experiment of a name, its code imported; no other claim is read.

    Args:
        name: such as `training/data_scaling`, or its last part where that is unique.

    Raises:
        InputError: if there is none, or several; or if its claim cannot be read.
    """
    paths = _paths(FOLDER)
    matches = [n for n in paths if n == name or n.split("/")[-1] == name]
    if len(matches) != 1:
        raise InputError(f"lab: experiment {name!r} is not known; {nearest(name, paths, listed='plaudit lab list')}")
    claim = _read(matches[0], paths[matches[0]])
    module = importlib.import_module(
        f"plaudit.lab.experiments.{(claim.runs or claim.name).replace('/', '.')}.experiment"
    )
    return Experiment(claim, module.run_instance)
