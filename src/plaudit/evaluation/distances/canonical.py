"""Canonical forms of rewards: equal for rewards that order policies alike [28].

What does not matter to a policy's order: a positive scale, potential shaping `gamma phi(s') - phi(s)`, and moving
reward between next states without changing its mean (S'-redistribution). A canonical form takes away the last two;
dividing by a norm takes away the first. EPIC's and DARD's forms leave redistribution in, and so tell rewards apart that
are the same.

Source: Skalse et al. 2024, "STARC: A General Framework For Quantifying Differences Between Reward Functions"; Gleave et
al. 2021 (EPIC); Wulfe et al. 2022 (DARD).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from plaudit.errors import ShapeError
from plaudit.evaluation.distances.mdp import MDP, Policy, Table, expected_reward, policy_values, uniform_policy


def canonical_val(mdp: MDP, reward: Table, policy: Policy | None = None) -> Policy:
    """`E[R(s, a, S') + gamma V(S') - V(s)]`, the advantages of a policy: STARC's value canonicalisation, (s, a).

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
        policy: whose values are taken; uniform by default.
    """
    r = expected_reward(mdp, reward)
    values = policy_values(mdp, r, uniform_policy(mdp) if policy is None else policy)
    return np.asarray(r + mdp.discount * mdp.transition @ values - values[:, None])


def canonical_val_potential(mdp: MDP, reward: Table, policy: Policy | None = None) -> Table:
    """`R(s, a, s') + gamma V(s') - V(s)`: the same without the mean over next states, so redistribution stays in.

    Args:
        mdp: the process.
        reward: (s, a, s).
        policy: whose values are taken; uniform by default.
    """
    r = _on_transitions(mdp, reward)
    values = policy_values(mdp, r, uniform_policy(mdp) if policy is None else policy)
    return np.asarray(r + mdp.discount * values[None, None, :] - values[:, None, None])


def canonical_epic(
    mdp: MDP,
    reward: Table,
    states: Float[np.ndarray, " s"] | None = None,
    actions: Float[np.ndarray, " a"] | None = None,
) -> Table:
    """`R(s, a, s') + E[gamma R(s', A, S') - R(s, A, S') - gamma R(S, A, S')]` under coverage distributions.

    Args:
        mdp: the process; of it only the discount is used.
        reward: (s, a, s).
        states: coverage of states; uniform by default.
        actions: coverage of actions; uniform by default.
    """
    r, (s, a) = _on_transitions(mdp, reward), mdp.shape
    ds = np.full(s, 1.0 / s) if states is None else np.asarray(states, dtype=np.float64)
    da = np.full(a, 1.0 / a) if actions is None else np.asarray(actions, dtype=np.float64)
    potential = np.einsum("sat,a,t->s", r, da, ds)
    g = mdp.discount
    return np.asarray(r + g * potential[None, None, :] - potential[:, None, None] - g * (ds @ potential))


def canonical_dard(mdp: MDP, reward: Table, actions: Float[np.ndarray, " a"] | None = None) -> Table:
    """`R(s, a, s') + E[gamma R(s', A, S'') - R(s, A, S') - gamma R(S', A, S'')]`, next states by the transitions.

    `S' ~ P(s, A)` and `S'' ~ P(s', A)`: only next states that can be reached are asked for, but `R(S', A, S'')` still
    joins states that need not follow each other.

    Args:
        mdp: the process.
        reward: (s, a, s).
        actions: coverage of actions; uniform by default.
    """
    r, a = _on_transitions(mdp, reward), mdp.shape[1]
    da = np.full(a, 1.0 / a) if actions is None else np.asarray(actions, dtype=np.float64)
    p, g = mdp.transition, mdp.discount
    mean = np.einsum("a,sat,sat->s", da, p, r)  # E R(s, A, S')
    reach = np.einsum("a,sat->st", da, p)  # where S' is, with an action of its own
    crossed = np.einsum("su,a,tav,uav->st", reach, da, p, r, optimize=True)  # E R(S', A, S''), S' from s, S'' from s'
    return np.asarray(r + g * mean[None, None, :] - mean[:, None, None] - g * crossed[:, None, :])


def minimal_norm(mdp: MDP, reward: Table) -> Policy:
    """The expected reward plus the potential shaping that makes its L2 norm smallest, (s, a).

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
    """
    r, (s, a) = expected_reward(mdp, reward), mdp.shape
    shaping = (mdp.discount * mdp.transition - np.eye(s)[:, None, :]).reshape(s * a, s)
    potential = np.linalg.lstsq(shaping, -r.reshape(-1), rcond=None)[0]
    return np.asarray(r + (shaping @ potential).reshape(s, a))


def _on_transitions(mdp: MDP, reward: Table) -> Table:
    r = np.asarray(reward, dtype=np.float64)
    if r.shape == mdp.shape:
        return np.repeat(r[:, :, None], mdp.shape[0], axis=2)
    if r.shape != mdp.transition.shape:
        raise ShapeError(f"reward: shape {r.shape}; this process has {mdp.transition.shape} transitions")
    return r
