"""The libraries that formulas are held against come with the tests, so that no parity test is skipped in silence."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def _brought(extra):
    """Distributions of an extra, those of the extras that it names included."""
    found = set()
    for line in EXTRAS[extra]:
        requirement = Requirement(line)
        if requirement.name == "plaudit":
            found |= {name for inner in requirement.extras for name in _brought(inner)}
        else:
            found.add(requirement.name)
    return found


@pytest.mark.parametrize("peer", ["dcor", "fairlearn", "trl", "peft", "tensorboard"])
def test_a_peer_is_installed_with_the_tests(peer):
    assert peer in _brought("dev")
    assert find_spec(peer) is not None
