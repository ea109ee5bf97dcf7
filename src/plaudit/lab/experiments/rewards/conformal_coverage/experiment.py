"""Conformal sets fitted where a marker word goes with quality, tested where it does not, or goes against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.fitting import reward_in_world
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, Prepared, prepare
from plaudit.records.rows import Pair
from plaudit.rewards.base import Reward
from plaudit.rewards.calibrators import Conformal, fit_calibrator, stated_margin

Floats = NDArray[np.float64]
BETA = Knobs().beta
"""Log-odds of the annotators per unit of true reward."""
SHIFT = {"in_distribution": 1.0, "independent": 0.0}
"""Correlation of the marker at test, in that of training; all other arms reverse it."""
ARMS = (
    *SHIFT, "reversed", "reversed_unbiased", "threshold_reversed", "random_reversed", "oracle_reversed",
)  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `coverage` in expectation under the annotators' probabilities, `abstained` (share of sets that hold both),
        `single_coverage` (coverage of the sets that hold one; 1 where there is none), and `accuracy` of the margins'
        signs against the true reward.
    """
    del fit  # log-odds are needed, and a scorer has none
    if arm not in ARMS:
        raise InputError(f"conformal_coverage: arm {arm!r} is not known; the claim lists the arms")
    held, test, true = _margins(seed, arm, budget)
    sets = _sets(arm, held, test, budget["level"])
    q = expit(true)
    covered = np.where(sets[:, 0], q, 0.0) + np.where(sets[:, 1], 1 - q, 0.0)
    single = sets.sum(axis=1) == 1
    right = (np.sign(test) * np.sign(true) + 1) / 2
    return {
        "coverage": float(covered.mean()),
        "abstained": float(1 - single.mean()),
        "single_coverage": float(covered[single].mean()) if single.any() else 1.0,
        "accuracy": float(right[true != 0].mean()),
    }


def _sets(arm: str, held: Floats, test: Floats, level: float) -> NDArray[np.bool_]:
    if arm == "threshold_reversed":
        p = fit_calibrator("temperature", held).probability(test)
        return np.asarray(np.stack([p >= 1 - level, 1 - p >= 1 - level], axis=1))
    found: NDArray[np.bool_] = Conformal.fit(held, level=level).sets(test)
    return found


def _margins(seed: int, arm: str, budget: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Calibration margins, test margins, and the annotators' log-odds on the test pairs, chosen minus rejected."""
    spurious = 0.0 if arm == "reversed_unbiased" else budget["spurious"]
    at_test = SHIFT.get(arm, -1.0) * budget["spurious"]
    world, n = _world(seed, budget), budget["calibration"]
    # one draw of distinct prompts, the same under every knob: no prompt is in both parts
    held, test = (
        world.pairs(n + budget["test"], Knobs(spurious=value, plant=True), seed=2, side="test")
        for value in (spurious, at_test)
    )
    calibration, tested = held[:n], test[n:]
    true = [BETA * np.array([row.meta["true_margin"] for row in rows]) for rows in (calibration, tested)]
    if arm == "oracle_reversed":
        return true[0], true[1], true[1]
    if arm == "random_reversed":
        rng = np.random.default_rng([seed, 42])
        return rng.normal(size=n), rng.normal(size=len(tested)), true[1]
    reward = _reward(seed, spurious, tuple(sorted(budget.items())))
    return _stated(reward, calibration), _stated(reward, tested), true[1]


def _world(seed: int, budget: Mapping[str, Any]) -> Prepared:
    return prepare(seed, PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"]))


@lru_cache(maxsize=2)
def _reward(seed: int, spurious: float, items: tuple[tuple[str, Any], ...]) -> Reward:
    """The instance's model at a correlation; arms share it, so it is fitted once an instance."""
    budget = dict(items)
    rows = _world(seed, budget).pairs(budget["pairs"], Knobs(spurious=spurious, plant=True), seed=1)
    return reward_in_world(rows, seed=seed, size=budget["size"], epochs=budget["epochs"])


def _stated(reward: Reward, rows: Sequence[Pair]) -> Floats:
    batch = reward([side for row in rows for side in row.samples()])
    return np.asarray(stated_margin(reward, batch.reward[0::2], batch.reward[1::2]))
