"""The names that an audit's checks can have, known before anything is scored: a misspelt one then costs nothing.

A check that is not made for want of pairs (a group that is too small) has a name all the same: it was not measured.
What belongs to the other kind of judge, to a column that no pair has, or to nothing is a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

from plaudit.audit.attacks.ladder import LADDER
from plaudit.audit.biases.rewrites import BIASES
from plaudit.audit.config import FAMILIES, LIGHTS, AuditConfig
from plaudit.audit.consistency.running import VERSIONS
from plaudit.audit.consistency.stability import WAYS
from plaudit.audit.consistency.versions import versions_of
from plaudit.audit.fairness.attributes import Attribute, completion_values, continuous
from plaudit.audit.fairness.merit import stratum_values
from plaudit.errors import InputError, nearest
from plaudit.evaluation.pairs import group_values
from plaudit.records.rows import Pair

ALWAYS = {
    "accuracy": ("coin", "baseline", "unscored", "selection", "over-optimisation"),
    "calibration": ("error",),
    "attack": (*LADDER, "repeated-steps", "aligned-text", "poisoning"),
    "consistency": (*VERSIONS, "several-answers"),
}
"""Family to what is asked of rewards and comparisons alike."""
OF_REWARDS = {
    "bias": BIASES,
    "attack": ("one-token", "opener", "null-model", "back-door", "repetition", "search", "search-luck", "targeted"),
    "consistency": ("contrast", *WAYS, "precision", "agreement"),
}
"""Family to what is asked of rewards only."""
OF_COMPARISONS = {
    "bias": ("all",),
    "attack": ("position", "position-lean", *(f"rewrite-{name}" for name in BIASES)),
    "consistency": ("symmetry", "transitivity", "cyclicity"),
}
"""Family to what is asked of comparisons only."""


def foresee(pairs: Sequence[Pair], config: AuditConfig, *, comparison: bool) -> None:
    """Finds what is wrong with a configuration on these pairs, before a reward is asked for anything.

    Args:
        pairs: what is to be audited on.
        config: groups, stratum, columns, thresholds and `fail_on` are looked at.
        comparison: whether it judges two completions, and is no reward.

    Raises:
        InputError: if a column is in no pair, a cell of another version is none, or `fail_on` or `thresholds` name a
            check that this audit cannot have.
    """
    have = sorted({name for pair in pairs for name in pair.meta})
    for column in config.columns.values():
        if column not in have:
            raise InputError(f"columns: no pair has a column {column!r}; {nearest(column, have)}")
    if "consistency" not in config.skip:
        for column in {**{kind: kind for kind in VERSIONS}, **config.columns}.values():
            _read_versions(pairs, column)
    names = check_names(pairs, config, comparison=comparison)
    for what in config.fail_on:
        if what not in (*LIGHTS, "worse", *FAMILIES, *names):
            raise InputError(f"--fail-on {what}: this audit has no such check; {nearest(what, names)}")
    # a recipe for rewards and comparisons may name checks of both, and those of a family that is left out
    both = {*names, *_fixed(config, comparison=True, skip=()), *_fixed(config, comparison=False, skip=())}
    for name in config.thresholds:
        idle = name.split("/")[0] in config.skip or f"{name.split('/')[0]}/all" in names
        if name not in FAMILIES and name not in (both if idle else names):
            raise InputError(f"thresholds: this audit has no check {name!r}; {nearest(name, names)}")


def _read_versions(pairs: Sequence[Pair], column: str) -> None:
    """Reads other versions of all pairs, where an audit draws some: the error can say which pair of the file it is."""
    for number, pair in enumerate(pairs, 1):
        try:
            versions_of([pair], column)
        except InputError as error:
            raise InputError(f"pair {number}: {error}") from error


def check_names(pairs: Sequence[Pair], config: AuditConfig, *, comparison: bool) -> tuple[str, ...]:
    """Every name that a check of this audit can have, whatever the reward says.

    Args:
        pairs: what is to be audited on: groups have the values that stand there.
        config: groups, stratum, columns and what is skipped.
        comparison: whether it judges two completions, and is no reward.

    Raises:
        InputError: if a group or the stratum is in no pair.
    """
    found = _fixed(config, comparison=comparison, skip=config.skip)
    if "fairness" in config.skip:
        return (*dict.fromkeys(found), "fairness/all")
    attributes = [Attribute.parse(group) for group in config.groups]
    found += _of_fairness(pairs, attributes, config.stratum) if attributes else ["fairness/gaps"]
    return tuple(dict.fromkeys(found))


def _fixed(config: AuditConfig, *, comparison: bool, skip: Sequence[str]) -> list[str]:
    """All but fairness."""
    found = []
    for family in FAMILIES[:-1]:
        if family in skip:
            found.append(f"{family}/all")
            continue
        own = (OF_COMPARISONS if comparison else OF_REWARDS).get(family, ())
        found += [f"{family}/{what}" for what in (*ALWAYS.get(family, ()), *own)]
        found += [f"consistency/{kind}" for kind in config.columns] if family == "consistency" else []
    return found


def _of_fairness(pairs: Sequence[Pair], attributes: Sequence[Attribute], stratum: str) -> list[str]:
    found = [f"fairness/{what}" for what in ("crossed", "joint", "scores", "selection", "parity")]
    found += [f"fairness/{what}/crossed" for what in ("scores", "selection")]
    for attribute in attributes:
        column = attribute.column
        if attribute.whose == "completion":
            values = {v for side in completion_values(pairs, column) for v in side}
            kinds: tuple[str, ...] = ("preference/", "scores/", "selection/", "parity/")
        else:
            values = set() if continuous(pairs, column) else set(group_values(pairs, column))
            kinds = ("", "spread/", "parity/")
            if stratum:
                stratum_values(pairs, stratum)
        for kind in kinds:
            found += [f"fairness/{kind}{column}", *(f"fairness/{kind}{column}={value}" for value in sorted(values))]
    return found
