"""Step rewards added to an outcome, and step rewards behind a gate, in a task that has to be handed in.

A policy has eight turns. `tidy` pleases the step critic and moves nothing on, `work` does one of the pieces that the
task needs, `submit` ends it: right with the chance of the instance where all the work was done, wrong otherwise. Each
turn the environment may fail, and nothing is handed in. The policy is tabular (turn and pieces done), learns by
REINFORCE with rewards to go less the mean of its batch; what it completes is computed exactly from its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.shaping.combine import gated_steps
from plaudit.shaping.steps import Stream, stream_advantages

TURNS = 8
TIDY, WORK, SUBMIT = range(3)
TAUGHT = 1.0
"""Logit of `work` before training in the arms `@taught`, the others' being 0: such a policy succeeds now and then."""
ARMS = ("gated", "direct", "outcome", "shuffled", "oracle")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """One task.

    Attributes:
        chance: that a submission with all the work is right.
        fails: chance at each turn that the environment fails.
        need: pieces of work that the task takes.
    """

    chance: float
    fails: float
    need: int


@dataclass(frozen=True)
class Batch:
    """Trajectories, arrays (n, TURNS), and what came of them.

    Attributes:
        pieces: done before each turn.
        action: taken.
        mask: True where a turn was taken.
        outcome: (n,) 1 right, 0 wrong or nothing handed in.
    """

    pieces: NDArray[np.int64]
    action: NDArray[np.int64]
    mask: NDArray[np.bool_]
    outcome: Numbers


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `completion`, the chance that the trained policy hands in what is right; `submission`, that it hands in
        anything; `tidy`, the expected number of tidy turns.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0", "bonus0", "taught"):
        raise InputError(f"gated_rewards: arm {arm!r} is not known; the claim lists the arms")
    draw = np.random.default_rng([seed, 1])
    world = World(float(draw.uniform(0.6, 0.95)), float(draw.uniform(0.0, 0.05)), int(draw.integers(3, 5)))
    if name == "oracle":
        logits = np.full((TURNS, world.need + 1, 3), -50.0)
        logits[:, : world.need, WORK] = logits[:, world.need, SUBMIT] = 50.0
    else:
        bonus = 0.0 if knob == "bonus0" else float(budget["bonus"])
        threshold = -np.inf if knob == "0" or name == "direct" else np.inf if name == "outcome" else 0.5
        start = np.zeros((TURNS, world.need + 1, 3))
        start[..., WORK] = TAUGHT if knob == "taught" else 0.0
        logits = _trained(start, world, seed, budget, bonus, threshold, shuffled=name == "shuffled")
    return _exact(world, _softmax(logits))


def _trained(
    logits: Numbers, world: World, seed: int, budget: Mapping[str, Any], bonus: float, threshold: float, *,
    shuffled: bool,
) -> Numbers:  # fmt: skip
    rng, deal = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    n = int(budget["batch"])
    for _ in range(int(budget["updates"])):
        b = _sampled(world, _softmax(logits), n, rng)
        # the placebo opens as many gates, but any trajectory's
        gate = deal.permutation(b.outcome) if shuffled else b.outcome
        steps = gated_steps(gate, bonus * (b.action == TIDY), b.mask, threshold=threshold)
        last = np.arange(TURNS) == b.mask.sum(axis=1)[:, None] - 1
        stream = Stream(steps + np.where(last, b.outcome[:, None], 0.0), baseline="leave-one-out")
        advantage = stream_advantages([stream], b.mask, np.zeros(n, dtype=int))
        logits = logits + float(budget["rate"]) * _gradient(logits, b, advantage)
    return logits


def _sampled(world: World, policy: Numbers, n: int, rng: np.random.Generator) -> Batch:
    pieces, action = np.zeros((2, n, TURNS), dtype=np.int64)
    mask = np.zeros((n, TURNS), dtype=bool)
    outcome, done, going = np.zeros(n), np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
    for t in range(TURNS):
        u = rng.random((3, n))
        going = going & (u[0] >= world.fails)
        a = (u[1][:, None] > policy[t, done].cumsum(axis=1)[:, :2]).sum(axis=1)
        pieces[:, t], action[:, t], mask[:, t] = done, a, going
        handed = going & (a == SUBMIT)
        outcome[handed & (done == world.need) & (u[2] < world.chance)] = 1.0
        done = np.minimum(done + (going & (a == WORK)), world.need)
        going = going & ~handed
    return Batch(pieces, action, mask, outcome)


def _gradient(logits: Numbers, b: Batch, advantage: Numbers) -> Numbers:
    """Mean over trajectories of `sum_t A_t grad log pi(a_t | s_t)`."""
    found = np.zeros_like(logits)
    turn = np.broadcast_to(np.arange(TURNS), b.mask.shape)[b.mask]
    a, done, action = advantage[b.mask], b.pieces[b.mask], b.action[b.mask]
    push = -a[:, None] * _softmax(logits)[turn, done]
    push[np.arange(a.size), action] += a
    np.add.at(found, (turn, done), push)
    return found / len(advantage)


def _exact(world: World, policy: Numbers) -> dict[str, float]:
    """Forward over the turns, by the chances of being at each state."""
    at = np.zeros(world.need + 1)
    at[0] = 1.0
    right = handed = tidy = 0.0
    for t in range(TURNS):
        at = at * (1 - world.fails)
        moved = at[:, None] * policy[t]
        handed += float(moved[:, SUBMIT].sum())
        right += float(moved[world.need, SUBMIT]) * world.chance
        tidy += float(moved[:, TIDY].sum())
        at = moved[:, TIDY].copy()
        at[1:] += moved[:-1, WORK]
        at[world.need] += moved[world.need, WORK]
    return {"completion": right, "submission": handed, "tidy": tidy}


def _softmax(logits: Numbers) -> Numbers:
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
