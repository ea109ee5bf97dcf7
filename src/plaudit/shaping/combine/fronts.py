"""Several objectives that must not be one number beforehand: Pareto fronts, and weights that move with them [134].

Differs from the paper: the hypervolume is computed exactly, by slicing, for any number of objectives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.groups.codes import Floats


def pareto_front(points: Float[np.ndarray, "p m"]) -> Bool[np.ndarray, " p"]:
    """True where no other point is at least as good in every objective and better in one; equal points are all on it.

    Args:
        points: the larger the better.
    """
    x = _points("pareto_front", points)
    as_good = (x[None, :, :] >= x[:, None, :]).all(axis=2)
    better = (x[None, :, :] > x[:, None, :]).any(axis=2)
    beaten = np.asarray(as_good & better)
    return np.asarray(~beaten.any(axis=1))


def hypervolume(points: Float[np.ndarray, "p m"], reference: ArrayLike) -> float:
    """Volume of what lies below some point and above the reference, in the product of the objectives' units.

    Args:
        points: the larger the better; those that do not exceed the reference in every objective add nothing.
        reference: (m,).

    Raises:
        ShapeError: if the reference has another number of objectives.
    """
    x, low = _points("hypervolume", points), np.asarray(reference, dtype=np.float64)
    if low.shape != (x.shape[1],):
        raise ShapeError(f"hypervolume: points {x.shape} and reference {low.shape}; give (p, m) and (m,)")
    return _volume(x[(x > low).all(axis=1)], low)


def _volume(x: Floats, low: Floats) -> float:
    """By slices of the last objective, from the top: between two levels the points above the lower one count."""
    if not len(x):
        return 0.0
    if x.shape[1] == 1:
        return float(x.max() - low[0])
    levels = np.unique(x[:, -1])[::-1]
    below = np.append(levels[1:], low[-1])
    return sum(
        float(top - bottom) * _volume(x[x[:, -1] >= top][:, :-1], low[:-1])
        for top, bottom in zip(levels.tolist(), below.tolist(), strict=True)
    )


@final
@dataclass(frozen=True)
class Front:
    """Validation results on the front so far, and the factor of the reward that a new one earns; a pure value.

    `factor = 1/2 + 3/2 tanh(max(gain, 0))`, gain the hypervolume that the point adds: training that moves the front is
    paid more, up to twice, and training that does not, half.

    Attributes:
        reference: the worst that counts, (m,).
        points: on the front, in the order in which they came; begin with the reference model's results.

    Source: Lu et al. 2025, "Learning to Optimize Multi-Objective Alignment Through Dynamic Reward Weighting" [134].
    """

    reference: tuple[float, ...]
    points: tuple[tuple[float, ...], ...] = ()

    def gain(self, point: ArrayLike) -> float:
        """Hypervolume that a point adds, 0 where it is dominated."""
        new = np.asarray(point, dtype=np.float64)[None]
        if any((np.array(old) >= new[0]).all() for old in self.points):
            return 0.0  # what another dominates adds nothing, whatever rounding says
        both = np.concatenate([np.array(self.points), new]) if self.points else new
        before = hypervolume(np.array(self.points), self.reference) if self.points else 0.0
        return max(hypervolume(both, self.reference) - before, 0.0)

    def factor(self, point: ArrayLike) -> float:
        """What the weighted sum of the rewards is multiplied by after this result, in [1/2, 2)."""
        return 0.5 + 1.5 * math.tanh(self.gain(point))

    def updated(self, point: ArrayLike) -> Self:
        """With a result, if it adds to the front."""
        if not self.gain(point) > 0:
            return self
        return replace(self, points=(*self.points, tuple(float(v) for v in np.asarray(point, dtype=np.float64))))

    def state(self) -> dict[str, Any]:
        """The points, for a run's folder."""
        return {"points": [list(p) for p in self.points]}

    def restored(self, state: Mapping[str, Any]) -> Self:
        """With the points that `state` gave."""
        return replace(self, points=tuple(tuple(float(v) for v in p) for p in state["points"]))


def gradient_weights(
    weights: ArrayLike, gradients: Float[np.ndarray, "m d"], *, rate: float = 1e-6, scale: float = 1e-5
) -> Float[np.ndarray, " m"]:
    """`softmax(log w + rate * s / scale)`, `s_i = sum_j <g_i, g_j>`: weight flows to what still moves, and together.

    Args:
        weights: (m,) positive, of sum 1.
        gradients: of each objective, over some of the parameters.
        rate: of the step; the paper's 1e-6.
        scale: the paper's mu, 1e-5.

    Returns:
        On the simplex; unchanged where all gradients are equal.

    Raises:
        ShapeError: if there are not as many gradients as weights.
        InputError: if the weights are not positive with sum 1, or a number is not positive.

    Source: as `Front`.
    """
    w, g = np.asarray(weights, dtype=np.float64), np.asarray(gradients, dtype=np.float64)
    if g.ndim != 2 or w.shape != (len(g),):
        raise ShapeError(f"gradient_weights: weights {w.shape} and gradients {g.shape}; give (m,) and (m, d)")
    if not (w > 0).all() or abs(w.sum() - 1) > 1e-9 or not (rate > 0 and scale > 0):
        raise InputError(f"gradient_weights: weights {w.tolist()}; give positive ones of sum 1, rate and scale above 0")
    logits = np.log(w) + rate / scale * (g @ g.T).sum(axis=1)
    raised = np.exp(logits - logits.max())
    return np.asarray(raised / raised.sum())


def _points(who: str, points: ArrayLike) -> Floats:
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2:
        raise ShapeError(f"{who}: points have shape {x.shape}; give (p, m)")
    if np.isnan(x).any():
        raise InputError(
            f"{who}: point {int(np.argwhere(np.isnan(x))[0][0])} has a value that is missing; leave it out"
        )
    return x
