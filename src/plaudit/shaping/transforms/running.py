"""What earlier batches were like: mean, deviation and range of all rewards so far, as a value that is handed on.

Score once, shape with the statistics of earlier batches, then take `updated`: a batch never judges itself, so that what
a reward is worth does not depend on the samples that happen to share its batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats


@dataclass(frozen=True, slots=True)
class Statistics:
    """Running statistics of rewards; with `rate` an exponential average, else over everything seen.

    Attributes:
        n: rewards seen.
        mean: their mean.
        square: mean squared distance from it (over n).
        low: the least.
        high: the greatest.
        rate: share of a new batch in mean and square, in (0, 1]; 0 weighs every reward of the past alike.

    Raises:
        InputError: if the rate is not within [0, 1], or the numbers are no statistics.
    """

    n: int = 0
    mean: float = 0.0
    square: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InputError(f"statistics: rate is {self.rate}; give a share between 0 and 1")
        if not self.n >= 0 or not 0 <= self.square < math.inf or not math.isfinite(self.mean):
            raise InputError(
                f"statistics: n is {self.n}, mean {self.mean} and square {self.square}; give counts and squares of at "
                "least 0, all finite"
            )

    @property
    def std(self) -> float:
        """Root of `square`: the population's deviation."""
        return math.sqrt(self.square)

    def updated(self, reward: ArrayLike) -> Self:
        """With a batch of rewards seen; `NaN` enters nothing, and a batch without any reward changes nothing."""
        r = np.asarray(reward, dtype=np.float64).reshape(-1)
        r = r[~np.isnan(r)]
        if not r.size:
            return self
        mean, square, n = float(r.mean()), float(r.var()), self.n + r.size
        # Chan et al. 1983: two samples' means and squared deviations to those of both
        share = r.size / n if not self.rate or not self.n else self.rate
        apart = mean - self.mean if self.n else 0.0
        whole = {
            "mean": mean if not self.n else self.mean + share * apart,
            "square": (1 - share) * self.square + share * square + share * (1 - share) * apart**2,
        }
        return replace(self, n=n, low=min(self.low, float(r.min())), high=max(self.high, float(r.max())), **whole)

    def to_dict(self) -> dict[str, Any]:
        """For a run's state, in plain numbers; `from_dict` is the inverse."""
        return asdict(self) | ({} if self.n else {"low": None, "high": None})

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Self:
        """The statistics of a saved row."""
        return cls(**{k: v for k, v in row.items() if v is not None})


def standardised_by(reward: ArrayLike, seen: Statistics, *, epsilon: float = 1e-8) -> Float[np.ndarray, " n"]:
    """`(r - mean) / (std + epsilon)` by what was seen, 0 where that is 0; the reward itself before anything was."""
    r, scale = np.asarray(reward, dtype=np.float64), seen.std + epsilon
    if not seen.n:
        return r
    return np.asarray((r - seen.mean) / scale if scale > 0 else 0.0 * r)


def clipped_by(reward: ArrayLike, seen: Statistics, *, width: float = 1.0) -> Float[np.ndarray, " n"]:
    """Rewards kept within `mean +- width * std` of what was seen; themselves before anything was.

    Raises:
        InputError: if the width is not positive and finite.
    """
    if not 0 < width < math.inf:
        raise InputError(f"clip: width is {width}; give a positive number of deviations, and a finite one")
    r = np.asarray(reward, dtype=np.float64)
    return r if not seen.n else np.asarray(np.clip(r, seen.mean - width * seen.std, seen.mean + width * seen.std))


def ranged_by(reward: ArrayLike, seen: Statistics) -> Float[np.ndarray, " n"]:
    """`(r - low) / (high - low)` by what was seen, kept within [0, 1]; 1/2 where nothing was seen or all was equal."""
    r: Floats = np.asarray(reward, dtype=np.float64)
    if not seen.n or seen.high <= seen.low:
        return np.where(np.isnan(r), np.nan, 0.5)
    return np.asarray(np.clip((r - seen.low) / (seen.high - seen.low), 0.0, 1.0))
