"""Networks with more weights than pairs, fitted to labels that ten such networks have corrected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.training.objectives.pairs.adaptive import flipped, preference_strength, weakest
from plaudit.training.objectives.pairs.logistic import bradley_terry

ARMS = ("flip", "leave", "drop", "one", "ensemble", "smoothing", "short", "random", "oracle")
WRONG = {"": 0.2, "0": 0.0, "40": 0.4}
"""Share of wrong labels."""
SHARE = 0.1
"""Of the pairs, that are turned round or left out."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs by the true reward; `wrong_bottom` and `wrong_top`, shares of wrong labels in the
        tenth that the ten networks hold to be weakest and in the strongest.
    """
    del fit  # networks of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in WRONG:
        raise InputError(f"preference_strength: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("pairs", "features", "width", "steps", "models", "test"))
    pairs, features, width, steps, _, _ = sizes
    world = world_of(seed, WRONG[knob], pairs, features, int(budget["test"]))
    networks = bootstrapped(seed, WRONG[knob], sizes)
    index = torch.arange(2 * pairs).reshape(-1, 2)
    strength, _ = preference_strength(margins_of(scores_of(networks, world.train)))
    weak, strong = weakest(strength, share=SHARE), weakest(-strength, share=SHARE)
    if name == "ensemble":
        said = scores_of(networks, world.test).mean(dim=0)
    else:
        keep, smoothing = torch.ones(pairs), WRONG[knob] if name == "smoothing" else 0.0
        if name == "one":
            alone = fitted(world.train, index, torch.ones(1, pairs), width, steps, seed=seed + 2)
            index = flipped(index, weakest(margins_of(scores_of(alone, world.train))[0], share=SHARE))
        index = {"flip": flipped(index, weak), "oracle": flipped(index, world.wrong)}.get(name, index)
        keep[{"drop": weak, "random": world.drawn}.get(name, torch.zeros(pairs, dtype=torch.bool))] = 0.0
        taken = max(steps // 8, 1) if name == "short" else steps
        loss = partial(bradley_terry, label_smoothing=smoothing)
        last = fitted(world.train, index, keep[None], width, taken, seed=seed + 1, objective=loss)
        said = scores_of(last, world.test)[0]
    better = (margins_of(said) > 0) == (margins_of(world.worth) > 0)
    return {
        "accuracy": float(better.double().mean()),
        "wrong_bottom": float(world.wrong[weak].double().mean()),
        "wrong_top": float(world.wrong[strong].double().mean()),
    }


class World:
    """Pairs in places 2i (chosen) and 2i + 1 (rejected).

    Attributes:
        train: features of the training pairs, (2 m, d).
        wrong: which of their labels are wrong.
        drawn: a tenth of them, drawn at random.
        trained_worth: their inputs' true rewards.
        test: features of fresh pairs.
        worth: their inputs' true rewards.
    """

    def __init__(self, seed: int, wrong: float, pairs: int, features: int, test: int) -> None:
        rng = np.random.default_rng([seed, 1])
        weight, first, second = rng.normal(size=features), rng.normal(size=(features, 8)), rng.normal(size=8)

        def worth(x: np.ndarray) -> np.ndarray:
            return np.asarray(x @ weight + np.tanh(x @ first / np.sqrt(features) * 2) @ second)

        x = np.random.default_rng([seed, 2]).normal(size=(pairs, 2, features))
        true = np.take_along_axis(x, np.argsort(-worth(x), axis=1)[:, :, None], axis=1)
        mistaken = np.random.default_rng([seed, 3]).permutation(pairs) < wrong * pairs
        labelled = np.where(mistaken[:, None, None], true[:, ::-1], true)
        self.wrong = torch.from_numpy(mistaken)
        self.drawn = torch.from_numpy(np.random.default_rng([seed, 4]).permutation(pairs) < SHARE * pairs)
        fresh = np.random.default_rng([seed, 5]).normal(size=(2 * test, features))
        self.train = torch.from_numpy(labelled.reshape(2 * pairs, features)).float()
        self.trained_worth = torch.from_numpy(worth(labelled.reshape(2 * pairs, features)))
        self.test, self.worth = torch.from_numpy(fresh).float(), torch.from_numpy(worth(fresh))


@lru_cache(maxsize=4)
def world_of(seed: int, wrong: float, pairs: int, features: int, test: int) -> World:
    """As `World`; that of the last ones is kept."""
    return World(seed, wrong, pairs, features, test)


@lru_cache(maxsize=4)
def bootstrapped(seed: int, wrong: float, sizes: tuple[int, ...]) -> Sequence[Tensor]:
    """The networks whose margins are strengths: the same for all arms."""
    pairs, features, width, steps, models, test = sizes
    rng = np.random.default_rng([seed, 6])
    counts = np.stack([np.bincount(rng.integers(pairs, size=pairs), minlength=pairs) for _ in range(models)])
    index = torch.arange(2 * pairs).reshape(-1, 2)
    x = world_of(seed, wrong, pairs, features, test).train
    return fitted(x, index, torch.from_numpy(counts).float(), width, steps, seed=seed)


def scores_of(networks: Sequence[Tensor], x: Tensor) -> Tensor:
    """Scores of n inputs by each of k networks, (k, n)."""
    first, bias, second = networks
    return (torch.tanh(x @ first + bias) @ second)[..., 0].detach()


def margins_of(scores: Tensor) -> Tensor:
    """First minus second of neighbours."""
    return scores[..., 0::2] - scores[..., 1::2]


def fitted(
    x: Tensor, pairs: Tensor, weight: Tensor, width: int, steps: int, *, seed: int,
    objective: Callable[..., Tensor] = bradley_terry,
) -> Sequence[Tensor]:  # fmt: skip
    """As many networks as rows of weights, all of them trained at once by Adam on all pairs.

    Args:
        x: features of n inputs, (n, d).
        pairs: places in them, (m, 2).
        weight: of each network's pairs, (k, m).
        width: hidden units.
        steps: of the optimiser.
        seed: of the initial weights.
        objective: as `bradley_terry`; what it is told beside pairs and weights is of k m pairs.

    Returns:
        Weights (k, d, width), biases (k, 1, width) and the outputs' weights (k, width, 1).
    """
    k, features = len(weight), x.shape[1]
    g = torch.Generator().manual_seed(seed % 2**63)
    networks = [
        torch.randn(k, features, width, generator=g) / features**0.5, torch.zeros(k, 1, width),
        torch.randn(k, width, 1, generator=g) / width**0.5,
    ]  # fmt: skip
    parameters = [p.requires_grad_() for p in networks]
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    # one list of scores after the other, so that the objective sees the pairs of all networks as those of one row
    shift = (torch.arange(k) * len(x))[:, None, None]
    index = (pairs[None] + shift).reshape(-1, 2)
    for _ in range(steps):
        optimiser.zero_grad()
        first, bias, second = parameters
        scores = (torch.tanh(x @ first + bias) @ second)[..., 0].reshape(-1)
        loss = objective(scores, index, weight=weight.reshape(-1)) / weight.shape[1]
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return parameters
