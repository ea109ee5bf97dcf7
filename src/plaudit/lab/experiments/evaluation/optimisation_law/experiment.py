"""Direct alignment of small policies, and curves through what becomes of the true reward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax

from plaudit.errors import InputError
from plaudit.evaluation.overoptimisation import fit_optimisation_law
from plaudit.lab.experiment import Fit

ARMS = ("law", "quadratic", "linear", "smooth", "constant", "shuffled")
PENALTIES = (0.01, 0.05, 0.1, 0.5)
"""Strengths beta of DPO's penalty, as in [11]."""
BETA = 1.0
"""Log-odds of the annotators per standard deviation of the true reward."""
FAR = 0.6
"""Share of the largest distance up to which `@far` fits."""
RATE = 5.0

Numbers = np.ndarray


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `error`, see the claim; `turned`, the distance at which the mean of the test runs is highest; `furthest`, the
        largest distance.
    """
    del fit  # tabular policies
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "far"):
        raise InputError(f"optimisation_law: arm {arm!r} is not known; the claim lists the arms")
    sizes = tuple(int(budget[k]) for k in ("actions", "features", "pairs", "runs", "steps", "marks"))
    kl, gain = _runs(seed, knob == "0", sizes)  # (runs, penalties, marks)
    half = len(kl) // 2
    train, test = (kl[:half].ravel(), gain[:half].ravel()), (kl[half:].ravel(), gain[half:].ravel())
    furthest = float(np.sqrt(kl.max()))
    if knob == "far":
        bar = (FAR * furthest) ** 2
        near, far = train[0] <= bar, test[0] > bar
        train, test = (train[0][near], train[1][near]), (test[0][far], test[1][far])
    said = _predicted(name, seed, *train, test[0])
    error = float(np.sqrt(np.mean((said - test[1]) ** 2)))
    mean = np.stack([kl[half:].mean(axis=0).ravel(), gain[half:].mean(axis=0).ravel()])
    return {"error": error, "turned": float(np.sqrt(mean[0, mean[1].argmax()])), "furthest": furthest}


def _predicted(name: str, seed: int, kl: Numbers, gain: Numbers, at: Numbers) -> Numbers:
    if name == "shuffled":
        gain = np.random.default_rng([seed, 7]).permutation(gain)
    if name in ("law", "shuffled"):
        return fit_optimisation_law(kl, gain, law="rl", resamples=1).predict(at)
    if name == "quadratic":
        return fit_optimisation_law(kl, gain, law="best-of-n", resamples=1).predict(at)
    if name == "linear":
        d = np.sqrt(kl)
        return np.asarray(np.sqrt(at) * (d @ gain) / (d @ d))
    if name == "constant":
        return np.full(at.shape, gain.mean())
    near = np.argsort(np.abs(np.sqrt(kl)[None, :] - np.sqrt(at)[:, None]), axis=1)[:, : max(1, len(kl) // 10)]
    return np.asarray(gain[near].mean(axis=1))


@lru_cache(maxsize=2)
def _runs(seed: int, clean: bool, sizes: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    """KL from the start and gain in true reward, (runs, penalties, marks): for all arms."""
    actions, features, pairs, runs, steps, marks = sizes
    rng = np.random.default_rng([seed, 1])
    table = rng.normal(size=(actions, features)) / np.sqrt(features)
    truth = rng.normal(size=actions) * 0.7 + table @ rng.normal(size=features)  # a part that no feature shows
    start = log_softmax(rng.normal(0, 1, size=actions))
    p = np.exp(start)
    truth = (truth - p @ truth) / np.sqrt(p @ (truth - p @ truth) ** 2)
    at = np.unique(np.geomspace(1, steps, marks).astype(int))
    found = np.zeros((2, runs, len(PENALTIES), len(at)))
    for run in range(runs):
        draw = np.random.default_rng([seed, 2, run])
        n = 50 * pairs if clean else pairs
        two = draw.choice(actions, size=(n, 2), p=p)
        chance = expit(BETA * (truth[two[:, 0]] - truth[two[:, 1]]))
        first = chance > 0.5 if clean else draw.random(n) < chance
        two = np.where(first[:, None], two, two[:, ::-1])
        gap = table[two[:, 0]] - table[two[:, 1]]
        for k, penalty in enumerate(PENALTIES):
            found[:, run, k] = _aligned(table, start, truth, gap, penalty, steps, at)
    return found[0], found[1]


def _aligned(
    table: Numbers, start: Numbers, truth: Numbers, gap: Numbers, penalty: float, steps: int, at: Numbers
) -> Numbers:
    """DPO by full gradients: KL and gain at the marks, (2, marks)."""
    theta, out = np.zeros(table.shape[1]), []
    for step in range(1, steps + 1):
        # of log-ratios only the part that theta moves is left: the normaliser cancels between the two of a pair
        slope = expit(-penalty * (gap @ theta))
        # the gradient over the penalty: steps of one size at every strength, as optimisers that normalise make them
        theta = theta + RATE * (slope @ gap) / len(gap)
        if step in at:
            logp = log_softmax(start + table @ theta)
            p = softmax(logp)
            out.append((max(0.0, float(p @ (logp - start))), float(p @ truth)))
    return np.array(out).T
