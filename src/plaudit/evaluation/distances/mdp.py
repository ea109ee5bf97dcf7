"""Small decision processes as arrays: values, occupancies and optimal policies, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError

Table = Float[np.ndarray, "s a t"]
Policy = Float[np.ndarray, "s a"]


@dataclass(frozen=True)
class MDP:
    """States s, actions a, no end: rewards are discounted.

    Attributes:
        transition: `P(t | s, a)`, (s, a, s); rows sum to 1.
        discount: gamma, in [0, 1).
        start: distribution of the first state, (s,).
    """

    transition: Table
    discount: float
    start: Float[np.ndarray, " s"]

    def __post_init__(self) -> None:
        p, start = np.asarray(self.transition, dtype=np.float64), np.asarray(self.start, dtype=np.float64)
        if p.ndim != 3 or p.shape[0] != p.shape[2] or start.shape != p.shape[:1]:
            raise ShapeError(f"MDP: transition {p.shape}, start {start.shape}; give (s, a, s) and (s,)")
        for name, rows in (("transition", p), ("start", start)):
            if (rows < 0).any() or np.abs(rows.sum(axis=-1) - 1).max() > 1e-9:
                raise InputError(f"MDP: a row of {name} is no distribution; probabilities are 0 or more and sum to 1")
        if not 0 <= self.discount < 1:
            raise InputError(f"MDP: discount is {self.discount}; give 0 up to, and without, 1")
        object.__setattr__(self, "transition", p)
        object.__setattr__(self, "start", start)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of states and of actions."""
        return self.transition.shape[0], self.transition.shape[1]


def uniform_policy(mdp: MDP) -> Policy:
    """Every action alike, (s, a)."""
    s, a = mdp.shape
    return np.full((s, a), 1.0 / a)


def expected_reward(mdp: MDP, reward: Table) -> Policy:
    """`E[R(s, a, S') ]` over transitions, (s, a).

    Args:
        mdp: the process.
        reward: (s, a, s), or (s, a), which is returned as it is.

    Raises:
        ShapeError: if the reward has another shape.
    """
    r = np.asarray(reward, dtype=np.float64)
    if r.shape == mdp.shape:
        return r
    if r.shape != mdp.transition.shape:
        raise ShapeError(f"reward: shape {r.shape}; this process has {mdp.transition.shape} transitions")
    return np.asarray((mdp.transition * r).sum(axis=2))


def policy_values(mdp: MDP, reward: Table, policy: Policy) -> Float[np.ndarray, " s"]:
    """`V = (I - gamma P_pi)^-1 r_pi`: expected discounted reward from each state.

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
        policy: probabilities of actions.
    """
    moves = np.einsum("sa,sat->st", policy, mdp.transition)
    gained = (policy * expected_reward(mdp, reward)).sum(axis=1)
    return np.asarray(np.linalg.solve(np.eye(len(moves)) - mdp.discount * moves, gained))


def policy_return(mdp: MDP, reward: Table, policy: Policy) -> float:
    """J: expected discounted reward from the start.

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
        policy: probabilities of actions.
    """
    return float(mdp.start @ policy_values(mdp, reward, policy))


def occupancy(mdp: MDP, policy: Policy) -> Policy:
    """Discounted expected visits of each state and action, (s, a); they sum to `1 / (1 - gamma)`.

    Args:
        mdp: the process.
        policy: probabilities of actions.
    """
    moves = np.einsum("sa,sat->st", policy, mdp.transition)
    visits = np.linalg.solve(np.eye(len(moves)) - mdp.discount * moves.T, mdp.start)
    return np.asarray(visits[:, None] * policy)


def optimal_policy(mdp: MDP, reward: Table) -> Int[np.ndarray, " s"]:
    """The best action in each state, by policy iteration: the first of equally good ones.

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
    """
    r = expected_reward(mdp, reward)
    action = r.argmax(axis=1)
    for _ in range(1000):
        values = policy_values(mdp, r, deterministic(mdp, action))
        q = r + mdp.discount * mdp.transition @ values
        # an action changes only for a true gain, or rounding would make it go round
        better = q.max(axis=1) > q[np.arange(len(q)), action] + 1e-12 * (1 + np.abs(q).max())
        if not better.any():
            return np.asarray(action)
        action = np.where(better, q.argmax(axis=1), action)
    raise InputError("optimal_policy: policy iteration did not end in 1000 rounds; are the rewards finite?")


def deterministic(mdp: MDP, action: Int[np.ndarray, " s"]) -> Policy:
    """The policy that takes one action a state, as probabilities."""
    return np.asarray(np.eye(mdp.shape[1])[action])


def return_range(mdp: MDP, reward: Table) -> tuple[float, float]:
    """The smallest and the largest J of any policy.

    Args:
        mdp: the process.
        reward: (s, a, s) or (s, a).
    """
    r = expected_reward(mdp, reward)
    low = -policy_return(mdp, -r, deterministic(mdp, optimal_policy(mdp, -r)))
    return low, policy_return(mdp, r, deterministic(mdp, optimal_policy(mdp, r)))


def normalised_regret(mdp: MDP, truth: Table, policy: Policy) -> float:
    """What a policy loses of what there is to win: `(max J - J) / (max J - min J)`, in [0, 1]; 0 where nothing matters.

    Args:
        mdp: the process.
        truth: the reward that counts.
        policy: probabilities of actions.
    """
    low, high = return_range(mdp, truth)
    room = high - low
    # a truth of potential shaping alone has room of rounding size
    if room <= 1e-12 * (1 + abs(low) + abs(high)):
        return 0.0
    return float(np.clip((high - policy_return(mdp, truth, policy)) / room, 0.0, 1.0))
