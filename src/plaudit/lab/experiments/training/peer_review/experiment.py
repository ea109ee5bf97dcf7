"""Small networks on preferences of which many are wrong: who chooses which pairs each of them learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import small_network
from plaudit.training.objectives.pairs.cotraining import dropped_share, easy_first, peer_selection, small_losses

ARMS = ("collaborative", "independent", "one", "own", "curriculum", "coin", "decay", "clean", "oracle")
FLIPS = {"": 0.4, "20": 0.2, "0": 0.0}
FEATURES, WIDTH = 16, 64


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`: share of fresh pairs ranked as the true reward ranks them, by the mean of the two networks.
    """
    del fit  # small networks on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in FLIPS:
        raise InputError(f"peer_review: arm {arm!r} is not known; the claim lists the arms")
    truth = small_network(FEATURES, 1, width=8, seed=seed)

    def worth(x: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = truth(x)[..., 0]
        return found

    def drawn(stream: int, n: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([seed, stream]).normal(size=(n, 2, FEATURES)))

    train, test = drawn(2, int(budget["pairs"])), drawn(5, int(budget["test"]))
    wrong = torch.from_numpy(np.random.default_rng([seed, 3]).random(len(train)) < FLIPS[knob])
    turn = (worth(train[:, 0]) < worth(train[:, 1])) ^ wrong
    pairs = torch.where(turn[:, None, None], train.flip(1), train)
    models = _fitted(name, pairs, wrong, seed=seed, epochs=int(budget["epochs"]), noise=FLIPS[knob])
    score = worth if name == "oracle" else lambda x: torch.stack([m(x)[..., 0] for m in models]).mean(dim=0)
    with torch.no_grad():
        said, true = score(test[:, 0]) - score(test[:, 1]), worth(test[:, 0]) - worth(test[:, 1])
    return {"accuracy": float((torch.sign(said) == torch.sign(true)).double().mean())}


def _fitted(name: str, pairs: Tensor, wrong: Tensor, *, seed: int, epochs: int, noise: float) -> list[nn.Module]:
    """The networks of an arm: one or two, from initialisations of their own."""
    if name == "oracle":
        return []
    if name == "clean":
        pairs = pairs[~wrong]
    models = [small_network(FEATURES, 1, width=WIDTH, seed=seed + 101 * (k + 1)) for k in range(1 + (name != "one"))]
    optimisers = [
        torch.optim.Adam(m.parameters(), lr=0.005, weight_decay=0.01 if name == "decay" else 0.0) for m in models
    ]
    rng, batch = np.random.default_rng([seed, 4]), 50
    for epoch in range(epochs):
        order = torch.from_numpy(rng.permutation(len(pairs)))
        if name == "curriculum" and epoch:
            with torch.no_grad():
                order = easy_first(torch.stack([_margins(m, pairs) for m in models]))
        dropped = dropped_share(epoch / epochs, noise=noise)
        for start in range(0, len(order), batch):
            rows = pairs[order[start : start + batch]]
            losses = [F.softplus(-_margins(m, rows)) for m in models]
            kept = _kept(name, [x.detach() for x in losses], dropped, rng)
            for optimiser, loss, mine in zip(optimisers, losses, kept, strict=True):
                if mine.any():
                    optimiser.zero_grad()
                    loss[mine].mean().backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
    return models


def _kept(name: str, losses: list[Tensor], dropped: float, rng: np.random.Generator) -> list[Tensor]:
    """For each network the pairs that it learns from."""
    if name in ("collaborative", "curriculum"):
        return list(peer_selection(*losses, dropped=dropped))
    if name == "own":
        return [small_losses(x, dropped=dropped) for x in losses]
    if name == "coin":
        return [small_losses(torch.from_numpy(rng.random(len(x))), dropped=dropped) for x in losses]
    return [torch.ones_like(x, dtype=torch.bool) for x in losses]


def _margins(model: nn.Module, rows: Tensor) -> Tensor:
    scores: Tensor = model(rows)[..., 0]
    return scores[:, 0] - scores[:, 1]
