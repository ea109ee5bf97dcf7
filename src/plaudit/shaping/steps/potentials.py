"""Potential-based shaping: a bonus that changes how fast a policy learns and not what is best [Ng et al. 1999]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from plaudit.errors import InputError, ShapeError
from plaudit.shaping.steps.telescoping import steps_first


def potential_shaping(
    potential: Float[np.ndarray, "n k"], mask: Bool[np.ndarray, "n k"], *, discount: float = 1.0, keep_end: bool = False
) -> Float[np.ndarray, "n k"]:
    """`F_t = discount * potential(s_{t+1}) - potential(s_t)`, with potential 0 after the last step.

    Discounted, it sums to `-potential(s_0)` whatever is done: every policy's return moves by the same number. Without
    the terminal condition (`keep_end`), episodes that end in states of high potential gain by it, and the best policy
    changes.

    Args:
        potential: of the state in which each step is taken.
        mask: True where there is a step; steps come first.
        discount: of the return that is optimised, in [0, 1].
        keep_end: leaves the terminal state its last potential: what goes wrong without the condition, for experiments.

    Raises:
        ShapeError: if potential and mask differ in shape.
        InputError: if the discount is outside [0, 1], or a mask has a gap.

    Source: Ng, Harada and Russell 1999, "Policy Invariance under Reward Transformations"; Grzes 2017, "Reward Shaping
    in Episodic Reinforcement Learning", for the terminal condition.
    """
    phi = np.asarray(potential, dtype=np.float64)
    if phi.ndim != 2 or np.shape(mask) != phi.shape:
        raise ShapeError(f"potential_shaping: potential {phi.shape} and mask {np.shape(mask)}; give both (n, k)")
    if not 0 <= discount <= 1:
        raise InputError(f"potential_shaping: discount is {discount}; give a number between 0 and 1")
    mask = np.asarray(mask, dtype=bool)
    n = steps_first("potential_shaping", mask)
    phi = np.where(mask, phi, 0.0)
    following = np.concatenate([phi[:, 1:], np.zeros((len(phi), 1))], axis=1)
    if keep_end:
        ends = np.arange(phi.shape[1]) == n[:, None] - 1
        following = np.where(ends, phi, following)
    return np.where(mask, discount * following - phi, 0.0)
