"""Every online method on the same tables: the same prompts, completions drawn, verdicts and updates.

What a method takes beside verdicts (who wins, a task, what is allowed, how hard a prompt is) is read off them, or off
the starting policy: no method is told more than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy
from plaudit.lab.worlds.tables import END, LENGTH, Tables, at_levels, best_share
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.advantages.wrapping import Filtered, WithoutOutliers
from plaudit.policy.online.methods import ONLINE, online
from plaudit.shaping.groups import pairs_within

TABLES = {
    "prime": "prime?process_rate=0.05", "online-inpo": "online-inpo?eta=0.5&tau=0.1",
    "rlpr": "rlpr?clip_high=0.2&weights=sequence", "ema-grpo": "ema-grpo?weights=sequence",
    "pf-ppo": "pf-ppo?weights=sequence",
}  # fmt: skip
"""Constants that belong to the learning rates of language models, put at those of tables; bounds and weights of GRPO
for what differs from it by advantages."""
WRAPPED = {"stable-reinforce": WithoutOutliers(), "pf-ppo": Filtered()}
"""Wrappers around GRPO's advantages, where their papers have REINFORCE++'s and PPO's: a table has no value function."""
EVERY = 2
"""Batches from one look to the next."""
WITHOUT = ("ppo", "oreal-tokens")
"""Of which a table has neither the value function nor the token reward model."""
ARMS = ("coin", "oracle", *(name for name in ONLINE if name not in WITHOUT))


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `truth_at_kl`, the chance of a right answer where the KL from the start is the budget's `level` (where the run
        ended, if it stayed below), less that of the start; `truth_LEVEL` at other levels that were reached; `truth`,
        `passed` (less the start's) and `kl` in the end; `updates_to_kl`, batches until that level, if it was reached;
        `sampled_tokens` and `reward_calls` of the whole run.
    """
    del fit  # no network is fitted
    if arm not in ARMS:
        raise InputError(f"online_methods: arm {arm!r} is not known; the claim lists the arms")
    world = Tables.made(seed, budget)
    policy = TabularPolicy(world.start.logits, world.start.moves, length=LENGTH, end=END)
    before = world.measured(world.start)
    verdict = {"coin": _coin(world, seed), "oracle": world.right}.get(arm, world.passed)
    name = "grpo" if arm in ("coin", "oracle") else arm
    spending = Spending(
        updates=int(budget["updates"]), prompts=int(budget["batch"]), each=int(budget["each"]),
        rate=float(budget["rate"]), passes=2, adam=True,
    )  # fmt: skip
    method = online(TABLES.get(name, name))[1]
    if name in WRAPPED:
        method = replace(method, estimator=WRAPPED[name], critic=None)
    spent = {"sampled_tokens": 0.0, "reward_calls": 0.0}

    def judge(drawn: Drawn) -> Judged:
        spent["sampled_tokens"] += float(drawn.mask.sum())
        spent["reward_calls"] += float(len(drawn.prompt))
        return judged(world, drawn, verdict)

    history = improved(
        policy, judge, method, spending,
        generator=torch.Generator().manual_seed(seed + 1),
        watch=lambda p, done: {} if done % EVERY else world.measured(p),
    )  # fmt: skip
    seen = [before, *history[EVERY - 1 :: EVERY]]
    kl, truth = [row["kl"] for row in seen], [row["truth"] - before["truth"] for row in seen]
    level, passed = float(budget["level"]), world.measured(policy)["passed"] - before["passed"]
    numbers = {**at_levels(kl, truth, level), "passed": passed, **spent}
    if numbers["kl"] >= level:
        numbers["updates_to_kl"] = EVERY * float(np.interp(level, np.maximum.accumulate(kl), range(len(kl))))
    return numbers


def judged(world: Tables, drawn: Drawn, verdict: Bool[Tensor, "q m"]) -> Judged:
    """What a method may read of completions."""
    passed = verdict[drawn.prompt, world.at(drawn.tokens)].double().numpy()
    groups, prompt = drawn.group.numpy(), drawn.prompt.numpy()
    pairs = pairs_within(groups)
    lead = passed[pairs[:, 0]] - passed[pairs[:, 1]]
    return Judged(
        passed, correct=passed, tasks=tuple(f"task {p % 2}" for p in prompt),
        compared=Compared(pairs, (1 + lead) / 2, strength=3 * lead),
        columns={"allowed": passed, "hardness": world.hardness[prompt], "gap": 1 - passed},
    )  # fmt: skip


def _coin(world: Tables, seed: int) -> Bool[Tensor, "q m"]:
    """Verdicts that know nothing, as often passed as the verifier's."""
    generator = torch.Generator().manual_seed(seed + 2)
    worth = torch.rand(world.right.shape, generator=generator, dtype=torch.float64)
    return best_share(worth, world.start.chances(world.every).detach(), 1 - float(world.hardness.mean()))
