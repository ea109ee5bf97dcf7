"""Which orders of policies a Markov reward can express, and objectives that can express more [214].

The return of a Markov reward is linear in a policy's occupancy. An order of policies is therefore expressible exactly
if a linear programme finds a reward, and where it does not, a combination of the order's own statements contradicts
itself: the certificate that is returned. A reward machine (a reward with memory), an average over time, or a nonlinear
function of a return escape.

Source: Subramani et al. 2024, "On The Expressivity of Objective-Specification Formalisms in Reinforcement Learning";
Abel et al. 2021, "On the Expressivity of Markov Reward" (the programme).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from plaudit.errors import InputError, ShapeError
from plaudit.evaluation.distances.mdp import MDP, Policy, Table, occupancy, policy_return


@dataclass(frozen=True)
class Expressible:
    """Whether a Markov reward expresses an order.

    Attributes:
        expressible: whether one does.
        reward: one that does, (s, a), with a margin of 1 for every strict statement; None where there is none.
        contradiction: weights, at least 0 and summing to 1, of the strict statements, whose weighted sum (with equal
            statements in `equalities`) says that the occupancy of nothing is better than itself; None where there is a
            reward.
        equalities: weights of the equal statements in the contradiction.
    """

    expressible: bool
    reward: Policy | None = None
    contradiction: Float[np.ndarray, " k"] | None = None
    equalities: Float[np.ndarray, " e"] | None = None


def expressible_as_markov(
    mdp: MDP,
    policies: Sequence[Policy],
    better: Sequence[tuple[int, int]],
    equal: Sequence[tuple[int, int]] = (),
) -> Expressible:
    """Looks for R with `J(i) >= J(j) + 1` for every strict statement and `J(i) = J(j)` for every equal one.

    Args:
        mdp: the process.
        policies: the policies that are ordered, each (s, a).
        better: pairs (i, j): policy i is better than j.
        equal: pairs that are equally good.

    Raises:
        InputError: if there is no strict statement, or a place is not one of the policies.
    """
    from scipy.optimize import linprog

    if not better:
        raise InputError("expressible_as_markov: nothing is better than anything; a reward of 0 expresses that")
    places = {p for pair in [*better, *equal] for p in pair}
    if not places <= set(range(len(policies))):
        raise InputError(f"expressible_as_markov: a statement is about policy {max(places)} of {len(policies)}")
    visits = np.stack([occupancy(mdp, p).reshape(-1) for p in policies])
    strict = np.stack([visits[i] - visits[j] for i, j in better])
    same = np.stack([visits[i] - visits[j] for i, j in equal]) if equal else np.zeros((0, visits.shape[1]))
    found = linprog(
        np.zeros(visits.shape[1]), A_ub=-strict, b_ub=-np.ones(len(strict)), A_eq=same if equal else None,
        b_eq=np.zeros(len(same)) if equal else None, bounds=(None, None), method="highs",
    )  # fmt: skip
    if found.status == 0:
        return Expressible(True, reward=found.x.reshape(mdp.shape))
    # Gordan's alternative: y >= 0, sum y = 1, with y strict + z same = 0
    width = np.concatenate([strict, same]).T
    whole = np.concatenate([width, np.concatenate([np.ones(len(strict)), np.zeros(len(same))])[None]])
    right = np.zeros(len(whole))
    right[-1] = 1.0
    bounds = [(0, None)] * len(strict) + [(None, None)] * len(same)
    proof = linprog(np.zeros(whole.shape[1]), A_eq=whole, b_eq=right, bounds=bounds, method="highs")
    if proof.status != 0:
        raise InputError("expressible_as_markov: neither a reward nor a contradiction was found: nearly degenerate")
    return Expressible(False, contradiction=proof.x[: len(strict)], equalities=proof.x[len(strict) :])


@dataclass(frozen=True)
class RewardMachine:
    """A reward with u states of memory.

    Attributes:
        start: the memory at first.
        moves: the next memory for memory u and a transition (s, a, t) of the process, (u, s, a, t), whole numbers.
        reward: of the transition in memory u, (u, s, a, t).
    """

    start: int
    moves: Int[np.ndarray, "u s a t"]
    reward: Float[np.ndarray, "u s a t"]

    def __post_init__(self) -> None:
        moves, reward = np.asarray(self.moves), np.asarray(self.reward, dtype=np.float64)
        u = len(moves)
        if moves.shape != reward.shape or moves.ndim != 4:
            raise ShapeError(f"RewardMachine: moves {moves.shape}, reward {reward.shape}; give both as (u, s, a, s)")
        if not 0 <= self.start < u or moves.min() < 0 or moves.max() >= u:
            raise InputError(f"RewardMachine: memories are 0..{u - 1}; the start or a move is none of them")


def product(mdp: MDP, machine: RewardMachine) -> tuple[MDP, Table]:
    """The process of states with memory, in which the machine's reward is Markov: `s` with memory u is `s u_n + u`.

    Args:
        mdp: the process.
        machine: the reward machine on it.

    Returns:
        The product and its reward.
    """
    s, a = mdp.shape
    n = len(machine.moves)
    transition, reward = np.zeros((s, n, a, s, n)), np.zeros((s, n, a, s, n))
    for u in range(n):
        for v in range(n):
            goes = machine.moves[u] == v
            transition[:, u, :, :, v] = np.where(goes, mdp.transition, 0.0)
            reward[:, u, :, :, v] = np.where(goes, machine.reward[u], 0.0)
    start = np.zeros((s, n))
    start[:, machine.start] = mdp.start
    shape = (s * n, a, s * n)
    return MDP(transition.reshape(shape), mdp.discount, start.reshape(-1)), reward.reshape(shape)


def machine_return(mdp: MDP, machine: RewardMachine, policy: Policy) -> float:
    """Expected discounted reward of a machine under a policy that does not see its memory.

    Args:
        mdp: the process.
        machine: the reward machine.
        policy: probabilities of actions, (s, a).
    """
    whole, reward = product(mdp, machine)
    return policy_return(whole, reward, np.repeat(policy, len(machine.moves), axis=0))


def limit_average(mdp: MDP, reward: Table, policy: Policy) -> float:
    """Average reward a step in the long run: the objective that no discounted reward expresses in general.

    Args:
        mdp: the process; its discount is not used.
        reward: (s, a, s) or (s, a).
        policy: probabilities of actions.

    Source: Mahadevan 1996, "Average Reward Reinforcement Learning".
    """
    from plaudit.evaluation.distances.mdp import expected_reward

    moves = np.einsum("sa,sat->st", policy, mdp.transition)
    k = len(moves)
    # the long-run average of P^n, also of periodic chains: the limit of a lazy chain, squared again and again
    lazy = (moves + np.eye(k)) / 2
    for _ in range(60):
        lazy = lazy @ lazy
        lazy /= lazy.sum(axis=1, keepdims=True)
    return float(mdp.start @ lazy @ (policy * expected_reward(mdp, reward)).sum(axis=1))
