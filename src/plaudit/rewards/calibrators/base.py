"""What every calibrator is: a frozen map from a pair's log-odds margin to the probability that the first is better.

A file of pairs lists the chosen completion first, so its margins all carry the label 1, and a map that is fitted to
them as they stand would learn "always the first". Every calibrator here is fitted to folded pairs instead: the size of
the margin, and whether its sign was right. That is the same as fitting to each pair in both orders, and what comes out
satisfies `P(a, b) + P(b, a) = 1` exactly, whatever the data.
"""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from plaudit.errors import InputError, ShapeError

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]


@runtime_checkable
class Calibrator(Protocol):
    """A fitted map from margins to probabilities.

    Margins are log-odds as the reward itself states them: its difference, first minus second, times its own
    `log_odds_per_unit` before any calibration.

    Attributes:
        method: its name in `plaudit calibrate --method`.
    """

    @property
    def method(self) -> str: ...  # noqa: D102

    @classmethod
    def fit(cls, margin: ArrayLike, label: ArrayLike | None = None) -> Self:
        """Fits to held-out pairs.

        Args:
            margin: (n,) first minus second, in the reward's own log-odds; NaN rows are left out.
            label: (n,) 1 where the first is better, 0 where the second is, 0.5 for a tie; 1 everywhere by default.
        """
        ...

    def probability(self, margin: ArrayLike) -> Floats:
        """P(the first is better), (n,); 1/2 at margin 0, NaN where the margin is NaN."""
        ...

    def interval(self, margin: ArrayLike) -> Interval | None:
        """Lower and upper probability, each (n,), where the method gives them."""
        ...


def folded(
    who: str, margin: ArrayLike, label: ArrayLike | None = None
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Sizes of margins and whether their signs were right, for the rows that have both.

    Args:
        who: named in the error.
        margin: (n,), NaN where unknown.
        label: as in `Calibrator.fit`.

    Returns:
        `|margin|`, and correctness: the label where the margin is positive, its complement where it is negative, one
        half at 0.

    Raises:
        ShapeError: if margins and labels differ in number.
        InputError: if a margin is infinite, a label is none, or no row is left.
    """
    m = np.asarray(margin, dtype=np.float64).reshape(-1)
    y = np.ones(m.size) if label is None else np.asarray(label, dtype=np.float64).reshape(-1)
    if m.shape != y.shape:
        raise ShapeError(f"{who}: {m.size} margins and {y.size} labels; they must be equal in number")
    keep = ~np.isnan(m + y)
    m, y = m[keep], y[keep]
    if np.isinf(m).any():
        raise InputError(f"{who}: a margin is infinite; scores are finite, so look at the reward")
    if not np.isin(y, (0.0, 0.5, 1.0)).all():
        raise InputError(f"{who}: a label is {y[~np.isin(y, (0.0, 0.5, 1.0))][0]}; give 1, 0, or 0.5 for a tie")
    if not m.any():
        what = "there is no pair with a margin" if not m.size else f"all {m.size} margins are 0"
        raise InputError(f"{who}: {what}, so there is nothing to fit; give held-out pairs that the reward tells apart")
    return np.abs(m), np.where(m > 0, y, np.where(m < 0, 1 - y, 0.5))


def unfolded(margin: ArrayLike, right: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """P(the first is better) from P(the sign is right): itself, its complement, or one half at margin 0.

    Args:
        margin: (n,), NaN where unknown.
        right: (n,) probability that the margin's sign is right.
    """
    m = np.asarray(margin, dtype=np.float64)
    p = np.where(m > 0, right, np.where(m < 0, 1 - right, 0.5))
    return np.asarray(np.where(np.isnan(m), np.nan, p))


def known(margin: ArrayLike) -> Bool[np.ndarray, " n"]:
    """True where there is a margin, (n,)."""
    return np.asarray(~np.isnan(np.asarray(margin, dtype=np.float64)))
