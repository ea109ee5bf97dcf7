"""A network that is asked whether one candidate beats another, and networks that score one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit
from torch import Tensor, nn

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.rewards.likelihood.yes import order_debiased
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.policies.word import yes_no_loss
from plaudit.training.objectives.ratings.regression import squared_rating

ASKED = ("yes_1", "yes_4", "yes_16", "raw_4", "shuffled_4")
ARMS = (*ASKED, "regression", "regression_centred", "bradley_terry", "oracle")
KNOBS = {"": (0.3, 2.0), "1": (1.0, 2.0), "3": (3.0, 2.0), "flat": (0.3, 0.0)}
"""Deviations of the worth within prompts and of the prompts' levels."""
EACH = 4
"""Candidates a prompt: four ratings, and four of the six comparisons."""
COMPARED = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
MOST = 16
"""References a prompt at hand."""
WIDTH = 32
L2 = 1e-2
"""Penalty on squared weights, the same for all networks: of four values on two development instances the best for yes
and for regression alike, with 400 prompts and 300 steps. So strong a one leaves the network of yes nearly linear: the
references then move all candidates alike, and neither their number nor the order of the question changes a ranking."""
Scores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Prompts:
    """Candidates of n prompts.

    Attributes:
        features: (n, k, 2 d), what a model sees.
        worth: (n, k), what they are worth.
    """

    features: np.ndarray
    worth: np.ndarray


@final
class Levels:
    """Draws prompts and candidates.

    Args:
        seed: of the instance.
        features: numbers that say what a prompt asks, and as many that tell its candidates apart.
        within: deviation of the worth of one prompt's candidates.
        between: deviation of prompts' levels.
    """

    def __init__(self, seed: int, features: int, within: float, between: float) -> None:
        self.seed, self.within, self.between = seed, within, between
        rng = np.random.default_rng([seed, 1])
        self.direction, own = rng.normal(size=(2, features))
        self.own = own / np.linalg.norm(own)
        self.phase = rng.uniform(0, 2 * np.pi, features)
        self.mixing = np.linalg.qr(rng.normal(size=(2 * features,) * 2))[0]

    def draw(self, n: int, each: int, part: int) -> Prompts:
        """Draws n prompts with some candidates each; `part` is of the random stream."""
        rng = np.random.default_rng([self.seed, part])
        d = len(self.own)
        asked, told = rng.normal(size=(n, 1, d)), rng.normal(size=(n, each, d))
        level = self.between * np.sqrt(2 / d) * np.sin(2 * asked + self.phase).sum(axis=-1)  # deviation about 1 each
        worth = level + self.within * (told @ self.own)
        return Prompts(np.concatenate([np.repeat(asked, each, axis=1), told], axis=2) @ self.mixing, worth)


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on pairs of candidates of fresh prompts, ties half.
    """
    del fit  # small networks of given numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in KNOBS:
        raise InputError(f"yes_against_reference: arm {arm!r} is not known; the claim lists the arms")
    world = Levels(seed, int(budget["features"]), *KNOBS[knob])
    train, test = world.draw(int(budget["prompts"]), EACH, 2), world.draw(int(budget["test"]), 2 + MOST, 4)
    # an impression is as noisy as candidates differ; a rating says it, and a comparison which of two is larger
    seen = train.worth + world.within * np.random.default_rng([seed, 3]).normal(size=train.worth.shape)
    steps = int(budget["steps"])
    if name == "oracle":
        reward = test.worth[:, :2]
    elif name in ASKED:
        model = _asked(train, seen, seed, steps, coin=name == "shuffled_4")
        reward = _against(model, test, int(name.split("_")[1]), debias=name != "raw_4")
    else:
        reward = _scored(name, train, seen, seed, steps)(test.features[:, :2])
    agree = np.sign(reward[:, 0] - reward[:, 1]) * np.sign(test.worth[:, 0] - test.worth[:, 1])
    return {"accuracy": float((agree + 1).mean() / 2)}


def _asked(train: Prompts, seen: np.ndarray, seed: int, steps: int, *, coin: bool) -> nn.Module:
    """Logit of yes to "is the first better than the second?"; each comparison is asked in both orders."""
    first, second = (train.features[:, COMPARED[:, i]].reshape(-1, train.features.shape[2]) for i in (0, 1))
    better = (seen[:, COMPARED[:, 0]] > seen[:, COMPARED[:, 1]]).ravel()
    if coin:
        better = np.random.default_rng([seed, 5]).random(len(better)) < 0.5
    return comparator(first, second, better, width=WIDTH, l2=L2, seed=seed, steps=steps)


def comparator(
    first: np.ndarray, second: np.ndarray, better: np.ndarray, *, width: int, l2: float, seed: int, steps: int
) -> nn.Module:
    """Fits the logit of yes to "is the first better than the second?"; each comparison is asked in both orders.

    Args:
        first: features, (m, d).
        second: of what it is compared with, (m, d).
        better: whether the first is, (m,).
        width: hidden units.
        l2: penalty on squared weights.
        seed: of the weights.
        steps: of Adam.
    """
    x = torch.from_numpy(np.concatenate([np.hstack([first, second]), np.hstack([second, first])]))
    met = torch.from_numpy(np.concatenate([better, ~better]))
    m = len(met)
    yes, no = torch.arange(m), torch.arange(m) + m  # places of the words' log-probabilities
    words = torch.stack([torch.where(met, yes, no), torch.where(met, no, yes)], dim=1)
    model = small_network(x.shape[1], 1, width=width, seed=seed)

    def loss(_: int) -> Tensor:
        z = model(x)[:, 0]
        return yes_no_loss(torch.cat([F.logsigmoid(z), F.logsigmoid(-z)]), words) / m + penalty(model, l2)

    minimise(model.parameters(), loss, steps=steps)
    return model


def yes_of(model: nn.Module, candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Probability of yes for each candidate against its reference, of shape (...,), from features (..., d)."""
    with torch.no_grad():
        z = model(torch.from_numpy(np.concatenate([candidate, reference], axis=-1)))
    return np.asarray(expit(z[..., 0].numpy()))


