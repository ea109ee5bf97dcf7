"""One reward for all, a mixture, a user model and user directions, for people of two groups who disagree.

Of the user model five settings were tried on one development instance (features of the single reward or of the mixture,
800 or 3,000 steps, more weight decay); what the claim had said before, the first, stayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit, Scorer
from plaudit.lab.experiments.training.rotated_minority.people import (
    GROUPS,
    ForUser,
    People,
    accuracies,
    exchanged,
    people,
)
from plaudit.lab.fitting import reward_in_world, scorer_of
from plaudit.lab.worlds.assistant.aspects import ASPECTS
from plaudit.records.rows import Pair, Rated
from plaudit.rewards.models import ModelReward
from plaudit.rewards.people import adapted
from plaudit.rewards.uncertainty.features import leaf_features
from plaudit.shaping.directions import DirectionReward
from plaudit.training.frozen import fit_linear
from plaudit.training.people import UserFit, fit_users

LEARNING_RATE = 3e-3
"""For the starting policy as the backbone, as in cyclic_annotators; nothing was tried here."""
PENALTY = 0.1
"""Of a linear fit to one user's pairs, fixed beforehand."""
LOOSE = 0.05
"""Entropy coefficient of `mixture_loose`; the objective's is the paper's, 0.5."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy_minority` and `accuracy_majority`: by what each group values, for new users of that group.
    """
    del fit  # models, not scorers, are needed
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"rotated_minority: arm {arm!r} is not known; the claim lists the arms")
    found = people(seed, 0.0 if knob else budget["rotation"], budget)
    made = ARMS[name](found, seed, budget)
    asked = exchanged(found) if name in EXCHANGED else found
    return accuracies(asked, made if isinstance(made, dict) else dict.fromkeys(GROUPS, made))


def _fitted(found: People, rows: Sequence[Any], seed: int, budget: Mapping[str, Any], objective: str) -> ModelReward:
    reward = reward_in_world(
        rows, seed=seed, size=budget["size"], objective=objective, backbone=found.world.policy_folder,
        learning_rate=LEARNING_RATE, epochs=budget["epochs"],
    )  # fmt: skip
    assert isinstance(reward, ModelReward)
    return reward


def _shared(found: People, seed: int, budget: Mapping[str, Any], objective: str) -> ModelReward:
    """A model of all training rows, fitted once for the arms of an instance that need it."""
    return _of_all(seed, found.rotation, objective, *sorted(budget.items()))


@lru_cache(maxsize=4)
def _of_all(seed: int, rotation: float, objective: str, *budget: tuple[str, Any]) -> ModelReward:
    found = people(seed, rotation, dict(budget))
    return _fitted(found, found.train, seed, dict(budget), objective)


def _single(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    return _constant(scorer_of(_shared(found, seed, budget, "bradley-terry")))


def _unadapted(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    return _constant(scorer_of(_shared(found, seed, budget, "mixture")))


def _mixture(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    return _adapted(_shared(found, seed, budget, "mixture"))


def _loose(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    """A mixture that is pulled less towards equal shares."""
    return _adapted(_shared(found, seed, budget, f"mixture?entropy_coef={LOOSE}"))


def _adapted(reward: ModelReward) -> ForUser:
    return lambda context: scorer_of(adapted(reward, context))


def _variational(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    return _users(found, found.train, seed, budget)


def _shuffled(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    order = np.random.default_rng([seed, 71]).permutation(len(found.train))
    names = [found.train[i].annotator for i in order]
    return _users(found, [replace(r, annotator=n) for r, n in zip(found.train, names, strict=True)], seed, budget)


def _users(found: People, rows: Sequence[Pair], seed: int, budget: Mapping[str, Any]) -> ForUser:
    base = _shared(found, seed, budget, "bradley-terry")
    config = UserFit(context=budget["context"], steps=budget["steps"], seed=seed)
    users = fit_users(base, rows, config=config)
    return lambda context: scorer_of(users.for_user(context, draws=0))


def _linear(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    base = _shared(found, seed, budget, "bradley-terry")

    def features(samples: Sequence[Any]) -> np.ndarray:
        return leaf_features(base, samples).double().numpy()

    spread = features([s for row in found.train[:200] for s in row.samples()]).std(axis=0) + 1e-9

    def for_user(context: Sequence[Pair]) -> Scorer:
        chosen, rejected = (features([r.samples()[i] for r in context]) / spread for i in (0, 1))
        weight = fit_linear(chosen - rejected, l2=PENALTY)
        return lambda samples: features(samples) / spread @ weight

    return for_user


def _directions(found: People, seed: int, budget: Mapping[str, Any]) -> ForUser:
    """A user's direction over predicted aspects, each in units of its deviation."""
    reward, spread = _of_aspects(seed, found.rotation, *sorted(budget.items()))

    def for_user(context: Sequence[Pair]) -> Scorer:
        said = [reward([r.samples()[i] for r in context]).aspects for i in (0, 1)]
        table = [np.stack([x[a] for a in ASPECTS], axis=1) for x in said]
        weight = fit_linear((table[0] - table[1]) / spread, l2=PENALTY) / spread
        return scorer_of(DirectionReward(reward, dict(zip(ASPECTS, weight.tolist(), strict=True))))

    return for_user


@lru_cache(maxsize=2)
def _of_aspects(seed: int, rotation: float, *budget: tuple[str, Any]) -> tuple[ModelReward, np.ndarray]:
    """A model of the aspects of all training completions, and their deviations."""
    found = people(seed, rotation, dict(budget))
    samples = [s for row in found.train for s in row.samples()]
    values = found.world.world.parse(samples).values
    rows = [
        Rated(s.prompt, s.completion, aspects=dict(zip(ASPECTS, v, strict=True)))
        for s, v in zip(samples, values.tolist(), strict=True)
    ]
    reward = _fitted(found, rows, seed, dict(budget), "aspects")
    return reward, np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)


def _separate(found: People, seed: int, budget: Mapping[str, Any]) -> dict[str, ForUser]:
    made: dict[str, ForUser] = {}
    for group in GROUPS:
        rows = [r for r in found.train if r.meta["annotator_group"] == group]
        made[group] = _constant(scorer_of(_fitted(found, rows, seed, budget, "bradley-terry")))
    return made


def _constant(scores: Scorer) -> ForUser:
    """The same scorer for everybody, whatever is known of them."""
    return lambda _context: scores


ARMS: Mapping[str, Callable[[People, int, Mapping[str, Any]], ForUser | dict[str, ForUser]]] = {
    "variational": _variational, "single": _single, "mixture": _mixture, "unadapted": _unadapted,
    "directions": _directions, "linear": _linear, "shuffled": _shuffled, "separate": _separate,
    "mixture_exchanged": _mixture, "directions_exchanged": _directions, "mixture_loose": _loose,
}  # fmt: skip
"""Arm, without what follows `@`, to how a user's scorer is made."""

EXCHANGED = ("mixture_exchanged", "directions_exchanged")
"""Arms whose users are known by pairs of the other group's."""
