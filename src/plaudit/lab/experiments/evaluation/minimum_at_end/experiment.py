"""Solutions in steps, labels of their steps, and where rewards that learn from them find fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.benchmarks.process.diagnostics import minimum_at_end
from plaudit.lab.experiment import Fit

ARMS = ("monte_carlo", "judge", "both", "outcome", "dealt", "oracle")
WRONG = 0.2
"""Chance that a step is wrong."""
MENDED = 0.15
"""Chance that a later step mends all that was wrong before it."""
COMPLETIONS = 8
"""Completions a step from which its Monte Carlo label comes."""
MISJUDGED = 0.1
"""Chance that the judge errs on a step."""
SHOWS = 1.5
"""How far the features of wrong steps are from those of right ones, in deviations."""

Numbers = np.ndarray


@dataclass(frozen=True)
class Solutions:
    """n solutions of t steps.

    Attributes:
        features: (n, t, d).
        wrong: which steps are, (n, t).
        broken: whether something wrong is still unmended after each step, (n, t); at the last step: a wrong answer.
    """

    features: Numbers
    wrong: Numbers
    broken: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `at_end`, see the claim; `best_of_8` and `wrong_process`, of the solutions that the lowest step reward picks.
    """
    del fit  # logistic step rewards of given features
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"minimum_at_end: arm {arm!r} is not known; the claim lists the arms")
    t, d, mended = int(budget["steps"]), int(budget["features"]), 0.0 if knob else MENDED
    axis = np.random.default_rng([seed, 1]).normal(size=d)
    axis = SHOWS * axis / np.linalg.norm(axis)
    train = _solutions(np.random.default_rng([seed, 2]), int(budget["solutions"]), t, axis, mended)
    model = _fitted(*_labels(name, seed, train, mended), train)
    prompts, each = int(budget["prompts"]), int(budget["completions"])
    test = _solutions(np.random.default_rng([seed, 3]), prompts * each, t, axis, mended)
    scores = model.predict_proba(_seen(test).reshape(prompts * each * t, -1))[:, 1].reshape(-1, t)
    picked = scores.min(axis=1).reshape(prompts, each).argmax(axis=1) + each * np.arange(prompts)
    right = ~test.broken[picked, -1]
    return {
        "at_end": minimum_at_end(list(scores), seed=seed % 2**31).value,
        "best_of_8": float(right.mean()),
        "wrong_process": float((right & test.wrong[picked].any(axis=1)).mean()),
    }


def _solutions(rng: np.random.Generator, n: int, t: int, axis: Numbers, mended: float) -> Solutions:
    wrong, mends = rng.random((n, t)) < WRONG, rng.random((n, t)) < mended
    broken = np.zeros((n, t), dtype=bool)
    for k in range(t):
        before = broken[:, k - 1] & ~mends[:, k] if k else np.zeros(n, dtype=bool)
        broken[:, k] = wrong[:, k] | before
    features = rng.normal(size=(n, t, len(axis))) - wrong[:, :, None] * axis
    return Solutions(features, wrong, broken)


def _labels(name: str, seed: int, found: Solutions, mended: float) -> tuple[Numbers, Numbers]:
    """Labels of the steps, 1 for right, and which of them are trained on, (n, t) each."""
    rng = np.random.default_rng([seed, 4])
    n, t = found.wrong.shape
    left = t - 1 - np.arange(t)
    reached = np.stack([_reaches(rng, found.broken[:, k], int(left[k]), mended) for k in range(t)], axis=1)
    judged = found.wrong ^ (rng.random((n, t)) < MISJUDGED)
    monte_carlo, judge = (_until(x) for x in (~reached, judged))
    if name == "oracle":
        return 1 - found.wrong, np.ones((n, t), dtype=bool)
    if name == "outcome":
        return np.repeat(~found.broken[:, -1:], t, axis=1), np.ones((n, t), dtype=bool)
    label, kept = judge if name == "judge" else monte_carlo
    if name == "both":
        kept = kept & (monte_carlo[1].sum(axis=1) == judge[1].sum(axis=1))[:, None]
        kept &= (monte_carlo[0] == judge[0]).all(axis=1)[:, None]
    if name == "dealt":
        label = rng.permuted(label, axis=0)
    return label, kept


def _reaches(rng: np.random.Generator, broken: Numbers, left: int, mended: float) -> Numbers:
    """Whether one of several completions from a step ends right, (n,)."""
    state = np.repeat(broken[:, None], COMPLETIONS, axis=1)
    for _ in range(left):
        state = (rng.random(state.shape) < WRONG) | (state & (rng.random(state.shape) >= mended))
    return np.asarray((~state).any(axis=1))


def _until(faulty: Numbers) -> tuple[Numbers, Numbers]:
    """Labels up to the first fault, and the steps up to and with it."""
    before = np.cumsum(faulty, axis=1) - faulty
    return (~faulty).astype(np.int64), before == 0


def _seen(found: Solutions) -> Numbers:
    """What a step reward sees: the step, the mean of those before it, its place, and their products, (n, t, f)."""
    x = found.features
    n, t, _ = x.shape
    before = np.cumsum(x, axis=1) - x
    history = before / np.maximum(np.arange(t), 1)[None, :, None]
    place = np.broadcast_to(np.eye(t), (n, t, t))
    both = np.concatenate([x, history], axis=2)
    last = np.broadcast_to((np.arange(t) == t - 1)[None, :, None], (n, t, 1))
    return np.concatenate([both, place, both * last], axis=2)


def _fitted(label: Numbers, kept: Numbers, train: Solutions) -> Any:
    from sklearn.linear_model import LogisticRegression

    x = _seen(train)[kept]
    return LogisticRegression(C=1.0, max_iter=1000).fit(x, np.asarray(label)[kept].astype(np.int64))
