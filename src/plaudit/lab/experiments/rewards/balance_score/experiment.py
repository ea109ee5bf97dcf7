"""Distance of calibration scores of 300 predictions from the true calibration error of the model that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.stats.balance import balance_score
from plaudit.stats.calibration import calibration_error, fold

ARMS = ("balance", "ece", "debiased", "few_bins", "zero", "shuffled", "oracle")
TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0)
"""What the log-odds of the true chance are divided by: below 1 over-confident, at 1 calibrated."""
MANY = 200_000
"""Questions on which the true error is taken."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `distance` of the arm's estimate from the true calibration error, mean over data sets and temperatures, and over
        those of temperature 1 alone.
    """
    del fit  # nothing is fitted
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "cancelling"):
        raise InputError(f"balance_score: arm {arm!r} is not known; the claim lists the arms")
    found = {}
    for part, temperature in enumerate(TEMPERATURES):
        rng = np.random.default_rng([seed, part])
        chance, said = _predictions(rng, MANY, temperature, bool(knob))
        true = _true_error(chance, said)
        draws = []
        for _ in range(int(budget["sets"])):
            chance, said = _predictions(rng, int(budget["questions"]), temperature, bool(knob))
            label = (rng.random(len(chance)) < chance).astype(np.float64)
            draws.append(
                abs(_estimate(name, said, rng.permutation(label) if name == "shuffled" else label, true) - true)
            )
        found[temperature] = float(np.mean(draws))
    return {"distance": float(np.mean(list(found.values()))), "distance_calibrated": found[1.0]}


def _predictions(
    rng: np.random.Generator, n: int, temperature: float, cancelling: bool
) -> tuple[np.ndarray, np.ndarray]:
    """True chances and stated ones; where they cancel, one half is too sure by the factor by which the other is not."""
    chance = rng.beta(2, 2, n)
    power = np.full(n, 1 / temperature)
    if cancelling:
        power[: n // 2] = temperature
    return chance, 1 / (1 + np.exp(-power * np.log(chance / (1 - chance))))


def _true_error(chance: np.ndarray, said: np.ndarray) -> float:
    """Mean distance of the confidence from the chance that the favoured side wins.

    The distortion is monotone within a half, so at every confidence of an undivided set there is one true chance.
    """
    wins = np.where(said > 0.5, chance, 1 - chance)
    return float(np.abs(np.maximum(said, 1 - said) - wins).mean())


def _estimate(arm: str, said: np.ndarray, label: np.ndarray, true: float) -> float:
    if arm in ("oracle", "zero"):
        return true if arm == "oracle" else 0.0
    if arm in ("balance", "shuffled"):
        return balance_score(said, label)
    confidence, _ = fold(said)
    correct = np.where(said > 0.5, label, 1 - label)
    bins = 3 if arm == "few_bins" else 10
    return calibration_error(confidence, correct, n_bins=bins, debias=arm == "debiased")
