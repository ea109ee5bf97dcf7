"""A network with and without the contrastive term on its hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise
from plaudit.training.losses.pairs import logistic
from plaudit.training.objectives.pairs.contrastive import contrastive_views, differences
from plaudit.training.shifted import turn
from plaudit.training.views import contrastive_objective

ARMS = ("contrastive", "plain", "differences", "masks", "strangers", "oracle")
COMPLETIONS = 4
"""Of a prompt: the first is compared with the second, the third with the fourth."""
WRONG = 0.1
"""Share of labels that are turned round, beside the noise of Bradley-Terry."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs by the true reward, and `log_loss` of fresh labels without wrong ones, in nats.
    """
    del fit  # a network of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "bare"):
        raise InputError(f"contrastive_term: arm {arm!r} is not known; the claim lists the arms")
    d, n, test = int(budget["features"]), int(budget["prompts"]) * COMPLETIONS, int(budget["test"])
    rng = np.random.default_rng([seed, 1])
    weight, first, second = rng.normal(size=d), rng.normal(size=(d, 8)) * 2 / np.sqrt(d), rng.normal(size=8) * 2

    def worth(x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weight + np.tanh(x @ first) @ second)

    x, fresh = (np.random.default_rng([seed, part]).normal(size=(m, d)) for part, m in ((2, n), (3, 2 * test)))
    gap = worth(x)[0::2] - worth(x)[1::2]
    draw, mistake = np.random.default_rng([seed, 4]).random((2, len(gap)))
    better = (draw < 1 / (1 + np.exp(-gap))) ^ (mistake < WRONG)
    if name == "oracle":
        better = gap > 0
    order = torch.from_numpy(np.where(better[:, None], [0, 1], [1, 0]).reshape(-1, COMPLETIONS // 2, 2))
    coef = 0.0 if knob == "0" or name in ("plain", "masks", "oracle") else float(budget["coef"])
    decay = 0.0 if knob == "bare" else float(budget["decay"])
    network = _fitted(torch.from_numpy(x), order, name, coef, decay, seed, budget)
    said = (_states(network, torch.from_numpy(fresh)) @ network["read"]).detach().numpy()
    lead, true = said[0::2] - said[1::2], worth(fresh)[0::2] - worth(fresh)[1::2]
    label = 1 / (1 + np.exp(-true))
    loss = label * np.logaddexp(0, -lead) + (1 - label) * np.logaddexp(0, lead)
    return {"accuracy": float(((lead > 0) == (true > 0)).mean()), "log_loss": float(loss.mean())}


def _states(network: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return torch.tanh(x @ network["first"] + network["bias"])


def _fitted(
    x: Tensor, better: Tensor, name: str, coef: float, decay: float, seed: int, budget: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The weights after Adam on batches of prompts; `better`: chosen and rejected (0 or 1) of each prompt's pairs."""
    width, dropout = int(budget["width"]), float(budget["dropout"])
    network = _network(x.shape[1], width, seed)
    generator = torch.Generator().manual_seed((seed + 1) % 2**63)
    batch = int(budget["batch"])
    weight = torch.ones(2 * batch, dtype=torch.float64)
    group = torch.arange(COMPLETIONS * batch) // COMPLETIONS

    def masked(states: Tensor) -> Tensor:
        kept = torch.rand(states.shape, generator=generator, dtype=states.dtype) >= dropout
        return states * kept / (1 - dropout)

    def loss(done: int) -> Tensor:
        prompts = list(turn(done, n=len(x) // COMPLETIONS, size=batch, seed=seed))
        states = _states(network, x.reshape(-1, COMPLETIONS, x.shape[1])[prompts].reshape(-1, x.shape[1]))
        row = {
            "pairs": better[prompts].reshape(-1, 2) + 2 * torch.arange(2 * batch)[:, None], "weight": weight,
            "group": group,
        }  # fmt: skip
        views = [masked(states), masked(states)]
        scores = ((views[0] if name == "masks" else states) @ network["read"])[:, None]
        penalty = decay / 2 * torch.stack([w.square().sum() for w in network.values()]).sum()
        if not coef:
            total = logistic(scores, row)
        elif name == "differences":
            between = [differences(v, row["pairs"]) for v in views]
            term = contrastive_views(*between, lists=[torch.arange(2 * batch)])
            total = logistic(scores, row) + coef * term
        else:
            second = views[1].roll(COMPLETIONS, dims=0) if name == "strangers" else views[1]
            outputs = torch.cat([scores, views[0], second], dim=1)
            total = contrastive_objective(outputs, row, objective=logistic, scores=1, coef=coef)
        return total / (2 * batch) + penalty

    minimise(network.values(), loss, steps=int(budget["steps"]), lr=0.01)
    return network


def _network(d: int, width: int, seed: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed % 2**63)
    made = {
        "first": torch.randn(d, width, generator=g, dtype=torch.float64) / d**0.5,
        "bias": torch.zeros(width, dtype=torch.float64),
        "read": torch.randn(width, generator=g, dtype=torch.float64) / width**0.5,
    }
    return {k: w.requires_grad_() for k, w in made.items()}
