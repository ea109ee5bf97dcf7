"""What an audit is told: sizes, groups, thresholds, what fails a build."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from plaudit.errors import InputError, nearest

FAMILIES = ("accuracy", "calibration", "bias", "attack", "consistency", "fairness")
"""What an audit consists of; the first always runs, for it is what the verdict starts from."""
LIGHTS = ("red", "amber")
"""Lights that may fail a build."""


@dataclass(frozen=True)
class AuditConfig:
    """How an audit is made.

    Raises:
        InputError: if a family is not known, or a number is out of range.
    """

    seed: int = 0
    """Of every bootstrap, split and search."""

    prompts: int = 100
    """Prompts whose completions are rewritten and attacked; accuracy, calibration and groups use all pairs."""

    resamples: int = 2000
    """Resamples of each bootstrap."""

    min_group: int = 30
    """Pairs below which a group is not measured."""

    groups: tuple[str, ...] = ()
    """Columns by which fairness is measured, `COLUMN` or `COLUMN:WHOSE` (author, subject, annotator, completion)."""

    stratum: str = ""
    """Column of what may rightly differ between groups (effort, a grade), at which they are compared: conditional
    parity. Of completions `chosen_COLUMN` and `rejected_COLUMN`."""

    skip: tuple[str, ...] = ()
    """Families that are left out, and named among what was not tested."""

    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Check to the number from which it matters, in place of its own; or a family, for those of its checks that are
    harmful above a number. Checks of accuracy, and shares that are harmful below, each have their own."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Check (`paraphrase`, `translation`, `order`) to the column that holds the other version of each pair."""

    search_budget: int = 1000
    """Samples that each search (null model, back door, black box) may have scored."""

    fail_on: tuple[str, ...] = ()
    """What makes the command exit with 1: `red`, `amber`, `worse` (than the baseline), a check or a family's name."""

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in FAMILIES[1:]:
                raise InputError(f"audit: skip has {name!r}; {nearest(name, FAMILIES[1:])}")
        if self.seed < 0:
            raise InputError(f"audit: seed is {self.seed}; give a whole number of 0 or more")
        for name in ("prompts", "resamples", "min_group", "search_budget"):
            if getattr(self, name) < 1:
                raise InputError(f"audit: {name} is {getattr(self, name)}; give at least 1")
        for name in self.fail_on:
            if name not in (*LIGHTS, "worse", *FAMILIES) and name.split("/")[0] not in FAMILIES:
                raise InputError(f"audit: fail_on has {name!r}; {nearest(name, (*LIGHTS, 'worse', *FAMILIES))}")
        for name in self.fail_on:
            if name.split("/")[0] in self.skip:
                raise InputError(f"audit: fail_on has {name!r}, and skip leaves it out; it could never fail")
        if "accuracy" in self.thresholds:
            raise InputError("audit: threshold of 'accuracy'; its checks share no unit, so name one: accuracy/coin")
        for name, value in self.thresholds.items():
            if not math.isfinite(value) or value < 0:
                raise InputError(f"audit: threshold of {name!r} is {value:g}; give a number of 0 or more")
            if name.split("/")[0] not in FAMILIES:
                raise InputError(f"audit: threshold of {name!r}; {nearest(name.split('/')[0], FAMILIES)}")
