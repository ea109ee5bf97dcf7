"""What a reward says of a pair: its own log-odds, and the probability that its calibration makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.rewards.base import Comparison, Reward
from plaudit.rewards.calibrators.base import Floats
from plaudit.rewards.calibrators.stored import Calibration


def stated_scale(reward: Reward) -> float:
    """Log-odds per unit of reward as the reward itself states them, before any calibration.

    A model's score units per reward unit (for an objective whose differences are no log-odds as well: a calibration
    turns any difference of scores into log-odds); a reward of another kind its `log_odds_per_unit`, or 1.
    """
    manifest = getattr(reward, "manifest", None)
    return float(manifest.scale if manifest is not None else getattr(reward, "log_odds_per_unit", 1.0))


def stated_margin(reward: Reward, first: ArrayLike, second: ArrayLike) -> Float[np.ndarray, " n"]:
    """Log-odds that the first is better, as the reward states them: what calibrators are fitted to and applied to.

    Args:
        reward: whose rewards these are.
        first: (n,) rewards.
        second: (n,) rewards; NaN in either gives NaN.
    """
    return stated_scale(reward) * (np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))


def calibration_of(reward: Reward | Comparison) -> Calibration | None:
    """The calibration that was loaded with a reward; None where it has none."""
    found = getattr(reward, "calibration", None)
    return found if isinstance(found, Calibration) else None


def calibrated_probability(reward: Reward) -> Callable[[Floats], Floats] | None:
    """From differences of rewards (n,) to calibrated probabilities; None where the reward has no calibration."""
    calibration = calibration_of(reward)
    if calibration is None:
        return None
    scale = stated_scale(reward)
    return lambda margin: calibration.calibrator.probability(scale * margin)


def calibration_line(reward: Reward | Comparison) -> str:
    """One line that says what a reward's probabilities went through; empty where it has no calibration."""
    found = calibration_of(reward)
    if found is None:
        return ""
    return f"probabilities are calibrated: {found.calibrator.method} on {found.pairs} pairs of {found.prompts} prompts"
