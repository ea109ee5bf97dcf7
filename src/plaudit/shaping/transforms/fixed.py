"""Transforms with nothing but their options: each reward by itself, alike in every batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

from numpy.typing import ArrayLike

from plaudit.errors import InputError, nearest
from plaudit.records.sample import Sample
from plaudit.rewards.base import Floats
from plaudit.shaping.transforms import bounded
from plaudit.shaping.transforms.base import Bounds, ValueTransform

Curve = Literal["tanh", "arctan", "sigmoid", "log-sigmoid", "polynomial"]


@final
@dataclass(frozen=True)
class Clip(ValueTransform):
    """`min(max(r, low), high)`."""

    low: float = -math.inf
    """Lowest shaped reward."""
    high: float = math.inf
    """Highest shaped reward: by itself a ceiling."""

    kind: ClassVar[str] = "clip"

    def __post_init__(self) -> None:
        bounded.clipped(0.0, low=self.low, high=self.high)  # says what is wrong with the bounds

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `bounded.clipped`."""
        return bounded.clipped(reward, low=self.low, high=self.high)

    def limits(self, bounds: Bounds) -> Bounds:
        """The clipped bounds."""
        low, high = bounded.clipped([*bounds], low=self.low, high=self.high)
        return float(low), float(high)


@final
@dataclass(frozen=True)
class Squash(ValueTransform):
    """`curve((r - center) / scale)`: what bounds a reward without reference completions."""

    curve: Curve = "tanh"
    """`tanh`, `arctan`, `sigmoid`, `log-sigmoid` (no bound below) or `polynomial` (of degree five, flat beyond 5)."""
    center: float = 0.0
    """Reward that is read as 0."""
    scale: float = 1.0
    """Reward units that are read as 1, positive."""

    kind: ClassVar[str] = "squash"

    def __post_init__(self) -> None:
        if self.curve not in get_args(Curve):
            raise InputError(f"squash: curve {self.curve!r} is not known; {nearest(self.curve, get_args(Curve))}")
        if not self.scale > 0 or not math.isfinite(self.center):
            raise InputError(
                f"squash: center is {self.center} and scale {self.scale}; give a finite center and a positive scale"
            )

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """See `bounded`."""
        return _CURVES[self.curve]((reward - self.center) / self.scale)

    def limits(self, bounds: Bounds) -> Bounds:
        """The curve at the bounds."""
        low, high = (float(_CURVES[self.curve]((b - self.center) / self.scale)) for b in bounds)
        return low, high + 0.0  # log-sigmoid comes to -0.0


_CURVES: dict[str, Callable[[ArrayLike], Floats]] = {
    "tanh": bounded.tanh, "arctan": bounded.arctan, "sigmoid": bounded.sigmoid, "log-sigmoid": bounded.log_sigmoid,
    "polynomial": bounded.polynomial,
}  # fmt: skip


@final
@dataclass(frozen=True)
class Affine(ValueTransform):
    """`a * r + b`."""

    scale: float = 1.0
    """a, positive: a negative one would turn the reward round."""
    offset: float = 0.0
    """b, in shaped units."""

    kind: ClassVar[str] = "affine"

    def __post_init__(self) -> None:
        if not self.scale > 0 or not math.isfinite(self.scale + self.offset):
            raise InputError(f"affine: scale is {self.scale}, offset {self.offset}; give a positive scale, both finite")

    def shaped(self, reward: Floats, samples: Sequence[Sample]) -> Floats:  # noqa: ARG002
        """As it says."""
        return self.scale * reward + self.offset

    def limits(self, bounds: Bounds) -> Bounds:
        """The bounds, mapped."""
        return self.scale * bounds[0] + self.offset, self.scale * bounds[1] + self.offset
