"""The same small network on five features and on a noisy embedding of them, with few pairs and with many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.rewards.features import network_scores
from plaudit.training.features import fit_feature_network

FEATURES = 5
NOISE = 0.5
"""Deviation of the embedding's noise a number, and of noisy features; features have deviation 1."""
SHARPNESS = 3.0
"""Log-odds per deviation of the true reward."""
ARMS = ("features_300", "embedding_300", "linear_300", "noise_300", "features_10000", "embedding_10000", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy` on fresh pairs, by the true reward.
    """
    del fit  # a network of given numbers
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "noise"):
        raise InputError(f"domain_features: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    weight, bend = rng.normal(size=(2, FEATURES))
    mixing = rng.normal(size=(FEATURES, int(budget["embedding"]))) / np.sqrt(FEATURES)

    def worth(f: np.ndarray) -> np.ndarray:
        raw = f @ weight - (f**2) @ np.abs(bend)  # more is better, up to a point
        return np.asarray(raw / np.sqrt(weight @ weight + 2 * bend @ bend))  # variances of f and of f^2: 1 and 2

    kind, _, many = name.partition("_")
    n = int(budget["many"] if many == "10000" else budget["few"])
    # one stream a part, so that arms see the same completions and labels
    sizes = ((2, n), (3, int(budget["test"])))
    train, test = (np.random.default_rng([seed, part]).normal(size=(2, m, FEATURES)) for part, m in sizes)
    odds = SHARPNESS * (worth(train[0]) - worth(train[1]))
    first = (np.random.default_rng([seed, 4]).random(n) < 1 / (1 + np.exp(-odds)))[:, None]
    if kind == "oracle":
        return {"accuracy": 1.0}
    seen, shown = (
        _seen(kind, x, mixing, np.random.default_rng([seed, 5, i]), bool(knob)) for i, x in enumerate((train, test))
    )
    chosen, rejected = np.where(first, seen[0], seen[1]), np.where(first, seen[1], seen[0])
    arrays = fit_feature_network(chosen, rejected, width=0 if kind == "linear" else 16, seed=seed % 2**31)
    said = network_scores(shown[0], arrays) - network_scores(shown[1], arrays)
    return {"accuracy": float((np.sign(said) == np.sign(worth(test[0]) - worth(test[1]))).mean())}


def _seen(kind: str, features: np.ndarray, mixing: np.ndarray, rng: np.random.Generator, noisy: bool) -> np.ndarray:
    """What the arm's network is given of both sides of the pairs, (2, n, k)."""
    if kind == "embedding":
        return np.asarray(features @ mixing + NOISE * rng.normal(size=(*features.shape[:2], mixing.shape[1])))
    if kind == "noise":
        return rng.normal(size=features.shape)
    return features + NOISE * rng.normal(size=features.shape) if noisy else features
