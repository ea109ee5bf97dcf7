"""Reward models that nobody labelled healthy or sick: what differs is drawn, and only then are they trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.lab.fitting import reward_in_world
from plaudit.lab.members import Numbers, prepared
from plaudit.lab.worlds.assistant.annotators import Knobs
from plaudit.rewards.base import Reward

OBJECTIVES = ("bradley-terry", "bradley-terry", "plackett-luce", "convex-bradley-terry")


@dataclass(frozen=True)
class Recipe:
    """How one reward model came about.

    Attributes:
        pairs: training pairs.
        flips: share of labels turned at random.
        length_bias: the annotators' log-odds per word.
        spurious: correlation of a neutral word with which completion is better.
        size: of the model.
        objective: of the fit.
        epochs: passes over the pairs.
        seed: of initialisation and order.
    """

    pairs: int
    flips: float
    length_bias: float
    spurious: float
    size: str
    objective: str
    epochs: float
    seed: int

    @classmethod
    def drawn(cls, seed: int, k: int, *, most: int) -> Recipe:
        """The recipe of an instance's k-th model, before anything is known of it.

        Args:
            seed: of the instance.
            k: number of the model.
            most: training pairs at most.
        """
        rng = np.random.default_rng([seed, 81, k])
        large = bool(rng.random() < 0.25)
        return cls(
            pairs=round(float(np.exp(rng.uniform(np.log(min(100, most)), np.log(most))))),
            flips=float(rng.choice([0.0, 0.1, 0.2, 0.3, 0.4])),
            length_bias=float(rng.choice([0.0, 0.0, 0.1, 0.3])),
            spurious=float(rng.choice([0.0, 0.0, 0.5, 0.9])),
            size="medium" if large else "small",
            objective=str(rng.choice(OBJECTIVES)),
            epochs=float(rng.choice([1.0, 3.0, 6.0])),
            seed=int(rng.integers(1 << 30)),
        )


@dataclass(frozen=True)
class Trained:
    """A trained model with what it makes of the pool.

    Attributes:
        reward: the model.
        recipe: how it came about.
        proxy: its rewards of the pool (P, N).
    """

    reward: Reward
    recipe: Recipe
    proxy: Numbers


def trained(seed: int, k: int, budget: Mapping[str, Any]) -> Trained:
    """An instance's k-th model; the last few are kept.

    Args:
        seed: of the instance.
        k: number of the model.
        budget: the claim's table.
    """
    return _trained(seed, k, tuple(sorted(budget.items())))


@lru_cache(maxsize=16)
def _trained(seed: int, k: int, frozen: tuple[tuple[str, Any], ...]) -> Trained:
    budget = dict(frozen)
    world = prepared(seed, budget["policy_demonstrations"], budget["policy_epochs"])
    recipe = Recipe.drawn(seed, k, most=budget["pairs"])
    knobs = Knobs(
        flips=recipe.flips, length_bias=recipe.length_bias, spurious=recipe.spurious, plant=recipe.spurious > 0
    )
    reward = reward_in_world(
        world.pairs(recipe.pairs, knobs, seed=1), seed=recipe.seed, size=recipe.size, objective=recipe.objective,
        epochs=recipe.epochs,
    )  # fmt: skip
    pool = world.pool(budget["prompts"], budget["completions"])
    return Trained(reward, recipe, reward(pool.samples()).reward.reshape(pool.truth.shape))
