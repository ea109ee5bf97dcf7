"""What is best under a shaped reward, in a grid that is solved exactly.

A 5x5 grid with slip has three exits of different worth; the episode ends at an exit, and what is later counts less. The
shaping knows how near each cell is to the best exit. It is added as a difference of potentials, with the potential 0 at
the end and without that condition, or as a bonus for being near. The policy that is best under each shaped reward is
found by value iteration, and is judged by the return of the reward as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.steps import potential_shaping

SIDE, EXITS = 5, 3
CELLS = SIDE * SIDE
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
ARMS = ("potential", "bonus", "kept", "random", "none")
DOSES = ("0", "0.1", "4")
"""What an arm's scale is multiplied by, after the @."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A grid; exits are cells that one enters and never leaves.

    Attributes:
        move: (CELLS, 4, CELLS) chances of the next cell; exits stay where they are.
        exit: (CELLS,) True at exits.
        worth: (CELLS,) reward on entering, 0 but at exits.
        near: (CELLS,) in [0, 1], 1 at the best exit.
    """

    move: Numbers
    exit: NDArray[np.bool_]
    worth: Numbers
    near: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `share`, the true return of the policy that is best under the arm's reward, mean over starts, as a share of
        the best that there is; `early`, the same of the policy after three sweeps of value iteration; `ends`, the
        share of starts from which the policy's episode ends within 100 steps.
    """
    del fit  # nothing is learned: solved exactly
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", *DOSES):
        raise InputError(f"potential_shaping: arm {arm!r} is not known; the claim lists the arms")
    grid = _grid(seed, float(budget["slip"]))
    discount, sweeps = float(budget["discount"]), int(budget["sweeps"])
    plain = np.where(grid.exit[:, None], 0.0, grid.worth[None, :])  # (cell, next cell)
    scale = float(budget["scale"]) * float(knob or 1)
    shaped = plain + _shaping(name, grid, scale, discount, np.random.default_rng([seed, 2]))
    starts = ~grid.exit
    best = _return(grid, _greedy(grid, plain, discount, sweeps), plain, discount)[starts].mean()
    policy = _greedy(grid, shaped, discount, sweeps)
    early = _return(grid, _greedy(grid, shaped, discount, 3), plain, discount)[starts].mean()
    return {
        "share": float(_return(grid, policy, plain, discount)[starts].mean() / best),
        "early": float(early / best),
        "ends": float(_ends(grid, policy)[starts].mean()),
    }


def _shaping(name: str, grid: Grid, scale: float, discount: float, rng: np.random.Generator) -> Numbers:
    """What is added to the reward of each transition, (cell, next cell)."""
    if name == "none":
        return np.zeros((CELLS, CELLS))
    phi = scale * (rng.random(CELLS) if name == "random" else grid.near)
    if name == "bonus":
        return np.where(grid.exit[:, None], 0.0, phi[None, :] + np.zeros((CELLS, 1)))
    pairs = np.stack(np.broadcast_arrays(phi[:, None], phi[None, :]), axis=-1).reshape(-1, 2)
    # a step into an exit is an episode's last: no state is left after it in which a step is taken
    mask = np.ones((CELLS, CELLS, 2), dtype=bool)
    mask[:, grid.exit, 1] = False
    found = potential_shaping(pairs, mask.reshape(-1, 2), discount=discount, keep_end=name == "kept")
    return np.where(grid.exit[:, None], 0.0, found[:, 0].reshape(CELLS, CELLS))


def _greedy(grid: Grid, reward: Numbers, discount: float, sweeps: int) -> NDArray[np.int64]:
    """The policy after so many sweeps of value iteration from 0; of equal actions the first."""
    gain = (grid.move * reward[:, None, :]).sum(axis=2)
    value, q = np.zeros(CELLS), gain
    for _ in range(sweeps):
        q = gain + discount * grid.move @ value
        value = np.where(grid.exit, 0.0, q.max(axis=1))
    return np.asarray(np.round(q, 9).argmax(axis=1))


def _return(grid: Grid, policy: NDArray[np.int64], reward: Numbers, discount: float) -> Numbers:
    """Exact discounted return from each cell."""
    move = grid.move[np.arange(CELLS), policy]
    gain = (move * reward).sum(axis=1)
    stay = np.where(grid.exit[:, None], 0.0, move)
    return np.asarray(np.linalg.solve(np.eye(CELLS) - discount * stay, np.where(grid.exit, 0.0, gain)))


def _ends(grid: Grid, policy: NDArray[np.int64]) -> Numbers:
    """Chance of having left by an exit after 100 steps, from each cell."""
    move = grid.move[np.arange(CELLS), policy]
    return np.asarray(np.linalg.matrix_power(move, 100)[:, grid.exit].sum(axis=1))


def _grid(seed: int, slip: float) -> Grid:
    rng = np.random.default_rng([seed, 1])
    exits = rng.choice(CELLS, size=EXITS, replace=False)
    worth = np.zeros(CELLS)
    worth[exits] = rng.uniform(0.2, 1.0, size=EXITS)
    exit_ = worth > 0
    at = np.stack(np.divmod(np.arange(CELLS), SIDE), axis=1)
    to = np.clip(at[:, None] + np.array(MOVES), 0, SIDE - 1) @ np.array([SIDE, 1])  # (CELLS, 4)
    sure = np.eye(CELLS)[to]
    move = (1 - slip) * sure + slip * sure.mean(axis=1, keepdims=True)
    move[exit_] = np.eye(CELLS)[exit_][:, None]
    away = np.abs(at - at[worth.argmax()]).sum(axis=1)
    return Grid(move, exit_, worth, 1 - away / (2 * (SIDE - 1)))
