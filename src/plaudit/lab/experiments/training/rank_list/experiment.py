"""Few lists of noisy grades and a small network: what is compared within a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import kendalltau
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise, small_network
from plaudit.training.objectives.lists.local import rank_list, reach_at
from plaudit.training.objectives.lists.luce import plackett_luce
from plaudit.training.objectives.ratings.regression import squared_rating

ARMS = ("rank_list", "adjacent", "plackett_luce", "tail", "all_pairs", "regression", "shuffled", "oracle")
FEATURES = 8
LONGEST = 15
"""Largest distance in the order that RankList compares at the end of its curriculum."""
TEST = 16
"""Members of a test list."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `tau`: Kendall's tau of scores and true reward, mean over fresh lists of 16.
    """
    del fit  # a small network on given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "2"):
        raise InputError(f"rank_list: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    weight, bend = rng.normal(size=(2, FEATURES))

    def worth(f: np.ndarray) -> np.ndarray:
        raw = f @ weight - (f**2) @ np.abs(bend)  # more is better, up to a point
        return np.asarray(raw / np.sqrt(weight @ weight + 2 * bend @ bend))  # variances of f and of f^2: 1 and 2

    each = 2 if knob else int(budget["each"])
    shape = (int(budget["members"]) // each, each)
    train = np.random.default_rng([seed, 2]).normal(size=(*shape, FEATURES))
    seen = worth(train) + float(budget["noise"]) * np.random.default_rng([seed, 3]).normal(size=shape)
    grades = np.round(2 * seen) / 2 if not knob else seen
    if name == "shuffled":
        grades = np.random.default_rng([seed, 4]).permuted(grades, axis=1)
    test = np.random.default_rng([seed, 5]).normal(size=(int(budget["test"]), TEST, FEATURES))
    true = worth(test)
    said = true if name == "oracle" else _fitted(name, train, grades, test, seed, int(budget["steps"]))
    return {"tau": float(np.mean([kendalltau(a, b).statistic for a, b in zip(said, true, strict=True)]))}


def _fitted(arm: str, train: np.ndarray, grades: np.ndarray, test: np.ndarray, seed: int, steps: int) -> np.ndarray:
    network = small_network(FEATURES, 1, width=16, seed=seed)
    x = torch.from_numpy(train.reshape(-1, FEATURES))
    order = torch.from_numpy(np.argsort(-grades, axis=1, kind="stable"))
    labels = torch.from_numpy(grades)
    lists = list(order + torch.arange(len(order))[:, None] * order.shape[1])
    ordered = labels.gather(1, order)
    ranked = list(ordered)
    tied = list(F.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0)))

    def loss(done: int) -> Tensor:
        scores = network(x)[:, 0]
        if arm == "regression":
            return squared_rating(scores, items=torch.arange(len(x)), ratings=labels.reshape(-1)) / len(x)
        if arm == "plackett_luce":
            return plackett_luce(scores, lists, tied=tied) / len(x)
        reach = {"adjacent": 1, "all_pairs": order.shape[1]}.get(arm, reach_at(done / steps, longest=LONGEST))
        tail = 0.1 if arm == "tail" else 0.0
        return rank_list(scores, lists, grades=ranked, reach=reach, tail_coef=tail) / len(x)

    minimise(network.parameters(), loss, steps=steps)
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(test))[..., 0].numpy())
