"""An outcome divided among the turns that led to it [87]."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from plaudit.errors import ShapeError
from plaudit.shaping.groups.baselines import leave_one_out
from plaudit.shaping.groups.codes import Groups, Labels


def return_errors(
    contributions: Float[np.ndarray, "n t"], mask: Bool[np.ndarray, "n t"], outcome: ArrayLike
) -> Float[np.ndarray, " n"]:
    """`(sum_t c_t - R)^2`: what an estimator of contributions is fitted to.

    Args:
        contributions: c, of each turn, from its last token's state.
        mask: True where there is a turn.
        outcome: R, (n,) of each trajectory; NaN where there is none: NaN.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: Wang et al. 2025, "SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution", equation 3 [87].
    """
    c, kept = _checked("return_errors", contributions, mask)
    return np.asarray((np.where(kept, c, 0.0).sum(axis=1) - np.asarray(outcome, dtype=np.float64)) ** 2)


def progress_rewards(
    contributions: Float[np.ndarray, "n t"], mask: Bool[np.ndarray, "n t"], grounded: Bool[np.ndarray, "n t"], *,
    progress: float = 1.0, grounding: float = 0.5,
) -> Float[np.ndarray, "n t"]:  # fmt: skip
    """`a c_t + b g_t`: what each turn contributed, and a bonus where its action could be executed.

    Args:
        contributions: c, of each turn.
        mask: True where there is a turn; 0 elsewhere.
        grounded: True where the environment accepted the action.
        progress: a.
        grounding: b; the released code's 0.5.

    Raises:
        ShapeError: if shapes do not belong together.

    Source: as `return_errors`, equation 6.
    """
    c, kept = _checked("progress_rewards", contributions, mask)
    if np.shape(grounded) != c.shape:
        raise ShapeError(f"progress_rewards: grounded has shape {np.shape(grounded)}; give {c.shape}")
    return np.where(kept, progress * c + grounding * np.asarray(grounded, dtype=np.float64), 0.0)


def leave_one_out_steps(
    outcome: ArrayLike, groups: Labels | Groups, mask: Bool[np.ndarray, "n t"]
) -> Float[np.ndarray, "n t"]:
    """For every turn of a trajectory its outcome less the mean of the task's other rollouts.

    What the released script for one benchmark writes over the estimator's contributions: named here for what it is.

    Args:
        outcome: (n,), NaN where there is none: zeros.
        groups: the task of each trajectory.
        mask: True where there is a turn.

    Raises:
        ShapeError: if shapes do not belong together.
    """
    ahead = leave_one_out(outcome, groups)
    if np.ndim(mask) != 2 or len(mask) != ahead.size:
        raise ShapeError(
            f"leave_one_out_steps: {ahead.size} outcomes and a mask of {np.shape(mask)}; give (n,) and (n, t)"
        )
    return np.where(mask, ahead[:, None], 0.0)


def _checked(who: str, value: ArrayLike, mask: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    v, kept = np.asarray(value, dtype=np.float64), np.asarray(mask, dtype=bool)
    if v.ndim != 2 or kept.shape != v.shape:
        raise ShapeError(f"{who}: contributions {v.shape} and mask {kept.shape}; give both (n, t)")
    return v, kept
