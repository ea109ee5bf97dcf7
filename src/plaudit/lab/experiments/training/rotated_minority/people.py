"""Who judges what: training users of both groups, test users with the pairs that they are known by, and their tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.lab.experiment import Scorer
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, Prepared, prepare
from plaudit.lab.worlds.assistant.annotators import Panel
from plaudit.lab.worlds.assistant.utility import Utility
from plaudit.records.rows import Pair

GROUPS = ("majority", "minority")
ForUser = Callable[[Sequence[Pair]], Scorer]
"""From the pairs that a test user is known by to that user's scorer."""


@dataclass(frozen=True)
class People:
    """An instance's annotators.

    Attributes:
        world: the instance.
        train: judged pairs of training users, whose `annotator` says who.
        contexts: for each group its test users, each with the pairs that the user is known by.
        test: pairs of other prompts.
        values: what each group values.
        rotation: degrees by which the minority's weights are turned.
    """

    world: Prepared
    train: list[Pair]
    contexts: Mapping[str, list[list[Pair]]]
    test: list[Pair]
    values: Mapping[str, Utility]
    rotation: float


def people(seed: int, rotation: float, budget: Mapping[str, Any]) -> People:
    """The annotators of an instance under a rotation, kept for the next arm."""
    return _people(seed, rotation, *sorted(budget.items()))


@lru_cache(maxsize=2)
def _people(seed: int, rotation: float, *budget: tuple[str, Any]) -> People:
    b = dict(budget)
    world = prepare(seed, PolicyConfig(demonstrations=b["policy_demonstrations"], epochs=b["policy_epochs"]))
    knobs = Knobs(group_share=b["share"], group_rotation=rotation)
    train = [row for rows in dealt(world.pairs(b["pairs"], knobs, seed=1), b["each"]).values() for row in rows]
    # as many users of one group as of the other, whatever their share in training
    asked = world.pairs(3 * b["users"] * b["context"], replace(knobs, group_share=0.5), seed=3)
    known = {g: [r for r in asked if r.meta["annotator_group"] == g] for g in GROUPS}
    size, users = b["context"], b["users"]
    contexts = {g: [rows[i * size : (i + 1) * size] for i in range(users)] for g, rows in known.items()}
    values = {"majority": world.world.utility, "minority": Panel.drawn(world.world, knobs).group}
    return People(world, train, contexts, world.pairs(b["test"], seed=2, side="test"), values, rotation)


def dealt(rows: Sequence[Pair], each: int) -> dict[str, list[Pair]]:
    """The rows of each user: those of a group dealt out in their order, so many a user."""
    seen = dict.fromkeys(GROUPS, 0)
    found: dict[str, list[Pair]] = {}
    for row in rows:
        group = row.meta["annotator_group"]
        name = f"{group}-{seen[group] // each}"
        seen[group] += 1
        found.setdefault(name, []).append(replace(row, annotator=name))
    return found


def exchanged(people: People) -> People:
    """The same people, each test user known by the pairs of one of the other group.

    A scorer that learns nothing of a person from the pairs is as good as before; one that learns whose they are serves
    the other group.
    """
    majority, minority = (people.contexts[g] for g in GROUPS)
    return replace(people, contexts={"majority": minority, "minority": majority})


def accuracies(people: People, for_user: Mapping[str, ForUser]) -> dict[str, float]:
    """`accuracy_majority` and `accuracy_minority`: of each group's users on test pairs, by what the group values.

    Each user ranks an equal part of the test pairs; pairs that the group holds to be equal are left out, and a scorer's
    ties count half.

    Args:
        people: of the instance.
        for_user: for each group how a user's scorer is made.
    """
    found = {}
    for group, contexts in people.contexts.items():
        agree: list[float] = []
        for i, context in enumerate(contexts):
            rows = people.test[i :: len(contexts)]
            first, second = ([r.samples()[k] for r in rows] for k in (0, 1))
            parsed = [people.world.world.parse(side) for side in (first, second)]
            margin = people.values[group](parsed[0]) - people.values[group](parsed[1])
            score = for_user[group](context)
            told = np.sign(score(first) - score(second)) * np.sign(margin)
            agree += ((told + 1) / 2)[np.abs(margin) > 1e-9].tolist()
        found[f"accuracy_{group}"] = float(np.mean(agree))
    return found
