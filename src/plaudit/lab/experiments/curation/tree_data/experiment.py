"""Bradley-Terry on the second step's features, from pairs of trees and of chains, with equal leaves and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from plaudit.curation.trees import ResponseTree, grow_tree, labelled_pairs, tree_pairs
from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.records.sample import Conversation, Sample, conversation
from plaudit.rewards.base import RewardBatch, Scope
from plaudit.training.frozen import fit_linear

ARMS = ("tree", "chain", "mixed", "shuffled", "oracle")
BEST_OF = 16


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `best_of_16`: mean true worth of the second step of the completion that the fitted weights choose out of 16, and
        `cosine` of fitted and true weights.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"tree_data: arm {arm!r} is not known; the claim lists the arms")
    world = Steps(seed, int(budget["features"]), 0.0 if knob else float(budget["beginning"]))
    weight = world.weight if name == "oracle" else _fitted(world, name, seed, budget)
    test = np.random.default_rng([seed, 3]).normal(size=(int(budget["test"]), BEST_OF, len(weight)))
    chosen = (test @ weight).argmax(axis=1)
    worth = (test @ world.weight)[np.arange(len(test)), chosen]
    cosine = weight @ world.weight / max(float(np.linalg.norm(weight)), 1e-12)
    return {"best_of_16": float(worth.mean()), "cosine": float(cosine)}


@final
class Steps:
    """True worth `beginning * u(first step) + w . x(second step)`, and a judge with Gumbel noise: Bradley-Terry.

    A step is a number in words: what it is worth follows from it.

    Args:
        seed: of the instance.
        features: of the second step.
        beginning: deviation of the first step's worth; the second's is 1.
    """

    name, fingerprint = "judge", "steps"
    scope: Scope = "sample"
    bounds = (-np.inf, np.inf)

    def __init__(self, seed: int, features: int, beginning: float) -> None:
        self.rng = np.random.default_rng([seed, 1])
        weight = self.rng.normal(size=features)
        self.weight, self.beginning = weight / np.linalg.norm(weight), beginning

    def features(self, completion: str) -> np.ndarray:
        """What a reward sees of a completion."""
        step = int(completion.split()[1])
        return np.random.default_rng(step).normal(size=len(self.weight))

    def __call__(self, samples: Sequence[Sample]) -> RewardBatch:
        """Judges completions, with noise that is drawn for each."""
        first = [np.random.default_rng(int(s.text.split()[0])).normal() for s in samples]
        seen = np.array([self.weight @ self.features(s.text) for s in samples])
        return RewardBatch(self.beginning * np.array(first) + seen + self.rng.gumbel(size=len(samples)))


def _step(_prompt: Conversation, _beginning: str, n: int, rng: np.random.Generator) -> list[str]:
    return [f"{i} " for i in rng.integers(2**40, size=n)]


def _fitted(world: Steps, arm: str, seed: int, budget: Mapping[str, Any]) -> np.ndarray:
    rng = np.random.default_rng([seed, 2])
    each, n = int(budget["each"]), int(budget["pairs"])
    branches = (each, 1) if arm == "chain" else (2, each // 2)
    rows = []
    for i in range(int(budget["prompts"])):
        grown: ResponseTree = grow_tree(conversation(f"prompt {i}"), _step, branches=branches, rng=rng)
        pairs = tree_pairs(grown, n, rng=rng, min_shared=int(arm in ("tree", "shuffled")))
        rows += labelled_pairs(grown, pairs, world)
    gap = np.stack([world.features(str(r.chosen)) - world.features(str(r.rejected)) for r in rows])
    if arm == "shuffled":
        gap *= np.where(rng.random(len(gap)) < 0.5, -1.0, 1.0)[:, None]
    return fit_linear(gap, l2=1e-2)
