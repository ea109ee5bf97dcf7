"""What a reward says beyond length: the residual of a regression on length within groups.

The slope is one for all groups, fitted to differences within them: prompts that call for longer answers do not count as
a liking for length, and a group of four is not asked for a slope of its own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError
from plaudit.shaping.groups.codes import Floats, Grouped, Groups, Labels


def length_slope(reward: ArrayLike, length: ArrayLike, groups: Labels | Groups, *, ridge: float = 0.0) -> float:
    """`sum (L - mean L)(r - mean r) / (sum (L - mean L)^2 + ridge)`, means within groups: reward per unit of length.

    Args:
        reward: (n,), NaN where there is none.
        length: (n,) words, tokens or their logarithm; NaN where it is not known.
        groups: a label a sample.
        ridge: in squared units of length, at least 0: draws the slope of few samples towards 0.

    Returns:
        0 where no group has two different lengths.

    Raises:
        InputError: if the ridge is negative.
    """
    if not ridge >= 0:
        raise InputError(f"length_slope: ridge is {ridge}; give a number of at least 0")
    r, lengths = _both("length_slope", reward, length, groups)
    across = np.nansum(r.centred * lengths.centred)
    own = np.nansum(lengths.centred**2) + ridge
    return float(across / own) if own > 0 else 0.0


def length_residual(
    reward: ArrayLike, length: ArrayLike, groups: Labels | Groups, *, slope: float | None = None, ridge: float = 0.0
) -> Float[np.ndarray, " n"]:
    """`r - slope * (L - mean L of the group)`: group means stay, and within groups length explains nothing linearly.

    Args:
        reward: (n,), NaN where there is none.
        length: (n,); a reward whose length is not known stays as it is.
        groups: a label a sample.
        slope: fitted beforehand, on other samples; fitted here if None.
        ridge: see `length_slope`.
    """
    r, lengths = _both("length_residual", reward, length, groups)
    b = length_slope(r.value, lengths.value, r.groups, ridge=ridge) if slope is None else slope
    found: Floats = np.asarray(reward, dtype=np.float64) - b * np.nan_to_num(lengths.centred)
    return found


def _both(who: str, reward: ArrayLike, length: ArrayLike, groups: Labels | Groups) -> tuple[Grouped, Grouped]:
    """Both, missing where either is."""
    r = Grouped.of(who, reward, groups, length=length)
    missing = np.isnan(r.value) | np.isnan(np.asarray(length, dtype=np.float64))
    return tuple(  # type: ignore[return-value]
        Grouped(np.where(missing, np.nan, np.asarray(x, dtype=np.float64)), r.groups) for x in (r.value, length)
    )
