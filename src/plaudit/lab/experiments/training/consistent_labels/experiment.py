"""A linear reward that labels its own pairs: labels taken at face value, and as sure as two judges agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise
from plaudit.training.objectives.pairs.consistency import (
    consistent_bradley_terry,
    extreme_pairs,
    ranking_consistency,
)

ARMS = ("prompt", "average", "plain", "smoothed", "shuffled", "easy", "oracle")
EASY = 0.3
"""Deviation of a judge's noise on easy prompts, in deviations of the true reward."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs and `cosine` with the true weights; where the arm looks at consistency, its mean over
        easy and over hard prompts.
    """
    del fit  # a linear reward of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "2"):
        raise InputError(f"consistent_labels: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    prompts, each, d = (int(budget[k]) for k in ("prompts", "each", "features"))
    truth = rng.normal(size=d)
    truth /= np.linalg.norm(truth)
    features = rng.normal(size=(prompts, each, d))
    hard = rng.permutation(prompts) < prompts // 2
    noise = np.where(hard, {"": float(budget["hard"]), "0": EASY, "2": 2.0}[knob], EASY)
    judges = features @ truth + noise[:, None] * rng.normal(size=(2, prompts, each))
    now, before = (torch.from_numpy(judge.reshape(-1)) for judge in judges)
    lists = list(torch.arange(prompts * each).reshape(prompts, each))
    rate = ranking_consistency(now, before, lists)
    weight = truth
    if name != "oracle":
        labels = _labels(name, rate, torch.from_numpy(hard), rng)
        weight = _fitted(features.reshape(-1, d), extreme_pairs(now, lists), labels, int(budget["steps"]))
    test = np.random.default_rng([seed, 2]).normal(size=(int(budget["test"]), d))
    found = {
        "accuracy": float(((test @ weight > 0) == (test @ truth > 0)).mean()),
        "cosine": float(weight @ truth / max(float(np.linalg.norm(weight)), 1e-12)),
    }
    easy, difficult = (float(rate[torch.from_numpy(which)].mean()) for which in (~hard, hard))
    return found | {"consistency_easy": easy, "consistency_hard": difficult}


def _labels(arm: str, rate: Tensor, hard: Tensor, rng: np.random.Generator) -> Tensor:
    """How sure each prompt's pair is; one half teaches nothing."""
    sure = torch.ones_like(rate)
    return {
        "prompt": rate,
        "average": sure * rate.mean(),
        "plain": sure,
        "smoothed": 0.9 * sure,
        "shuffled": rate[torch.from_numpy(rng.permutation(len(rate)))],
        "easy": torch.where(hard, 0.5 * sure, sure),
    }[arm]


def _fitted(features: np.ndarray, pairs: Tensor, labels: Tensor, steps: int) -> np.ndarray:
    x = torch.from_numpy(features)
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)

    def loss(_: int) -> Tensor:
        return consistent_bradley_terry(x @ weight, pairs, consistency=labels) / len(pairs)

    minimise([weight], loss, steps=steps)
    return np.asarray(weight.detach().numpy())
