"""What a prover earns for a solution by its role: prover-verifier games [217]."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from plaudit.errors import InputError, ShapeError, nearest
from plaudit.stats.clusters import Clusters, cluster_codes

Design = Literal["src", "cgc", "goodhart"]
DESIGNS: tuple[str, ...] = get_args(Design)
MISSED = {"src": -1.0, "cgc": -2.0}
"""What a solution is worth that does not convince, or that is not of its role's kind."""


def convincingness(value: ArrayLike, groups: Clusters) -> Float[np.ndarray, " n"]:
    """`V' = V - mean of V over the solutions of its prompt in its role`.

    A verifier's scores are identified up to a shift a prompt; what is left says which solutions of one prover to one
    prompt convince more than its others.

    Args:
        value: V, (n,), the verifier's scores; NaN where there is none, which leaves the mean.
        groups: (n,) labels of prompt and role.

    Returns:
        (n,), NaN where V is.
    """
    v, code = np.asarray(value, dtype=np.float64), cluster_codes(groups, len(np.asarray(value)))
    there = ~np.isnan(v)
    count = np.bincount(code, weights=there)
    total = np.bincount(code, weights=np.where(there, v, 0.0))
    return np.asarray(v - (total / np.maximum(count, 1))[code])


def prover_rewards(
    value: ArrayLike, correct: ArrayLike, helpful: ArrayLike, groups: Clusters, *, design: Design = "src"
) -> Float[np.ndarray, " n"]:
    """What a prover earns, with c whether a solution is right and h whether the prover's role is to help.

    | design | reward |
    | --- | --- |
    | `src` | `(2c - 1)(2h - 1) V'` where `V' > 0`, else -1 |
    | `cgc` | `V` where `c = h`, else -2 |
    | `goodhart` | `V`: convincing is all that counts |

    Under `src` a helpful prover gains by right solutions that convince and loses by wrong ones that do; a sneaky one
    the other way round. A solution that convinces no more than its prover's others earns -1, whatever it is.

    Args:
        value: V, (n,), the verifier's scores.
        correct: c, (n,), 1 or 0; NaN where it is not known.
        helpful: h, (n,), True for the helpful prover.
        groups: (n,) labels of prompt and role, of `convincingness`.
        design: see the table.

    Returns:
        (n,), NaN where V or c is: such a solution also leaves the mean of V'.

    Raises:
        ShapeError: if the parts differ in number.
        InputError: if the design is not known, or a c is neither 0, 1 nor NaN.

    Source: Kirchner et al. 2024, "Prover-Verifier Games improve legibility of LLM outputs", section 4 [217].
    """
    v, c = np.asarray(value, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    h = np.asarray(helpful, dtype=bool)
    if not v.shape == c.shape == h.shape or v.ndim != 1:
        raise ShapeError(f"prover_rewards: scores {v.shape}, outcomes {c.shape} and roles {h.shape}; give (n,) of each")
    if design not in DESIGNS:
        raise InputError(f"prover_rewards: design {design!r} is not known; {nearest(design, DESIGNS)}")
    if (odd := c[~np.isnan(c) & (c != 0) & (c != 1)]).size:
        raise InputError(f"prover_rewards: an outcome is {odd[0]}; give 1 for right, 0 for wrong, NaN for not known")
    known = ~np.isnan(v) & ~np.isnan(c)
    v = np.where(known, v, np.nan)
    if design == "goodhart":
        return v
    if design == "cgc":
        return np.where(known, np.where((c == 1) == h, v, MISSED["cgc"]), np.nan)
    ahead = convincingness(v, groups)
    signed = np.where(c == 1, 1.0, -1.0) * np.where(h, 1.0, -1.0) * ahead
    return np.where(known, np.where(ahead > 0, signed, MISSED["src"]), np.nan)


__all__ = ["DESIGNS", "MISSED", "Design", "convincingness", "prover_rewards"]
