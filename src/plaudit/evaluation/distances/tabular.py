"""Distances between rewards of a small process, and what they say of regret [28].

Differs from the paper: the norm of a value-canonicalised reward is over (s, a), on which alone it depends; the bound on
regret is computed for the pair of rewards at hand by solving the process for their difference, and is tighter than the
paper's constant, which holds for all pairs at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from plaudit.errors import InputError, nearest
from plaudit.evaluation.distances.canonical import (
    canonical_dard,
    canonical_epic,
    canonical_val,
    canonical_val_potential,
    minimal_norm,
)
from plaudit.evaluation.distances.mdp import MDP, Table, return_range

Form = Literal["val", "val-potential", "minimal-norm", "epic", "dard"]
FORMS: dict[str, Callable[[MDP, Table], Float[np.ndarray, ...]]] = {
    "val": canonical_val,
    "val-potential": canonical_val_potential,
    "minimal-norm": minimal_norm,
    "epic": canonical_epic,
    "dard": canonical_dard,
}
NORMS: dict[str, float] = {"l1": 1, "l2": 2, "linf": np.inf}


def standardised(mdp: MDP, reward: Table, *, form: Form = "val", norm: str = "l2") -> Float[np.ndarray, ...]:
    """The canonical form divided by its norm; 0 where the reward orders no two policies.

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
        form: `val`, `val-potential`, `minimal-norm`, `epic` or `dard`.
        norm: `l1`, `l2` or `linf`.

    Raises:
        InputError: if the form or the norm is not known.
    """
    if form not in FORMS:
        raise InputError(f"starc: form {form!r} is not known; {nearest(form, FORMS)}")
    if norm not in NORMS:
        raise InputError(f"starc: norm {norm!r} is not known; {nearest(norm, NORMS)}")
    canonical = FORMS[form](mdp, reward)
    size = float(np.linalg.norm(canonical.reshape(-1), NORMS[norm]))
    # what is left of a reward of shaping alone is rounding of its parts
    scale = float(np.linalg.norm(np.asarray(reward, dtype=np.float64).reshape(-1), NORMS[norm])) / (1 - mdp.discount)
    return canonical / size if size > 1e-12 * scale else np.zeros_like(canonical)


def starc_distance(mdp: MDP, a: Table, b: Table, *, form: Form = "val", norm: str = "l2") -> float:
    """`|| s(a) - s(b) ||` of the standardised rewards, in [0, 2].

    0 exactly where both order all policies alike, 2 where they order them oppositely (for `val` and `minimal-norm`;
    the other forms are no STARC metrics and may tell equivalent rewards apart). A reward that orders nothing is at
    distance 1 from every other one.

    Args:
        mdp: the process.
        a: a reward.
        b: another.
        form: of the canonicalisation.
        norm: of both, the standardisation and the distance.

    Source: Skalse et al. 2024, definition 8.
    """
    one, two = (standardised(mdp, r, form=form, norm=norm) for r in (a, b))
    return float(np.linalg.norm((one - two).reshape(-1), NORMS[norm]))


def epic_distance(
    mdp: MDP,
    a: Table,
    b: Table,
    states: Float[np.ndarray, " s"] | None = None,
    actions: Float[np.ndarray, " a"] | None = None,
) -> float:
    """EPIC: `sqrt((1 - rho) / 2)`, rho the Pearson correlation of EPIC's forms under coverage, in [0, 1].

    Args:
        mdp: the process; of it only the discount is used.
        a: a reward, (s, a, s).
        b: another.
        states: coverage of states and next states; uniform by default.
        actions: coverage of actions; uniform by default.

    Returns:
        The distance; NaN where one of the forms is constant.

    Source: Gleave et al. 2021, "Quantifying Differences in Reward Functions", definition 4.7.
    """
    s, n = mdp.shape
    ds = np.full(s, 1.0 / s) if states is None else np.asarray(states, dtype=np.float64)
    da = np.full(n, 1.0 / n) if actions is None else np.asarray(actions, dtype=np.float64)
    weight = ds[:, None, None] * da[None, :, None] * ds[None, None, :]
    return pearson_distance(canonical_epic(mdp, a, ds, da), canonical_epic(mdp, b, ds, da), weight)


def dard_distance(mdp: MDP, a: Table, b: Table, actions: Float[np.ndarray, " a"] | None = None) -> float:
    """DARD: the same of DARD's forms, with transitions weighted as they happen from uniform states.

    Args:
        mdp: the process.
        a: a reward, (s, a, s).
        b: another.
        actions: coverage of actions; uniform by default.

    Source: Wulfe et al. 2022, "Dynamics-Aware Comparison of Learned Reward Functions", definition 5.
    """
    s, n = mdp.shape
    da = np.full(n, 1.0 / n) if actions is None else np.asarray(actions, dtype=np.float64)
    weight = mdp.transition * da[None, :, None] / s
    return pearson_distance(canonical_dard(mdp, a, da), canonical_dard(mdp, b, da), weight)


def pearson_distance(x: Float[np.ndarray, ...], y: Float[np.ndarray, ...], weight: Float[np.ndarray, ...]) -> float:
    """`sqrt((1 - rho) / 2)` of two arrays under weights, in [0, 1]; NaN where one is constant.

    Args:
        x: any shape.
        y: the same shape.
        weight: at least 0, the same shape.
    """
    w = weight / weight.sum()
    x, y = x - (w * x).sum(), y - (w * y).sum()
    size = np.sqrt((w * x * x).sum() * (w * y * y).sum())
    if size <= 1e-24:
        return float("nan")
    return float(np.sqrt(max(0.0, (1 - (w * x * y).sum() / size) / 2)))


def regret_bound(mdp: MDP, proxy: Table, truth: Table) -> float:
    """Upper bound on the normalised regret of any policy that the proxy finds no worse than the truth's optimum.

    With D the difference of the standardised rewards and `J_2(pi_2) >= J_2(pi_1)`:
    `J_1(pi_1) - J_1(pi_2) <= J_D(pi_1) - J_D(pi_2) <= max J_D - min J_D`, over the range of `J_1`. Canonical forms
    change every J by the same constant, so that this is a bound for the rewards themselves.

    Args:
        mdp: the process.
        proxy: what is optimised.
        truth: what counts.

    Returns:
        In [0, 1]; 0 where the truth orders nothing.
    """
    one, two = standardised(mdp, truth), standardised(mdp, proxy)
    low, high = return_range(mdp, one)
    if high - low <= 1e-12:
        return 0.0
    least, most = return_range(mdp, one - two)
    return float(min(1.0, (most - least) / (high - low)))


def worst_regret(mdp: MDP, proxy: Table, truth: Table) -> float:
    """The largest normalised loss in truth of a change that the proxy does not find worse, exactly.

    `max (J_1(pi_1) - J_1(pi_2)) / (max J_1 - min J_1)` over all pairs of policies with `J_2(pi_2) >= J_2(pi_1)`: a
    linear programme over two occupancies.

    Args:
        mdp: the process.
        proxy: what is optimised.
        truth: what counts.

    Returns:
        In [0, 1]; 0 where the truth orders nothing.

    Source: Skalse et al. 2024, definition 4 (what soundness is about).
    """
    from scipy.optimize import linprog

    one, two = standardised(mdp, truth).reshape(-1), standardised(mdp, proxy).reshape(-1)
    low, high = return_range(mdp, one.reshape(mdp.shape))
    if high - low <= 1e-12:
        return 0.0
    flow, rest = flow_constraints(mdp)
    empty = np.zeros_like(flow)
    found = linprog(
        np.concatenate([-one, one]), A_ub=np.concatenate([two, -two])[None], b_ub=[0.0],
        A_eq=np.block([[flow, empty], [empty, flow]]), b_eq=np.concatenate([rest, rest]), method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise InputError(f"worst_regret: the linear programme was not solved: {found.message}")
    return float(np.clip(-found.fun / (high - low), 0.0, 1.0))


def flow_constraints(mdp: MDP) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, " s"]]:
    """Matrix and right side of what occupancies satisfy: what leaves a state is what starts there or arrives.

    Args:
        mdp: the process.
    """
    s, a = mdp.shape
    leaves = np.repeat(np.eye(s), a, axis=1)
    arrives = mdp.discount * mdp.transition.reshape(s * a, s).T
    return leaves - arrives, mdp.start


def shaped(mdp: MDP, reward: Table, potential: Float[np.ndarray, " s"]) -> Table:
    """`R(s, a, s') + gamma phi(s') - phi(s)`, which orders policies as R does.

    Args:
        mdp: the process.
        reward: (s, a, s).
        potential: phi.
    """
    phi = np.asarray(potential, dtype=np.float64)
    return np.asarray(reward + mdp.discount * phi[None, None, :] - phi[:, None, None])
