"""One over-confident reward model and the maps that are fitted to its margins afterwards.

Scores are expectations under the annotators' probabilities, which the world knows, so the noise of single labels is not
in them: a model with the true probabilities has the least log loss that there is, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.fitting import reward_in_world
from plaudit.lab.worlds.assistant import Knobs, PolicyConfig, prepare
from plaudit.records.rows import Pair
from plaudit.rewards.base import Reward
from plaudit.rewards.calibrators import fit_calibrator, stated_margin
from plaudit.stats.calibration import calibration_error

Floats = NDArray[np.float64]
METHODS = {"temperature": "temperature", "platt": "platt", "isotonic": "isotonic", "venn_abers": "venn-abers"}
BETA = Knobs().beta
"""Log-odds of the annotators per unit of true reward."""


@dataclass(frozen=True)
class Margins:
    """What a model says of pairs, chosen minus rejected, and what is true of them.

    Attributes:
        stated: (n,) the model's log-odds.
        true: (n,) the annotators' log-odds.
    """

    stated: Floats
    true: Floats


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `log_loss`, `brier` and `calibration_error` (folded, ten bins of equal mass) in expectation under the
        annotators' probabilities, `confidence` (mean), and `accuracy` (against the true reward, ties half).
    """
    del fit  # log-odds are needed, and a scorer has none
    p, test = _probabilities(seed, arm, budget)
    q = expit(test.true)
    confidence, right = np.maximum(p, 1 - p), np.where(p > 0.5, q, np.where(p < 0.5, 1 - q, 0.5))
    clean = np.sign(test.true) * np.sign(np.round(p - 0.5, 12))
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    return {
        "log_loss": float(-(q * np.log(clipped) + (1 - q) * np.log1p(-clipped)).mean()),
        "brier": float((q * (1 - p) ** 2 + (1 - q) * p**2).mean()),
        "calibration_error": calibration_error(confidence, right),
        "confidence": float(confidence.mean()),
        "accuracy": float(((clean[test.true != 0] + 1) / 2).mean()),
    }


def _probabilities(seed: int, arm: str, budget: Mapping[str, Any]) -> tuple[Floats, Margins]:
    """P(the chosen one wins) on the test pairs, by an arm."""
    extra = budget["calibration"] if arm == "all_labels" else 0
    held, test = _margins(seed, extra, tuple(sorted(budget.items())))
    if arm in ("none", "all_labels"):
        return expit(test.stated), test
    if arm == "oracle":
        return expit(test.true), test
    if arm == "oracle_temperature":
        return fit_calibrator("temperature", held.true).probability(test.true), test
    rng = np.random.default_rng([seed, 41])
    coin = rng.integers(0, 2, size=held.stated.size).astype(np.float64)
    if arm == "shuffled":
        return fit_calibrator("temperature", held.stated, coin).probability(test.stated), test
    if arm == "random":
        blind = [rng.normal(size=m.stated.size) for m in (held, test)]
        return fit_calibrator("venn-abers", blind[0]).probability(blind[1]), test
    if arm not in METHODS:
        raise InputError(f"post_hoc_calibration: arm {arm!r} is not known; the claim lists the arms")
    return fit_calibrator(METHODS[arm], held.stated).probability(test.stated), test


@lru_cache(maxsize=2)
def _margins(seed: int, extra: int, items: tuple[tuple[str, Any], ...]) -> tuple[Margins, Margins]:
    """Calibration and test margins of the instance's model; arms share it, so it is fitted once an instance.

    Args:
        seed: of the instance.
        extra: calibration pairs that are trained on as well.
        items: the budget.
    """
    budget = dict(items)
    world = prepare(seed, PolicyConfig(demonstrations=budget["policy_demonstrations"], epochs=budget["policy_epochs"]))
    n = budget["calibration"]
    # one draw of distinct prompts: no prompt is in both parts, and none is on the training side
    held = world.pairs(n + budget["test"], seed=2, side="test")
    rows = world.pairs(budget["pairs"], seed=1) + held[:extra]
    passes = budget["passes"] * budget["pairs"] / len(rows)
    reward = reward_in_world(rows, seed=seed, size=budget["size"], epochs=passes, backbone=world.policy_folder)
    return _stated(reward, held[:n]), _stated(reward, held[n:])


def _stated(reward: Reward, rows: Sequence[Pair]) -> Margins:
    batch = reward([side for row in rows for side in row.samples()])
    true = BETA * np.array([row.meta["true_margin"] for row in rows])
    return Margins(stated_margin(reward, batch.reward[0::2], batch.reward[1::2]), true)
