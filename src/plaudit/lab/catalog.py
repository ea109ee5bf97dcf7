"""Which experiments there are: every folder below `experiments` with a `claim.yaml`."""

from __future__ import annotations

import importlib
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
    out = {}
    for path in sorted(folder.glob("*/*/claim.yaml")):
        name = path.parent.relative_to(folder).as_posix()
        claim = read_claim(path)
        if claim.name != name:
            raise InputError(f"experiments: {path} names itself {claim.name!r}; its folder says {name!r}")
        out[name] = claim
    return out


def find_experiment(name: str) -> Experiment:
    """The experiment of a name, its code imported.

    Args:
        name: such as `training/data_scaling`, or its last part where that is unique.

    Raises:
        InputError: if there is none, or several.
    """
    claims = list_experiments()
    matches = [n for n in claims if n == name or n.split("/")[-1] == name]
    if len(matches) != 1:
        raise InputError(f"lab: experiment {name!r} is not known; {nearest(name, claims)}")
    claim = claims[matches[0]]
    module = importlib.import_module(
        f"plaudit.lab.experiments.{(claim.runs or claim.name).replace('/', '.')}.experiment"
    )
    return Experiment(claim, module.run_instance)
