"""Process rewards that more steps cannot raise: clipped, and differences that telescope [7]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from plaudit.errors import InputError, ShapeError


def clipped_steps(
    scores: Float[np.ndarray, "n k"], mask: Bool[np.ndarray, "n k"], *, eta: float
) -> Float[np.ndarray, "n k"]:
    """`min(p_k - eta, 0)`: a step can only cost, so that no sum of them grows with their number.

    Args:
        scores: p, of each step by a process reward model.
        mask: True where there is a step.
        eta: a high quantile of the scores, so that most steps cost nothing.

    Returns:
        0 where there is no step.

    Raises:
        ShapeError: if scores and mask differ in shape.
        InputError: if eta is not finite.

    Source: Gao et al. 2024, "On Designing Effective RL Reward at Training Time for LLM Reasoning" [7].
    """
    if not np.isfinite(eta):
        raise InputError(f"clipped_steps: eta is {eta}; give a finite score")
    return np.where(mask, np.minimum(_checked("clipped_steps", scores, mask) - eta, 0.0), 0.0)


def delta_steps(scores: Float[np.ndarray, "n k"], mask: Bool[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """`p_k - p_{k+1}`, `p_k` at the last step but one, 0 at the last, whose reward is the outcome's.

    The return from step k on is p_k, and that of a trajectory p_0, however many steps it has.

    Args:
        scores: p, of each step by a process reward model (clipped first for both together).
        mask: True where there is a step; steps come first, without gaps.

    Raises:
        ShapeError: if scores and mask differ in shape.
        InputError: if a mask has a gap.

    Source: as `clipped_steps`.
    """
    p, mask = _checked("delta_steps", scores, mask), np.asarray(mask, dtype=bool)
    n = steps_first("delta_steps", mask)
    later = np.concatenate([p[:, 1:], np.zeros((len(p), 1))], axis=1)
    at = np.arange(p.shape[1])
    last = n[:, None] - 1
    return np.where(at < last - 1, p - later, np.where(at == last - 1, p, 0.0))


def steps_first(who: str, mask: Bool[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """How many steps each row has.

    Raises:
        InputError: if a row has a step after a gap.
    """
    n = mask.sum(axis=1)
    if not (mask == (np.arange(mask.shape[1]) < n[:, None])).all():
        raise InputError(f"{who}: a row of the mask has a step after a gap; put steps first")
    return np.asarray(n)


def _checked(who: str, scores: Float[np.ndarray, "n k"], mask: Bool[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    p = np.asarray(scores, dtype=np.float64)
    if p.ndim != 2 or np.shape(mask) != p.shape:
        raise ShapeError(f"{who}: scores {p.shape} and mask {np.shape(mask)}; give both (n, k)")
    return np.where(mask, p, 0.0)
