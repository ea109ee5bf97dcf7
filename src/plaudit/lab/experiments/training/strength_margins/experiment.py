"""Networks with more weights than pairs, fitted with the strengths that ten such networks see in the same pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.curation.preference_strength.experiment import (
    WRONG,
    bootstrapped,
    fitted,
    margins_of,
    scores_of,
    world_of,
)
from plaudit.training.objectives.pairs.adaptive import (
    adaptive_margin,
    flipped,
    preference_strength,
    strength_targets,
    weakest,
)
from plaudit.training.objectives.pairs.logistic import bradley_terry
from plaudit.training.objectives.pairs.soft import soft_bradley_terry

ARMS = ("margins", "soft", "leave", "one", "shuffled", "constant", "true_margins", "ensemble", "short", "oracle")
TOP = 0.4
"""Share of the pairs, the strongest, that the arms `@top` are fitted to."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs by the true reward; `log_loss` there, in nats (log 2 for a coin), of the fresh pairs'
        true order by the fitted margins; `learned`, the share of the given labels that the reward repeats, and
        `learned_wrong`, the share of the wrong ones (0 where there are none).
    """
    del fit  # networks of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in (*WRONG, "top"):
        raise InputError(f"strength_margins: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("pairs", "features", "width", "steps", "models", "test"))
    pairs, features, width, steps, _, test = sizes
    wrong = WRONG[""] if knob == "top" else WRONG[knob]
    world = world_of(seed, wrong, pairs, features, test)
    networks = bootstrapped(seed, wrong, sizes)
    lead = margins_of(scores_of(networks, world.train))
    strength, _ = preference_strength(lead)
    index = torch.arange(2 * pairs).reshape(-1, 2)
    weight = of_the_strongest(strength) if knob == "top" else torch.ones(1, pairs)
    if name == "oracle":
        index = flipped(index, world.wrong)
    if name == "ensemble":
        said = [scores_of(networks, x).mean(dim=0) for x in (world.train, world.test)]
    else:
        if name == "one":
            alone = fitted(world.train, index, torch.ones(1, pairs), width, steps, seed=seed + 2)
            strength = margins_of(scores_of(alone, world.train))[0]
        taken = max(steps // 8, 1) if name == "short" else steps
        true = margins_of(world.trained_worth).float()
        loss = objective_of(name, strength, strength_targets(lead), true, np.random.default_rng([seed, 7]))
        last = fitted(world.train, index, weight, width, taken, seed=seed + 1, objective=loss)
        said = [scores_of(last, x)[0] for x in (world.train, world.test)]
    repeated = (margins_of(said[0]) > 0).double()
    ahead = margins_of(said[1]).double() * margins_of(world.worth).sign()
    return {
        "accuracy": float((ahead > 0).double().mean()),
        "log_loss": float(torch.nn.functional.softplus(-ahead).mean()),
        "learned": float(repeated.mean()),
        "learned_wrong": float(repeated[world.wrong].mean()) if bool(world.wrong.any()) else 0.0,
    }


def of_the_strongest(strength: Tensor) -> Tensor:
    """Weights (1, m) of pairs: 1 for the share `TOP` of largest strength, else 0."""
    return (~weakest(strength, share=1 - TOP)).float()[None]


def objective_of(
    name: str, strength: Tensor, target: Tensor, true: Tensor, rng: np.random.Generator
) -> Callable[..., Tensor]:  # fmt: skip
    """What an arm minimises: a loss of scores, pairs and weights.

    Args:
        name: of the arm.
        strength: of each pair, in the order of its label.
        target: its soft label.
        true: its true margin.
        rng: of the placebo's order.
    """
    if name == "soft":
        return partial(soft_bradley_terry, target=target)
    given = {
        "margins": strength,
        "one": strength,
        "shuffled": strength[torch.from_numpy(rng.permutation(len(strength)))],
        "constant": strength.mean().expand(len(strength)),
        "true_margins": true,
    }.get(name)
    return bradley_terry if given is None else partial(adaptive_margin, strength=given)
