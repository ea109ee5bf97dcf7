"""Where the rollouts of a group disagree, and whether a candidate looked there [135]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def coverage(boxes: Float[np.ndarray, "n 4"], *, grid: int, width: float, height: float) -> Float[np.ndarray, "g g"]:
    """For each cell of a grid over the picture, the share of it that the boxes' union is taken to cover.

    A cell counts as covered as far as the box that covers it most does.

    Args:
        boxes: n boxes, in the picture's units; parts outside the picture are cut off.
        grid: cells a side.
        width: of the picture.
        height: of the picture.
    """
    if not len(boxes):
        return np.zeros((grid, grid))
    share_x = _covered(boxes[:, 0] / width * grid, boxes[:, 2] / width * grid, grid)
    share_y = _covered(boxes[:, 1] / height * grid, boxes[:, 3] / height * grid, grid)
    return np.asarray((share_y[:, :, None] * share_x[:, None, :]).max(axis=0))


def _covered(low: NDArray[np.float64], high: NDArray[np.float64], grid: int) -> NDArray[np.float64]:
    """Share of each of `grid` unit cells that lies in [low, high], (n, grid)."""
    cell = np.arange(grid)
    return np.asarray(np.clip(np.minimum(high[:, None], cell + 1) - np.maximum(low[:, None], cell), 0.0, 1.0))


def variance_map(
    rollouts: Sequence[Float[np.ndarray, "_ 4"]], *, grid: int = 16, width: float, height: float
) -> Float[np.ndarray, "g g"]:
    """Variance over the rollouts of a group of what their boxes cover, for each cell; zero where all agree.

    Args:
        rollouts: the boxes of each completion of a group.
        grid: cells a side.
        width: of the picture.
        height: of the picture.
    """
    if not rollouts:
        return np.zeros((grid, grid))
    return np.asarray(np.stack([coverage(b, grid=grid, width=width, height=height) for b in rollouts]).var(axis=0))


def looking_reward(
    observed: Float[np.ndarray, "n 4"], variance: Float[np.ndarray, "g g"], *, width: float, height: float
) -> float:
    """How much better than everywhere alike the observed boxes cover the cells on which the group disagrees, in [0, 1].

    `max(0, c_v - c)` with `c_v` the coverage averaged with the variances as weights and `c` the plain mean: whoever
    looks at the whole picture gains nothing. 0 where the group agrees everywhere.

    Args:
        observed: boxes that the candidate says it looked at.
        variance: map of the group, from `variance_map`.
        width: of the picture.
        height: of the picture.

    Source: DIP-R1 [135], whose formula is not published; subtracting the plain mean is ours, against looking at all.
    """
    if not variance.sum() > 0:
        return 0.0
    seen = coverage(observed, grid=len(variance), width=width, height=height)
    return max(0.0, float((seen * variance).sum() / variance.sum() - seen.mean()))
