"""Demographic parity in a stream: its gradient from running means, without keeping what was seen [9].

    F = mean_{a=1} f(x) - mean_{a=0} f(x),      D = mean_{a=1} df/dtheta - mean_{a=0} df/dtheta
    g = coef * D * (F / delta if |F| < delta else sign(F))

which is the gradient of `coef * H(F)`, `H = F^2 / (2 delta)` up to delta and `|F| - delta / 2` beyond: |F| without its
corner. Batches of one example suffice: each group's mean of f and of its
gradient is kept, plainly (`rate` None) or by an average that forgets, corrected for its start.

**What is exact.** For a model that does not change, plain means give the gradient of the whole stream's penalty. For
one that learns, old gradients are stale: the average forgets with `rate`, which must be faster than the model moves.

**What it costs.** Two gradients' worth of memory, and an accuracy that the penalty buys parity with: where the groups'
true shares differ, parity of outcomes makes mistakes on purpose.

Source: Basu Roy Chowdhury et al. 2024, "Enhancing Group Fairness in Online Settings Using Oblique Decision Forests"
[9], Aranyani.

Differs from the paper: f is any output of any model where theirs are the gates of an oblique tree, node by node; up to
delta the slope is F / delta where theirs is F, which jumps from delta to 1 (the released code's `sign(F - delta / 2)`
is not followed: it is negative at F = 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError

Floats = NDArray[np.float64]


def huber_slope(gap: float, *, delta: float = 0.01) -> float:
    """Derivative of the Huber penalty of a gap: `gap / delta`, kept within -1 and 1.

    Args:
        gap: difference of the groups' means.
        delta: above 0, in units of the gap.

    Raises:
        InputError: if delta is not positive.
    """
    if not delta > 0:
        raise InputError(f"huber_slope: delta is {delta}; give a positive gap beyond which the slope is constant")
    return float(np.clip(gap / delta, -1.0, 1.0))


@final
@dataclass(frozen=True, eq=False)
class StreamingParity:
    """Running means of an output and of its gradient, one a group.

    Attributes:
        rate: how fast old examples are forgotten, in (0, 1), or None for plain means. 0.1 is a momentum of 0.9.
        value: (2,), mean output of the groups 0 and 1.
        gradient: (2, d), mean gradient; None before the first example.
        count: (2,), examples seen of each.
    """

    rate: float | None = None
    value: Floats | None = None
    gradient: Floats | None = None
    count: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < 1:
            raise InputError(f"StreamingParity: rate is {self.rate}; give a share in (0, 1), or None for plain means")

    def updated(self, output: ArrayLike, gradient: ArrayLike, group: ArrayLike) -> StreamingParity:
        """The state after a batch, one example after the other within each group.

        Args:
            output: (b,), f of each example.
            gradient: (b, d), of f, with respect to all parameters.
            group: (b,), True where it is of group 1.

        Raises:
            ShapeError: if the three differ in length, or the gradients from those before.
        """
        f, g, a = (
            np.asarray(output, dtype=np.float64),
            np.asarray(gradient, dtype=np.float64),
            np.asarray(group, dtype=bool),
        )
        if f.shape != a.shape or g.shape[:1] != f.shape or g.ndim != 2:
            raise ShapeError(
                f"StreamingParity: shapes {f.shape}, {g.shape}, {a.shape}; they must be (b,), (b, d), (b,)"
            )
        if self.gradient is not None and self.gradient.shape[1] != g.shape[1]:
            raise ShapeError(
                f"StreamingParity: gradients of {g.shape[1]} numbers after some of {self.gradient.shape[1]}"
            )
        value = np.zeros(2) if self.value is None else self.value.copy()
        slope = np.zeros((2, g.shape[1])) if self.gradient is None else self.gradient.copy()
        count = list(self.count)
        for k in (0, 1):
            at = np.flatnonzero(a == bool(k))
            if not at.size:
                continue
            weight = self._weights(count[k], at.size)
            kept = 1 - weight.sum()
            value[k] = kept * value[k] + weight @ f[at]
            slope[k] = kept * slope[k] + weight @ g[at]
            count[k] += int(at.size)
        return replace(self, value=value, gradient=slope, count=(count[0], count[1]))

    def _weights(self, before: int, new: int) -> Floats:
        """Weights of the new examples in the means; what is missing to 1 is that of the old means."""
        if self.rate is None:
            return np.full(new, 1 / (before + new))
        # an average that forgets, corrected for its start: example i of n weighs (1 - rate)^(n - i), divided by the sum
        stay = 1 - self.rate
        return np.asarray(stay ** np.arange(new - 1, -1, -1) * self.rate / (1 - stay ** (before + new)))

    @property
    def gap(self) -> float:
        """F, group 1 minus group 0; 0 before both were seen."""
        return 0.0 if self.value is None or 0 in self.count else float(self.value[1] - self.value[0])

    def penalty_gradient(self, *, coef: float = 0.3, delta: float = 0.01) -> Float[np.ndarray, " d"]:
        """Gradient of `coef` times the Huber penalty of the gap.

        Args:
            coef: the paper's lambda; its grid is around 0.3.
            delta: of the Huber penalty, in units of the output.

        Returns:
            Zeros before both groups were seen.

        Raises:
            InputError: if nothing was seen at all, or delta is not positive.
        """
        if self.gradient is None:
            raise InputError("StreamingParity: nothing was seen yet; update it with a batch first")
        if 0 in self.count:
            return np.zeros(self.gradient.shape[1])
        return np.asarray(coef * huber_slope(self.gap, delta=delta) * (self.gradient[1] - self.gradient[0]))
