"""Logistic regression on a stream of biased labels, one example at a time, with and without a parity penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.training.regularisers.streaming import StreamingParity, huber_slope

ARMS = ("running", "instant", "replay", "shuffled", "plain", "oracle")
RATE, FORGET = 0.05, 0.1


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `gap`: absolute difference between the groups' shares of positive predictions on fresh examples; `accuracy`
        against unbiased labels there, and `labels` against labels as biased as the stream's.
    """
    del fit  # logistic regression of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"streaming_parity: arm {arm!r} is not known; the claim lists the arms")
    rng, d = np.random.default_rng([seed, 1]), int(budget["features"])
    weight = 2 * rng.normal(size=d) / np.sqrt(d)
    bias = 0.0 if knob else float(budget["bias"])
    x, group, labels, clean = _stream(rng, int(budget["examples"]), weight, bias)
    if name == "oracle":
        labels = clean
    seen = rng.permutation(group) if name == "shuffled" else group
    coef = 0.0 if name in ("plain", "oracle") else float(budget["coef"])
    w = _learned(name, x, labels, seen, coef)
    z, inside, biased, fair = _stream(np.random.default_rng([seed, 2]), int(budget["test"]), weight, bias)
    said = z @ w > 0
    return {
        "gap": abs(float(said[inside].mean() - said[~inside].mean())),
        "accuracy": float((said == fair).mean()),
        "labels": float((said == biased).mean()),
    }


def _learned(name: str, x: np.ndarray, labels: np.ndarray, group: np.ndarray, coef: float) -> np.ndarray:
    """Weights after one pass, averaged over its second half."""
    w, state, total, n = np.zeros(x.shape[1]), StreamingParity(rate=FORGET), np.zeros(x.shape[1]), len(x)
    for i in range(n):
        p = float(expit(x[i] @ w))
        gradient = (p - labels[i]) * x[i]
        if coef:
            here = p * (1 - p) * x[i]
            if name == "replay":  # everything that was seen, at the weights of now
                gradient = gradient + coef * _whole(x[: i + 1], group[: i + 1], w)
            elif name == "instant":  # the gap is remembered, the gradient is that of the example alone
                state = state.updated([p], here[None], group[i : i + 1])
                sign = 1.0 if group[i] else -1.0
                gradient = gradient + coef * huber_slope(state.gap) * sign * here
            else:
                state = state.updated([p], here[None], group[i : i + 1])
                gradient = gradient + state.penalty_gradient(coef=coef)
        w = w - RATE * gradient
        if i >= n // 2:
            total += w
    return total / (n - n // 2)


def _whole(x: np.ndarray, group: np.ndarray, w: np.ndarray) -> np.ndarray:
    p = expit(x @ w)
    slope = (p * (1 - p))[:, None] * x
    state = StreamingParity().updated(p, slope, group)
    return state.penalty_gradient(coef=1.0)


def _stream(
    rng: np.random.Generator, n: int, weight: np.ndarray, bias: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features with a constant and the group's sign, the group, biased labels and unbiased ones."""
    d, group = len(weight), rng.random(n) < 0.4
    x = rng.normal(size=(n, d))
    worth, noise = x @ weight, rng.logistic(size=n)
    biased = (worth - bias * group + noise > 0).astype(np.float64)
    full = np.concatenate([x, np.ones((n, 1)), np.where(group, 1.0, -1.0)[:, None]], axis=1)
    return full, group, biased, (worth + noise > 0).astype(np.float64)
