"""Random orders of policies of a random process, and whether a reward of some kind agrees with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from plaudit.errors import InputError
from plaudit.evaluation.distances.expressivity import RewardMachine, expressible_as_markov, product
from plaudit.evaluation.distances.mdp import MDP, deterministic
from plaudit.lab.experiment import Fit

ARMS = ("markov", "memory", "parity", "three", "single", "state")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `expressed`, see the claim.
    """
    del fit  # nothing is trained
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "2"):
        raise InputError(f"markov_orders: arm {arm!r} is not known; the claim lists the arms")
    s, a = int(budget["states"]), int(budget["actions"])
    rng = np.random.default_rng([seed, 1])
    mdp = MDP(rng.dirichlet(np.ones(s), size=(s, a)), float(budget["discount"]), rng.dirichlet(np.ones(s)))
    every = np.stack(np.meshgrid(*[np.arange(a)] * s, indexing="ij"), axis=-1).reshape(-1, s)
    count = 2 if knob else int(budget["policies"])
    orders = [rng.permutation(len(every))[:count] for _ in range(int(budget["orders"]))]
    memory = _memory(name, seed, s, a)
    whole, _ = product(mdp, RewardMachine(0, memory, np.zeros(memory.shape)))
    found = [_expressed(whole, [_lifted(mdp, every[i], len(memory)) for i in o], name == "state") for o in orders]
    return {"expressed": float(np.mean(found))}


def _lifted(mdp: MDP, action: np.ndarray, memories: int) -> np.ndarray:
    """A policy that does not see the memory, in the process with it."""
    return np.repeat(deterministic(mdp, action), memories, axis=0)


def _expressed(mdp: MDP, policies: Sequence[np.ndarray], states_only: bool) -> bool:
    better = list(pairwise(range(len(policies))))
    if not states_only:
        return expressible_as_markov(mdp, policies, better).expressible
    # rewards of states alone: every action of a state is visited as often as the state, a share each
    s = len(mdp.start)
    moves = [np.einsum("sa,sat->st", p, mdp.transition) for p in policies]
    visits = np.stack([np.linalg.solve(np.eye(s) - mdp.discount * m.T, mdp.start) for m in moves])
    from scipy.optimize import linprog

    strict = np.stack([visits[i] - visits[j] for i, j in better])
    found = linprog(np.zeros(s), A_ub=-strict, b_ub=-np.ones(len(strict)), bounds=(None, None), method="highs")
    return bool(found.status == 0)


def _memory(name: str, seed: int, s: int, a: int) -> np.ndarray:
    """Next memory for memory, state, action and next state, (u, s, a, s)."""
    u = {"memory": 2, "parity": 2, "three": 3}.get(name, 1)
    moves = np.zeros((u, s, a, s), dtype=np.int64)
    action = (np.arange(a) > 0).astype(np.int64)[None, :, None]
    if name == "memory":
        moves[:] = action
    elif name == "parity":
        turns = np.random.default_rng([seed, 2]).random((s, a, s)) < 0.5
        moves[0], moves[1] = turns, ~turns
    elif name == "three":  # how many of the last actions in a row were not the first one, up to two
        for m in range(u):
            moves[m] = np.where(action > 0, min(m + 1, 2), 0)
    return moves