def _against(model: nn.Module, test: Prompts, references: int, *, debias: bool) -> np.ndarray:
    """Mean probability of beating the first so many references, for both candidates of each prompt, (n, 2)."""
    candidate = np.repeat(test.features[:, :2, None], references, axis=2)
    reference = np.repeat(test.features[:, None, 2 : 2 + references], 2, axis=1)
    p = yes_of(model, candidate, reference)
    if debias:
        p = order_debiased(p, yes_of(model, reference, candidate))
    return np.asarray(p.mean(axis=2))


def _scored(name: str, train: Prompts, seen: np.ndarray, seed: int, steps: int) -> Scores:
    """A score a candidate, from ratings or from comparisons."""
    x = torch.from_numpy(train.features.reshape(-1, train.features.shape[2]))
    model = small_network(x.shape[1], 1, width=WIDTH, seed=seed)
    if name == "bradley_terry":
        place = EACH * np.arange(len(seen))[:, None, None] + COMPARED
        first = (seen[:, COMPARED[:, 0]] > seen[:, COMPARED[:, 1]])[..., None]
        pairs = torch.from_numpy(np.where(first, place, place[..., ::-1]).reshape(-1, 2))
        minimise(
            model.parameters(),
            lambda _: bradley_terry(model(x)[:, 0], pairs) / len(pairs) + penalty(model, L2),
            steps=steps,
        )
    else:
        rating = seen - seen.mean(axis=1, keepdims=True) if name == "regression_centred" else seen - seen.mean()
        target = torch.from_numpy((rating / rating.std()).ravel())
        items = torch.arange(len(target))
        minimise(
            model.parameters(),
            lambda _: squared_rating(model(x)[:, 0], items=items, ratings=target) / len(target) + penalty(model, L2),
            steps=steps,
        )

    def scores(features: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(features))[..., 0].numpy())

    return scores


def penalty(model: nn.Module, l2: float) -> Tensor:
    """`l2` times the sum of squared weights."""
    return l2 * torch.stack([w.square().sum() for w in model.parameters()]).sum()
