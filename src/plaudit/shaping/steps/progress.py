"""Steps paid by the progress that they make: of a prover from where they lead, or of the policy's own answers.

Differs from the papers: in `verifiable_step_rewards` a step without a change within reach is worth 0 also at the end of
the text, where the released code has nothing to look at.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError


def best_of_k_value(success: ArrayLike, *, k: int = 4) -> Float[np.ndarray, " _"]:
    """`1 - (1 - Q)^k`: how often the best of k attempts from here succeeds; the prover of [152].

    Args:
        success: Q, chance of success of one attempt, in [0, 1].
        k: attempts, at least 1; a prover that always succeeds (large k) tells no step from another.

    Raises:
        InputError: if k is below 1 or a chance outside [0, 1].
    """
    q = np.asarray(success, dtype=np.float64)
    if k < 1 or ((q < 0) | (q > 1)).any():
        raise InputError(f"best_of_k_value: k is {k} and chances {q.tolist()}; give k >= 1, chances in [0, 1]")
    return np.asarray(1 - (1 - q) ** k)


def effective_rewards(
    policy_value: Float[np.ndarray, " s"], prover_value: Float[np.ndarray, " t"], *, alpha: float
) -> Float[np.ndarray, " s"]:
    """`Q^pi(s, a) + alpha A^mu(s, a)`, the advantage of the prover `A^mu = V^mu(after) - V^mu(before)`.

    Summed along a trajectory the advantages telescope to `V^mu(end) - V^mu(start)`.

    Args:
        policy_value: the policy's chance of success after each of the s steps.
        prover_value: the prover's before the first step and after each, s + 1 values; see `best_of_k_value`.
        alpha: at least 0; the paper's 3 to 5 in training, 0.2 to 0.5 in search.

    Raises:
        ShapeError: if there is not one prover value more than steps.
        InputError: if alpha is negative.

    Source: Setlur et al. 2024, "Rewarding Progress", equation 5 [152].
    """
    q, v = np.asarray(policy_value, dtype=np.float64), np.asarray(prover_value, dtype=np.float64)
    if q.ndim != 1 or v.shape != (q.size + 1,):
        raise ShapeError(
            f"effective_rewards: {q.shape} policy values and {v.shape} prover values; give (s,) and (s + 1,)"
        )
    if not alpha >= 0:
        raise InputError(f"effective_rewards: alpha is {alpha}; give a number of at least 0")
    return np.asarray(q + alpha * np.diff(v))


def verifiable_step_rewards(
    accuracy: Float[np.ndarray, " t"], *, gamma: float = 0.7, ahead: int = 4, flat: float = 1e-5
) -> Float[np.ndarray, " s"]:
    """The change of accuracy at each step; where it is flat, the first change ahead, discounted by its distance.

    `r_j = d_j`, `d_j = acc_{j+1} - acc_j`, where `|d_j| >= flat`; else `gamma^q d_{j+q}` of the first change q steps
    later, q at most `ahead`; else 0.

    Args:
        accuracy: share of right answers where the text is cut off before each step, and after the last: s + 1 values.
            One that is not known (NaN) is read as the one before it, so that a change is paid to the step after which
            it was first seen; before the first known one, as that one. Of accuracies of which none is known every step
            is NaN.
        gamma: in [0, 1].
        ahead: steps to look ahead, at least 0.
        flat: changes below this are none.

    Raises:
        ShapeError: if there are no two accuracies.
        InputError: if gamma or `ahead` is out of range.

    Source: Zhang et al. 2025, "Promoting Efficient Reasoning with Verifiable Stepwise Reward" (VSRM) [127].
    """
    a = np.asarray(accuracy, dtype=np.float64)
    if a.ndim != 1 or a.size < 2:
        raise ShapeError(f"verifiable_step_rewards: accuracy has shape {a.shape}; give at least two values")
    if not 0 <= gamma <= 1 or ahead < 0:
        raise InputError(
            f"verifiable_step_rewards: gamma is {gamma} and ahead {ahead}; give 0 <= gamma <= 1, ahead >= 0"
        )
    known_at = np.flatnonzero(~np.isnan(a))
    if not known_at.size:
        return np.full(a.size - 1, np.nan)
    change = np.diff(a[known_at[np.maximum(np.searchsorted(known_at, np.arange(a.size), "right") - 1, 0)]])
    moved = np.flatnonzero(np.abs(change) >= flat)
    # for each step the first change at or after it
    place = np.searchsorted(moved, np.arange(change.size))
    found = np.zeros(change.size)
    known = place < moved.size
    at = moved[place[known]]
    distance = at - np.flatnonzero(known)
    found[known] = np.where(distance <= ahead, gamma**distance * change[at], 0.0)
    return found
