"""A linear reward on random features, and the decisions that several confidences keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.probing import InferenceProbe
from plaudit.lab.experiment import Fit
from plaudit.stats.selective import most_certain
from plaudit.training.frozen import fit_linear

ARMS = ("probe", "coin", "margin", "used", "oracle")
ATTRIBUTES, COUNT = 5, 3
"""Attributes of a completion, and how many of them it is worth something for."""
L2 = 1e-2

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `accuracy`, see the claim; `all`, that of all decisions; `useful`, the share of kept decisions that are
        explained by an attribute that counts (0 where nothing is explained).
    """
    del fit  # a linear layer
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"probing_confidence: arm {arm!r} is not known; the claim lists the arms")
    rng = np.random.default_rng([seed, 1])
    weight = np.append(rng.uniform(0.5, 1.5, COUNT), np.zeros(ATTRIBUTES - COUNT))
    width = int(budget["random"])
    turn, shift = rng.normal(size=(ATTRIBUTES, width)) / np.sqrt(ATTRIBUTES), rng.normal(size=width)

    def states(z: Numbers) -> Numbers:
        return np.asarray(np.tanh(1.5 * z @ turn + shift))

    pairs = np.random.default_rng([seed, 2]).normal(size=(int(budget["pairs"]), 2, ATTRIBUTES))
    sign = np.where(
        np.random.default_rng([seed, 3]).random(len(pairs)) < expit((pairs[:, 0] - pairs[:, 1]) @ weight), 1, -1
    )
    head = fit_linear((states(pairs[:, 0]) - states(pairs[:, 1])) * sign[:, None], l2=L2)
    test = np.random.default_rng([seed, 4]).normal(size=(int(budget["test"]), 2, ATTRIBUTES))
    margin = (states(test[:, 0]) - states(test[:, 1])) @ head
    test = np.where((margin > 0)[:, None, None], test, test[:, ::-1])  # the preferred one first
    right = ((test[:, 0] - test[:, 1]) @ weight > 0).astype(np.float64)
    certainty, useful = np.abs(margin), np.zeros(len(test))
    if name in ("probe", "used"):
        dimensions = range(COUNT if name == "used" else ATTRIBUTES)
        probe = _probe(seed, int(budget["validation"]), dimensions, states, shuffled=bool(knob))
        said = probe.explain(states(test[:, 0]), states(test[:, 1]))
        certainty, useful = said.confidence, np.array([float(int(d) < COUNT) for d in said.dimension])
    elif name == "coin":
        certainty = np.random.default_rng([seed, 9]).random(len(test))
    elif name == "oracle":
        certainty = (test[:, 0] - test[:, 1]) @ weight
    kept = most_certain(certainty, 0.5)
    return {"accuracy": float(right[kept].mean()), "all": float(right.mean()), "useful": float(useful[kept].mean())}


def _probe(seed: int, n: int, dimensions: range, states: Any, *, shuffled: bool) -> InferenceProbe:
    """Centroids of the lower and the upper half of each attribute."""
    z = np.random.default_rng([seed, 5]).normal(size=(n, ATTRIBUTES))
    levels = (z > 0).astype(np.int64)
    if shuffled:
        levels = np.random.default_rng([seed, 6]).permuted(levels, axis=0)
    h = states(z)
    return InferenceProbe.fit({str(d): h for d in dimensions}, {str(d): levels[:, d] for d in dimensions})
