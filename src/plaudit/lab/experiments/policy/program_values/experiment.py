"""Q functions of short programs, fitted off-policy to unit tests, with two ways to choose what comes next.

Rows are programs that the start wrote for each task, with what they earned, and one right program of each. The value of
a state is linear in the task's features, as the policy is: `V_phi`, fitted first with the policy as it is, and `V_res`,
fitted together with it. Arms differ in the target alone, or in what else is learnt from the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.programs import PASSED, Programs, programs
from plaudit.lab.tabular import TabularPolicy
from plaudit.policy.losses.conservative import (
    conservative_loss,
    conservative_targets,
    q_values,
    recovered_rewards,
)

VALUED = ("conservative", "max", "shuffled", "likeliest")
ARMS = (*VALUED, "right", "start", "oracle")
KNOBS = {"": ARMS, **dict.fromkeys(("hot", "plain", "0"), ("conservative", "max"))}


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `passed`, pass@1 on unseen tasks; `picked`, how often the program passes that is picked from some samples of
        each: by the sum of recovered rewards where a Q function was fitted, else by log-probability; `highest`, the
        mean over states of the largest Q of the training rows (1 is the most that can be earned; 0 without one).
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in KNOBS.get(knob, ()):
        raise InputError(f"program_values: arm {arm!r} is not known; the claim lists the arms")
    world = programs(
        seed, tasks=int(budget["tasks"]), test=int(budget["test"]),
        operations=1 if knob == "0" else int(budget["operations"]), skill=float(budget["skill"]),
        errors=float(budget["errors"]),
    )  # fmt: skip
    budget = {**budget, "alpha": budget["hot" if knob in ("hot", "plain") else "alpha"]}
    rows = _rows(world, int(budget["each"]), torch.Generator().manual_seed(seed))
    if name == "shuffled":
        order = torch.randperm(len(rows.reward), generator=torch.Generator().manual_seed(seed + 1))
        rows = replace(rows, reward=rows.reward[order])
    value, highest, logits = None, 0.0, world.start
    if name in VALUED:
        fitted = _Fitted(world, rows, budget, greedy=name == "max", plain=knob == "plain")
        logits, value, highest = fitted.policy.logits.detach(), fitted.value().detach(), fitted.highest()
    elif name == "right":
        logits = _imitated(world, rows, budget)
    elif name == "oracle":
        logits = world.best
    picked = _picked(world, logits, None if name == "likeliest" else value, budget, seed)
    return {"passed": world.passed(logits), "picked": picked, "highest": highest}


@dataclass(frozen=True, eq=False)
class Rows:
    """Programs with what they earned, each (n,) or (n, t); `shown` is 1 for those that were given."""

    task: Tensor
    tokens: Tensor
    reward: Tensor
    shown: Tensor


def _rows(world: Programs, each: int, draw: torch.Generator) -> Rows:
    tasks = torch.arange(len(world.train))
    drawn = world.policy(world.start, world.train).sample(tasks, each, draw)
    task, tokens = torch.cat([drawn.prompt, tasks]), torch.cat([drawn.tokens, world.every[world.asked[tasks]]])
    shown = torch.cat([torch.zeros(len(drawn.prompt)), torch.ones(len(tasks))]).double()
    return Rows(task, tokens, torch.from_numpy(world.rewards(task, tokens)), shown)


class _Fitted:
    """Both fits: `V_phi` with the policy frozen, then the policy and `V_res`."""

    def __init__(self, world: Programs, rows: Rows, budget: Mapping[str, Any], *, greedy: bool, plain: bool) -> None:
        self.world, self.rows, self.budget, self.greedy, self.plain = world, rows, budget, greedy, plain
        self.policy = world.policy(world.start, world.train)
        self.prior = self.policy.frozen().next_logits(rows.task, rows.tokens)
        self.phi, self.residual = (
            torch.zeros(world.start.shape[:2], dtype=torch.float64, requires_grad=True) for _ in range(2)
        )
        self._fit([self.phi], int(budget["value_steps"]), float(budget["value_rate"]), phi=True)
        self._fit([self.policy.logits, self.residual], int(budget["steps"]), float(budget["rate"]), phi=False)

    def value(self) -> Tensor:
        """V of features and states, (f, z)."""
        return self.phi + self.residual

    def q(self) -> Tensor:
        """Q of the rows' states, (n, t, v); carries the gradient."""
        return self._q(self.policy.next_logits(self.rows.task, self.rows.tokens))

    def highest(self) -> float:
        """Mean of the largest Q of a state."""
        return float(self.q().detach().amax(-1).mean())

    def _states(self) -> Tensor:
        value = self.world.train[self.rows.task] @ self.value()
        return value.gather(1, self.policy.states(self.rows.tokens))

    def _q(self, logits: Tensor) -> Tensor:
        return q_values(logits, self._states(), alpha=float(self.budget["alpha"]))

    def _fit(self, parameters: list[Tensor], steps: int, rate: float, *, phi: bool) -> None:
        optimiser = torch.optim.Adam(parameters, lr=rate)
        taken = self.rows.tokens.flatten()
        last, shown = _last(self.rows.tokens), self.rows.shown[:, None].expand(self.rows.tokens.shape).flatten()
        reward = last * self.rows.reward[:, None].expand(self.rows.tokens.shape).flatten()
        beta = 0.0 if phi or self.plain else None
        options = {k: float(self.budget[k]) if beta is None else beta for k in ("beta_adv", "beta_ce")}
        for _ in range(steps):
            logits = self.policy.next_logits(self.rows.task, self.rows.tokens)
            following = self._q(logits).detach().roll(-1, dims=1).flatten(0, 1)
            chooses = following if self.greedy else self.prior.roll(-1, dims=1).flatten(0, 1)
            target = conservative_targets(reward, following, chooses, last, gamma=float(self.budget["gamma"]))
            told = conservative_loss(
                logits.flatten(0, 1), self._states().flatten(), taken, target, shown,
                alpha=float(self.budget["alpha"]), **options,
            )  # fmt: skip
            optimiser.zero_grad()
            (told.error if phi else told.total).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def _last(tokens: Tensor) -> Tensor:
    """1 for the last token of each program, flat."""
    found = torch.zeros(tokens.shape, dtype=torch.float64)
    found[:, -1] = 1.0
    return found.flatten()


