"""Two heads with views of their own, few labelled pairs and many without: self-training with and without agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.training.objectives.pairs.internal import (
    internal_agreement,
    internal_consistency,
    self_consistent_preference,
)
from plaudit.training.objectives.pairs.logistic import bradley_terry

ARMS = ("agreement", "self_training", "selection", "penalty", "supervised", "shuffled", "oracle")
ASPECTS = 8
SHARPNESS = 3.0
"""Log-odds per deviation of the true reward."""
WARM_UP = 50
"""Steps on the labelled pairs alone: opinions must be worth something before anyone learns from them."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` of the first head on fresh pairs, by the true reward; that of the second head; the share of the pairs
        that both agree about, and the first one's accuracy on these.
    """
    del fit  # a small network on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"internal_agreement: arm {arm!r} is not known; the claim lists the arms")
    noise, alike = float(budget["noise"]), bool(knob)
    rng = np.random.default_rng([seed, 1])
    weight = rng.normal(size=ASPECTS)
    weight /= np.linalg.norm(weight)
    mixing = rng.normal(size=(ASPECTS, int(budget["features"]))) / np.sqrt(ASPECTS)
    sizes = {"labelled": int(budget["labelled"]), "unlabelled": int(budget["unlabelled"]), "test": int(budget["test"])}
    views, worth = {}, {}
    for part, (which, n) in enumerate(sizes.items(), start=2):
        drawn = np.random.default_rng([seed, part])
        aspects = drawn.normal(size=(n, 2, ASPECTS))
        seen = aspects @ mixing + noise * drawn.normal(size=(2, n, 2, mixing.shape[1]))
        views[which] = torch.from_numpy(np.stack([seen[0], seen[0]]) if alike else seen)
        worth[which] = np.sqrt(0.5) * (aspects[:, 0] - aspects[:, 1]) @ weight
    first = {k: torch.from_numpy(rng.random(len(w)) < 1 / (1 + np.exp(-SHARPNESS * w))) for k, w in worth.items()}
    if name == "shuffled":
        views["unlabelled"][1] = views["unlabelled"][1][torch.from_numpy(rng.permutation(sizes["unlabelled"]))]
    views = {which: seen.float() for which, seen in views.items()}
    heads = Heads(mixing.shape[1], seed).float()
    minimise(heads.parameters(), lambda done: _loss(heads, views, first, name, done), steps=int(budget["steps"]))
    with torch.no_grad():
        said = heads(views["test"])
    right = (said > 0) == torch.from_numpy(worth["test"] > 0)
    agreed = internal_agreement(said)
    return {
        "accuracy": float(right[0].double().mean()),
        "accuracy_second": float(right[1].double().mean()),
        "agreed": float(agreed.double().mean()),
        "accuracy_agreed": float(right[0][agreed].double().mean()) if bool(agreed.any()) else 0.5,
    }


class Heads(nn.Module):
    """Two linear heads on one encoder, each reading a view of its own: log-odds (2, m) that the first is better."""

    def __init__(self, features: int, seed: int) -> None:
        super().__init__()
        self.encoder = small_network(features, 16, width=0, seed=seed)
        self.heads = nn.ModuleList([small_network(16, 1, width=0, seed=seed + i) for i in (1, 2)])

    def forward(self, views: Tensor) -> Tensor:
        """Of views (2, m, 2, features)."""
        scores = [head(torch.tanh(self.encoder(view)))[..., 0] for head, view in zip(self.heads, views, strict=True)]
        return torch.stack([score[:, 0] - score[:, 1] for score in scores])


def _loss(heads: Heads, views: Mapping[str, Tensor], first: Mapping[str, Tensor], arm: str, done: int) -> Tensor:
    known: Tensor = _supervised(heads(views["labelled"]), first["labelled"])
    if arm == "supervised" or done < WARM_UP:
        return known
    logits: Tensor = heads(views["unlabelled"])
    m = logits.shape[1]
    if arm == "oracle":
        return known + _supervised(logits, first["unlabelled"])
    if arm == "self_training":  # each head believes itself
        return known - F.logsigmoid(logits.abs()).mean()
    if arm == "selection":
        return known + self_consistent_preference(logits, consistency_coef=0.0, entropy_coef=0.0) / m
    if arm == "penalty":
        return known + internal_consistency(logits) / m
    return known + self_consistent_preference(logits) / m


def _supervised(logits: Tensor, first: Tensor) -> Tensor:
    """Bradley-Terry of both heads, a mean over pairs."""
    m = logits.shape[1]
    pairs = torch.stack([torch.arange(m), torch.full((m,), m)], dim=1)  # each against a score of 0
    turned = torch.where(first, logits, -logits)
    losses = [bradley_terry(torch.cat([lead, lead.new_zeros(1)]), pairs) for lead in turned]
    return torch.stack(losses).mean() / m
