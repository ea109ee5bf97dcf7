"""What a network does not know: from two answers to each question, and from how far five networks are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.rewards.uncertainty.moments import mixture_moments
from plaudit.training.objectives.ratings.twice import cheat_variance, two_rating_probabilities, two_ratings

ARMS = ("pairs", "ensemble", "bagged", "shuffled", "untrained", "oracle")
MEMBERS = 5
WIDTH, LR = 16, 0.005
FEATURES = 4
"""Numbers that a question shows beside its group; they say nothing about the answers."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `error`: mean over the two groups of the distance between the epistemic variance that the arm states and the
        squared error of its probabilities, on fresh questions; both parts for the group whose chances are hidden.
    """
    del fit  # small networks on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "2"):
        raise InputError(f"predicting_pairs: arm {arm!r} is not known; the claim lists the arms")
    shape = {"": 0.5, "2": 2.0, "0": None}[knob]
    x, _, answers = _questions(seed, 1, int(budget["questions"]), shape)
    fresh, chance, _ = _questions(seed, 2, int(budget["test"]), shape)
    if name == "oracle":
        said = np.full(len(fresh), 0.5), (chance - 0.5) ** 2
    elif name in ("ensemble", "bagged"):
        said = _ensemble(x, answers, fresh, seed, int(budget["steps"]), bagged=name == "bagged")
    else:
        if name == "shuffled":
            answers[:, 1] = np.random.default_rng([seed, 3]).permutation(answers[:, 1])
        said = _pairs(x, answers, fresh, seed, int(budget["steps"]) if name != "untrained" else 0)
    predicted, variance = said
    hidden = fresh[:, 0] > 0
    stated, true = ([float(v[g].mean()) for g in (~hidden, hidden)] for v in (variance, (predicted - chance) ** 2))
    error = float(np.abs(np.subtract(stated, true)).mean())
    return {"error": error, "stated_hidden": stated[1], "true_hidden": true[1]}


def _questions(seed: int, part: int, n: int, shape: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, the chance of a yes, and two raters' answers.

    In group 0 all chances are one half, in group 1 they are Beta(shape, shape), and nothing that is shown tells them
    apart.
    """
    rng = np.random.default_rng([seed, part])
    group = rng.random(n) < 0.5
    hidden = np.full(n, 0.5) if shape is None else rng.beta(shape, shape, n)
    chance = np.where(group, hidden, 0.5)
    x = np.concatenate([np.where(group, 1.0, -1.0)[:, None], rng.normal(size=(n, FEATURES))], axis=1)
    return x, chance, (rng.random((n, 2)) < chance[:, None]).astype(np.int64)


def _pairs(
    x: np.ndarray, answers: np.ndarray, fresh: np.ndarray, seed: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    network = small_network(x.shape[1], 6, width=WIDTH, seed=seed)
    given, levels, items = torch.from_numpy(x), torch.from_numpy(answers), torch.arange(len(x))

    def loss(_: int) -> Tensor:
        outputs = network(given)
        orders = (levels, levels.flip(1))  # which rater came first means nothing
        return torch.stack([two_ratings(outputs, items=items, levels=order) for order in orders]).mean() / len(x)

    minimise(network.parameters(), loss, steps=steps, lr=LR)
    with torch.no_grad():
        first, second = two_rating_probabilities(network(torch.from_numpy(fresh)))
        return first[:, 1].numpy(), cheat_variance(first, second)[:, 1].numpy()


def _ensemble(
    x: np.ndarray, answers: np.ndarray, fresh: np.ndarray, seed: int, steps: int, *, bagged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Each member sees both answers, and has a fifth of the steps: as much is computed as for one network."""
    rng = np.random.default_rng([seed, 4])
    given, yes = torch.from_numpy(x), torch.from_numpy(answers.mean(axis=1))
    found = []
    for member in range(MEMBERS):
        network = small_network(x.shape[1], 1, width=WIDTH, seed=seed + member)
        weight = torch.from_numpy(rng.poisson(1.0, len(x)) if bagged else np.ones(len(x)))

        def loss(_: int, network: Any = network, weight: Tensor = weight) -> Tensor:
            return F.binary_cross_entropy_with_logits(network(given)[:, 0], yes, weight=weight)

        minimise(network.parameters(), loss, steps=steps // MEMBERS, lr=LR)
        with torch.no_grad():
            found.append(network(torch.from_numpy(fresh))[:, 0].sigmoid().numpy())
    mean, std, _ = mixture_moments(np.stack(found, axis=1))
    return mean, std**2
