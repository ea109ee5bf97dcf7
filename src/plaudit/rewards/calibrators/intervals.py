"""Conformal intervals of a rating or a score: absolute residuals, in the model's own deviations where it has them.

Differs from the paper: none in the formula; the deviation is whatever `RewardBatch` gives (std, noise, or both).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.rewards.calibrators.base import Floats


@final
@dataclass(frozen=True)
class ResidualInterval:
    """`score +- quantile * std`, or `score +- quantile` for a model without a deviation.

    The quantile is the `ceil((n + 1) level)`-th smallest of the calibration set's `|target - score| / std`; over
    calibration and test samples drawn alike the interval holds the target with at least that probability.

    Attributes:
        quantile: half-width, in deviations or in score units.
        level: coverage that is promised.
        n: calibration samples.
        normalised: whether residuals were divided by a deviation.

    Source: Lei et al. 2018, "Distribution-Free Predictive Inference for Regression".
    """

    quantile: float
    level: float
    n: int
    normalised: bool

    @classmethod
    def fit(cls, score: ArrayLike, target: ArrayLike, std: ArrayLike | None = None, *, level: float = 0.9) -> Self:
        """Fits to held-out samples.

        Args:
            score: (n,) predictions; rows with a NaN anywhere are left out.
            target: (n,) what they predict, in the same unit.
            std: (n,) positive deviations, or None.
            level: coverage, in (0, 1).

        Raises:
            ShapeError: if the columns differ in length.
            InputError: if the level is out of range, a deviation is not positive, or there are too few samples.
        """
        if not 0 < level < 1:
            raise InputError(f"interval: level is {level}; give a coverage between 0 and 1, such as 0.9")
        s, y = np.asarray(score, dtype=np.float64), np.asarray(target, dtype=np.float64)
        unit = np.ones(s.shape) if std is None else np.asarray(std, dtype=np.float64)
        if not s.shape == y.shape == unit.shape:
            raise ShapeError(f"interval: scores {s.shape}, targets {y.shape}, std {unit.shape}; they must be equal")
        keep = ~np.isnan(s + y + unit)
        _check_positive(unit[keep])
        residual = np.sort(np.abs(y - s)[keep] / unit[keep])
        rank = math.ceil((residual.size + 1) * level - 1e-9)
        if rank > residual.size:
            least = math.ceil(level / (1 - level) - 1e-9)
            raise InputError(f"interval: {residual.size} samples cannot promise {level:.0%}; give at least {least}")
        return cls(float(residual[rank - 1]), level, int(residual.size), std is not None)

    def interval(self, score: ArrayLike, std: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Lower and upper end of each sample's interval, (n,).

        Args:
            score: (n,).
            std: (n,) deviations, exactly where the fit had them.

        Raises:
            InputError: if a deviation is missing, or given where none was fitted, or not positive.
        """
        if (std is not None) != self.normalised:
            said = "with" if self.normalised else "without"
            raise InputError(f"interval: was fitted {said} deviations; give std {'too' if self.normalised else 'None'}")
        s = np.asarray(score, dtype=np.float64)
        half = self.quantile * (np.ones(s.shape) if std is None else np.asarray(std, dtype=np.float64))
        if std is not None:
            _check_positive(np.asarray(std, dtype=np.float64))
        return s - half, s + half


def _check_positive(unit: Floats) -> None:
    if (unit <= 0).any():
        raise InputError(f"interval: a deviation is {unit[unit <= 0][0]}; deviations are positive")
