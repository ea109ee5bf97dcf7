"""Lagrange multipliers that hold each reward at the value up to which it is a proxy [117].

The task is to stay near the starting policy; each component reward has a floor (or a value) that it must reach, and no
more is asked of it. A multiplier moves weight to a reward while it is below its point, and away once it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, final, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.shaping.groups.codes import Floats
from plaudit.shaping.transforms.base import checked_state
from plaudit.shaping.transforms.bounded import sigmoid

Kind = Literal["at-least", "equal"]


@final
@dataclass(frozen=True)
class Multipliers:
    """Multipliers of k rewards, and how they move; a pure value.

    `s = sigmoid(lambda)` for rewards of at least theta (mu-PPO), `tanh(lambda)` for rewards equal to theta (xi-PPO),
    which may be negative. The dual step descends `sum s_i (mean_i - theta_i)` in lambda: `v <- momentum v + gradient`,
    `lambda <- lambda - rate v`, so that s rises while the mean is below theta.

    Attributes:
        thresholds: theta of each reward, in its own units.
        kind: `at-least` or `equal`.
        rate: of the dual step.
        momentum: in [0, 1).
        clip: largest size of a gradient.
        value: lambda of each reward; zeros by default.
        velocity: v of each.

    Raises:
        ShapeError: if lengths differ.
        InputError: if a number is out of range, or a threshold, multiplier or velocity is not finite.

    Source: Moskovitz et al. 2023, "Confronting Reward Model Overoptimization with Constrained RLHF" [117].
    """

    thresholds: tuple[float, ...]
    kind: Kind = "at-least"
    rate: float = 0.01
    momentum: float = 0.9
    clip: float = 1.0
    value: tuple[float, ...] = field(default=())
    velocity: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.thresholds)
        for name in ("value", "velocity"):
            given = getattr(self, name) or (0.0,) * n
            if len(given) != n:
                raise ShapeError(f"multipliers: {name} has {len(given)} entries for {n} thresholds")
            object.__setattr__(self, name, tuple(float(x) for x in given))
        if self.kind not in get_args(Kind):
            raise InputError(f"multipliers: kind {self.kind!r} is not known; {nearest(self.kind, get_args(Kind))}")
        for name in ("thresholds", "value", "velocity"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"multipliers: {name} is {list(getattr(self, name))}; give finite numbers")
        if not n or not self.rate > 0 or not 0 <= self.momentum < 1 or not self.clip > 0:
            raise InputError(
                f"multipliers: {n} thresholds, rate {self.rate}, momentum {self.momentum}, clip {self.clip}; give at "
                "least one threshold, a positive rate and clip, and a momentum in [0, 1)"
            )

    @property
    def weights(self) -> Float[np.ndarray, " k"]:
        """The weight s of each reward."""
        lam = np.array(self.value)
        return np.asarray(np.tanh(lam) if self.kind == "equal" else sigmoid(lam))

    def updated(self, means: ArrayLike) -> Self:
        """After a batch.

        Args:
            means: (k,) mean of each reward over what counted; NaN, where nothing did, leaves its multiplier alone.

        Raises:
            ShapeError: if there are not k means.
        """
        m = np.asarray(means, dtype=np.float64)
        if m.shape != (len(self.thresholds),):
            raise ShapeError(f"multipliers: {m.shape} means for {len(self.thresholds)} thresholds; give one each")
        s = self.weights
        slope = 1 - s**2 if self.kind == "equal" else s * (1 - s)
        known = ~np.isnan(m)
        gradient = np.clip(slope * np.where(known, m - np.array(self.thresholds), 0.0), -self.clip, self.clip)
        velocity = np.where(known, self.momentum * np.array(self.velocity) + gradient, self.velocity)
        value = np.where(known, np.array(self.value) - self.rate * velocity, self.value)
        return replace(self, value=tuple(value.tolist()), velocity=tuple(velocity.tolist()))

    def state(self) -> dict[str, Any]:
        """Multipliers and velocities, for a run's folder."""
        return {"value": list(self.value), "velocity": list(self.velocity)}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With what `state` gave.

        Raises:
            InputError: if it is another's.
        """
        kept = checked_state("multipliers", state, ["value", "velocity"])
        return replace(self, value=tuple(kept["value"]), velocity=tuple(kept["velocity"]))


def mixed_advantages(task: Floats, rewards: Sequence[Floats], weights: ArrayLike) -> Floats:
    """`(k - sum_i s_i) A_task + sum_i s_i A_i`, each standardised beforehand in the paper.

    With one reward `(1 - s) A_task + s A_reward`. A task that is standardised pulls as hard near the start as far from
    it, and nothing damps the multipliers then: leave it in its own unit (nats) where they swing.

    Args:
        task: advantages of the task, such as of minus the KL from the starting policy.
        rewards: advantages of each of k rewards, of the task's shape.
        weights: (k,) see `Multipliers.weights`.

    Raises:
        ShapeError: if shapes differ or there are not k weights.
    """
    s, base = np.asarray(weights, dtype=np.float64), np.asarray(task, dtype=np.float64)
    if s.shape != (len(rewards),) or any(np.shape(a) != base.shape for a in rewards):
        raise ShapeError(
            f"mixed_advantages: task {base.shape}, rewards {[np.shape(a) for a in rewards]}, weights {s.shape}; give "
            "one weight a reward and equal shapes"
        )
    total = (len(rewards) - s.sum()) * base
    for weight, advantage in zip(s, rewards, strict=True):
        total = total + weight * np.asarray(advantage, dtype=np.float64)
    return np.asarray(total)
