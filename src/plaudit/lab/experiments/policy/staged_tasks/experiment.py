"""Easy and hard demands on the same skill, in one mixture or one after the other, with a KL to a reference.

Every prompt comes with two demands: the easy one is met where half of the tokens are right, the hard one where all are.
Arms differ in which demands are drawn when, and in whether the reference is the beginning of the stage or that of the
run; prompts, completions and outcomes are as many in all. What counts are hard demands on prompts that are not trained
on, exact. Stages are those of `policy.online.staged`, with tables in place of models in folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import Chains, at_least, chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.policy.online.methods import online

STAGES = {
    "staged": ("mixture", "hard"), "kept": ("mixture", "hard"), "one": ("mixture",), "again": ("mixture", "mixture"),
    "hard": ("hard",), "easy-hard": ("easy", "hard"), "hard-easy": ("hard", "easy"), "coin": ("mixture", "hard"),
}  # fmt: skip
"""What is drawn in the equal parts of the run."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `hard`, chance that all tokens are right; `easy`, that half of them are; `kl`, nats a completion from the start.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*STAGES, "start") or knob not in ("", "0"):
        raise InputError(f"staged_tasks: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    policy = world.policy()
    start, stages = policy.frozen(), STAGES.get(name, ())
    generator, deal = torch.Generator().manual_seed(seed), np.random.default_rng([seed, 2])
    for stage in stages:
        asked = _prompts(len(world.train), stage)
        now = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=world.train[asked // 2])
        first = TabularPolicy(start.logits, policy.moves, length=policy.length, features=world.train[asked // 2])

        def judge(drawn: Drawn, asked: torch.Tensor = asked) -> Judged:
            right = rewards(world, drawn, asked)
            return Judged(deal.permutation(right) if name == "coin" else right)

        spending = Spending(
            int(budget["updates"]) // len(stages), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]),
            adam=True, kl_coef=0.0 if knob else float(budget["kl_coef"]),
        )  # fmt: skip
        improved(
            now, judge, online("grpo")[1], spending, generator=generator, reference=first if name == "kept" else None
        )
        policy = TabularPolicy(now.logits, policy.moves, length=policy.length, features=world.train)
    asked = world.test
    shown = TabularPolicy(policy.logits, policy.moves, length=policy.length, features=asked)
    before = TabularPolicy(start.logits, policy.moves, length=policy.length, features=asked)
    chance = shown.table().detach().softmax(-1).gather(-1, world.needed[len(world.train) :, :, None])[..., 0]
    return {
        "hard": float(at_least(chance, policy.length).mean()),
        "easy": float(at_least(chance, policy.length // 2).mean()), "kl": float(shown.kl(before).detach().mean()),
    }  # fmt: skip


def _prompts(count: int, stage: str) -> torch.Tensor:
    """What a stage draws from: twice the number of a prompt for its easy demand, and 1 more for its hard one."""
    every = torch.arange(2 * count)
    return every if stage == "mixture" else every[every % 2 == (1 if stage == "hard" else 0)]


def rewards(world: Chains, drawn: Drawn, asked: torch.Tensor) -> np.ndarray[Any, Any]:
    """1 where as many tokens are right as are demanded, else 0.

    Args:
        world: that the prompts are of.
        drawn: completions, whose prompts are numbered within the stage.
        asked: prompt and demand of each of the stage's numbers, see `_prompts`.
    """
    asks = asked[drawn.prompt]
    hits = (drawn.tokens == world.needed[asks // 2]).sum(1)
    length = drawn.tokens.shape[1]
    demanded = torch.where(asks % 2 == 1, length, length // 2)
    return np.asarray((hits >= demanded).double().numpy())