def _imitated(world: Programs, rows: Rows, budget: Mapping[str, Any]) -> Tensor:
    """Fine-tuned on every row that passes."""
    policy, kept = world.policy(world.start, world.train), rows.reward == PASSED
    right = Shown(rows.task[kept], rows.tokens[kept], wanted=torch.ones(int(kept.sum()), dtype=torch.float64))
    aligned(policy, right, "sft", Fitting(int(budget["right_steps"]), float(budget["right_rate"])))
    return policy.logits.detach()


@torch.no_grad()
def _picked(
    world: Programs, logits: Tensor, value: Tensor | None, budget: Mapping[str, Any], seed: int
) -> float:  # fmt: skip
    """How often the best of some samples of each unseen task passes; by log-probability without a value."""
    policy = world.policy(logits, world.test)
    tasks, each = torch.arange(len(world.test)), int(budget["samples"])
    drawn = policy.sample(tasks, each, torch.Generator().manual_seed(seed + 2))
    told = drawn.logp.sum(1)
    if value is not None:
        told = _recovered(world, policy, drawn.prompt, drawn.tokens, value, budget)
    chosen = told.reshape(len(tasks), each).argmax(1) + each * tasks
    earned = world.rewards(drawn.prompt[chosen] + len(world.train), drawn.tokens[chosen])
    return float(np.mean(earned == PASSED))


def _recovered(
    world: Programs, policy: TabularPolicy, task: Tensor, tokens: Tensor, value: Tensor, budget: Mapping[str, Any]
) -> Tensor:
    """The sum of each program's recovered rewards; the start chooses what comes next."""
    said = (world.test[task] @ value).gather(1, policy.states(tokens))
    q = q_values(policy.next_logits(task, tokens), said, alpha=float(budget["alpha"]))
    prior = world.policy(world.start, world.test).next_logits(task, tokens)
    found = recovered_rewards(
        q.flatten(0, 1), tokens.flatten(), q.roll(-1, dims=1).flatten(0, 1), prior.roll(-1, dims=1).flatten(0, 1),
        _last(tokens), gamma=float(budget["gamma"]),
    )  # fmt: skip
    return found.reshape(tokens.shape).sum(1)
