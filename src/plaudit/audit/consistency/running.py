"""All checks of consistency on one reward: the table, and one call that makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from plaudit.audit.checks import Check
from plaudit.audit.consistency.agreement import agreement
from plaudit.audit.consistency.contrast import Contrast, contrast
from plaudit.audit.consistency.stability import precision, stability
from plaudit.audit.consistency.triads import candidates, symmetry, transitivity
from plaudit.audit.consistency.versions import Rephrase, invariance, versions_of
from plaudit.audit.scored import Scored
from plaudit.errors import InputError, nearest
from plaudit.records.rows import Pair
from plaudit.rewards.base import Comparison, Reward

Needs = Literal["reward", "comparison", "either"]
VERSIONS = ("paraphrase", "translation", "order")
"""Kinds of other versions of a pair, each read from the column of its name unless another one is given."""


@dataclass(frozen=True)
class Options:
    """What all checks are told.

    Attributes:
        columns: kind of version (`paraphrase`, `translation`, `order`, or a name of your own) to its column.
        rephrase: a function that paraphrases pairs; instead of a column.
        contrasts: near prompts of your own; None looks for them among the pairs.
        others: further rewards of the same task, by name.
        seed: of everything random.
        resamples: number of bootstrap resamples.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    rephrase: Rephrase | None = None
    contrasts: Sequence[Contrast] | None = None
    others: Mapping[str, Reward] = field(default_factory=dict)
    seed: int = 0
    resamples: int = 2000

    def common(self) -> dict[str, Any]:
        """Seed and resamples, as every check takes them."""
        return {"seed": self.seed, "resamples": self.resamples}


@dataclass(frozen=True)
class Consistency:
    """One line of the table.

    Attributes:
        run: from pairs, the reward or comparison, and options to the checks.
        tests: what it tests and what it needs of the data, in a line.
        needs: what it is made on.
    """

    run: Callable[[Sequence[Pair], Any, Options], tuple[Check, ...]]
    tests: str
    needs: Needs = "reward"


def _versions(pairs: Sequence[Pair], target: Any, o: Options) -> tuple[Check, ...]:
    known = sorted({name for pair in pairs for name in pair.meta})
    for column in o.columns.values():
        if column not in known:
            raise InputError(f"consistency: no pair has a column {column!r}; {nearest(column, known)}")
    columns = {**{kind: kind for kind in VERSIONS}, **o.columns}
    made = {kind: versions_of(pairs, column) for kind, column in columns.items()}
    if o.rephrase is not None:
        made["paraphrase"] = [o.rephrase(pair) for pair in pairs]
    return tuple(invariance(pairs, versions, target, name=kind, **o.common()) for kind, versions in made.items())


def _agreement(pairs: Sequence[Pair], reward: Reward, o: Options) -> tuple[Check, ...]:
    rewards: Mapping[str, Reward] | Reward = {reward.name: reward, **o.others} if o.others else reward
    return (agreement(pairs, rewards, **o.common()),)


CONSISTENCY: Mapping[str, Consistency] = {
    "contrast": Consistency(
        lambda p, r, o: (contrast(p, r, contrasts=o.contrasts, **o.common()),),
        "near prompts with their responses swapped [17]; needs near prompts among the pairs",
    ),
    "versions": Consistency(
        _versions, "paraphrases, translations, other orders; needs their columns, or a function", "either"
    ),
    "stability": Consistency(
        lambda p, r, o: stability(p, r, **o.common()), "the same samples again, alone, and in another order"
    ),
    "precision": Consistency(
        lambda p, r, o: (precision(p, r, **o.common()),), "bfloat16 against the precision at hand; needs a model folder"
    ),
    "agreement": Consistency(_agreement, "several rewards, or the members of one; needs them"),
    "symmetry": Consistency(
        lambda p, c, o: (symmetry(p, c, **o.common()),), "p(a, b) + p(b, a) = 1", "comparison"
    ),
    "transitivity": Consistency(
        lambda p, c, o: transitivity(candidates(p), c, **o.common()),
        "circles among three completions; needs three a prompt",
        "comparison",
    ),
}  # fmt: skip
"""Name to check, in the order in which they are made."""


def run_consistency(
    pairs: Sequence[Pair], reward: Reward | Comparison, *, only: Sequence[str] = (),
    columns: Mapping[str, str] | None = None, rephrase: Rephrase | None = None,
    contrasts: Sequence[Contrast] | None = None, others: Mapping[str, Reward] | None = None, seed: int = 0,
    resamples: int = 2000,
) -> tuple[Check, ...]:  # fmt: skip
    """Makes the checks that fit the reward (or comparison).

    Args:
        pairs: held-out pairs, at least one.
        reward: a reward or a comparison; pass a `Scored` to share scores with other parts of an audit.
        only: names out of `CONSISTENCY`; all that fit by default.
        columns: see `Options`.
        rephrase: see `Options`.
        contrasts: see `Options`.
        others: see `Options`.
        seed: of everything random.
        resamples: number of bootstrap resamples.

    Returns:
        Checks in the order of the table; grey ones say why they were not measured.

    Raises:
        InputError: if there are no pairs, or a name is not known or does not fit.
    """
    options = Options(columns or {}, rephrase, contrasts, others or {}, seed, resamples)
    kind: Needs = "reward" if isinstance(reward, Reward) else "comparison"
    unknown = [name for name in only if name not in CONSISTENCY]
    if unknown:
        raise InputError(f"consistency: {unknown[0]!r} is not known; {nearest(unknown[0], CONSISTENCY)}")
    other = [name for name in only if CONSISTENCY[name].needs not in (kind, "either")]
    if other or not pairs:
        what = f"{other[0]} is made on a {CONSISTENCY[other[0]].needs} and {reward.name} is a {kind}" if other else ""
        raise InputError(f"consistency: {what or 'no pairs'}; give {'another check' if other else 'at least one'}")
    target = Scored.wrap(reward) if isinstance(reward, Reward) else reward
    names = only or [name for name, check in CONSISTENCY.items() if check.needs in (kind, "either")]
    return tuple(check for name in names for check in CONSISTENCY[name].run(pairs, target, options))
