"""Every online method on the same tables: the same prompts, completions drawn, verdicts and updates.

A completion is up to five tokens long; how good it is adds up over tokens and over neighbours. A verifier judges by a
worth that is wrong in places, so a policy can be right by it and wrong by the truth. Truth and KL are sums over all
completions and need no samples. What a method takes beside verdicts (who wins, a task, what is allowed, how hard a
prompt is) is read off them, or off the starting policy: no method is told more than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn, TabularPolicy, by_previous
from plaudit.policy.advantages.compared import Compared
from plaudit.policy.online.methods import ONLINE, online
from plaudit.shaping.groups import pairs_within

TOKENS, LENGTH, END = 5, 5, 0
LEVELS = (0.25, 0.5, 1.0, 2.0)
"""Nats a completion from the start at which the truth is looked at."""
TABLES = {"prime": "prime?process_rate=0.05", "online-inpo": "online-inpo?eta=0.5&tau=0.1"}
"""Constants that belong to the learning rates of language models, put at those of tables."""
EVERY = 2
"""Batches from one look to the next."""
ARMS = ("coin", "oracle", *(name for name in ONLINE if name != "ppo"))


@dataclass(frozen=True, eq=False)
class World:
    """Prompts, the policy that training starts from, and what is right.

    Attributes:
        start: the policy.
        every: all completions, (m, t).
        right: whether each is truly right, (q, m).
        passed: whether the verifier says so, (q, m).
        place: number of a completion among all, by its tokens.
        hardness: share of a prompt's completions under the start that the verifier does not pass, (q,).
    """

    start: TabularPolicy
    every: Int[Tensor, "m t"]
    right: Bool[Tensor, "q m"]
    passed: Bool[Tensor, "q m"]
    place: Mapping[tuple[int, ...], int]
    hardness: Float[np.ndarray, " q"]

    @classmethod
    def made(cls, seed: int, budget: Mapping[str, Any]) -> World:
        """Tables from the seed."""
        generator = torch.Generator().manual_seed(seed)
        q, moves = int(budget["prompts"]), by_previous(LENGTH, TOKENS)
        logits = 0.5 * torch.randn(q, *moves.shape, generator=generator, dtype=torch.float64)
        logits[..., END] -= 1.0  # few completions end at once
        start = TabularPolicy(logits, moves, length=LENGTH, end=END)
        every, chance = start.every(), start.chances(start.every()).detach()
        worth = _worth(start, every, q, generator)
        believed = worth + float(budget["error"]) * _worth(start, every, q, generator)
        right, passed = (_best(x, chance, float(budget["share"])) for x in (worth, believed))
        place = {tuple(row): k for k, row in enumerate(every.tolist())}
        return cls(start, every, right, passed, place, 1 - (chance * passed).sum(1).numpy())

    @torch.no_grad()
    def measured(self, policy: TabularPolicy) -> dict[str, float]:
        """Chance of a right answer, of one that the verifier passes, and the distance from the start."""
        chance = policy.chances(self.every)
        return {
            "truth": float((chance * self.right).sum(1).mean()),
            "passed": float((chance * self.passed).sum(1).mean()),
            "kl": float(policy.kl(self.start).mean()),
        }

    def judged(self, drawn: Drawn, verdict: Bool[Tensor, "q m"]) -> Judged:
        """What a method may read of completions."""
        at = torch.tensor([self.place[tuple(row)] for row in drawn.tokens.tolist()])
        passed = verdict[drawn.prompt, at].double().numpy()
        groups, prompt = drawn.group.numpy(), drawn.prompt.numpy()
        pairs = pairs_within(groups)
        lead = passed[pairs[:, 0]] - passed[pairs[:, 1]]
        return Judged(
            passed, correct=passed, tasks=tuple(f"task {p % 2}" for p in prompt),
            compared=Compared(pairs, (1 + lead) / 2, strength=3 * lead),
            columns={"allowed": passed, "hardness": self.hardness[prompt], "gap": 1 - passed},
        )  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `truth_at_kl`, the chance of a right answer where the KL from the start is the budget's `level` (where the run
        ended, if it stayed below), less that of the start; `truth_LEVEL` at other levels that were reached; `truth`,
        `passed` (less the start's) and `kl` in the end; `updates_to_kl`, batches until that level, if it was reached.
    """
    del fit  # no network is fitted
    if arm not in ARMS:
        raise InputError(f"online_methods: arm {arm!r} is not known; the claim lists the arms")
    world = World.made(seed, budget)
    policy = TabularPolicy(world.start.logits, world.start.moves, length=LENGTH, end=END)
    before = world.measured(world.start)
    verdict = {"coin": _coin(world, seed), "oracle": world.right}.get(arm, world.passed)
    name = "grpo" if arm in ("coin", "oracle") else arm
    spending = Spending(
        updates=int(budget["updates"]), prompts=int(budget["batch"]), each=int(budget["each"]),
        rate=float(budget["rate"]), passes=2, adam=True,
    )  # fmt: skip
    history = improved(
        policy, lambda drawn: world.judged(drawn, verdict), online(TABLES.get(name, name))[1], spending,
        generator=torch.Generator().manual_seed(seed + 1),
        watch=lambda p, done: {} if done % EVERY else world.measured(p),
    )  # fmt: skip
    told = np.array([[row["kl"], row["truth"]] for row in history[EVERY - 1 :: EVERY]])
    kl, truth = np.r_[0.0, np.maximum.accumulate(told[:, 0])], np.r_[before["truth"], told[:, 1]] - before["truth"]
    updates = EVERY * np.arange(len(kl))
    numbers = {
        "truth_at_kl": float(np.interp(float(budget["level"]), kl, truth)),
        "truth": float(truth[-1]),
        "passed": world.measured(policy)["passed"] - before["passed"],
        "kl": float(kl[-1]),
    }
    if kl[-1] >= float(budget["level"]):
        numbers["updates_to_kl"] = float(np.interp(float(budget["level"]), kl, updates))
    return numbers | {f"truth_{x:g}": float(np.interp(x, kl, truth)) for x in LEVELS if x <= kl[-1]}


def _worth(start: TabularPolicy, every: Tensor, q: int, generator: torch.Generator) -> Float[Tensor, "q m"]:
    """A sum over tokens and neighbours, with a unit deviation under uniform draws of completions."""
    alone = torch.randn(q, LENGTH, TOKENS, generator=generator, dtype=torch.float64)
    beside = torch.randn(q, TOKENS, TOKENS, generator=generator, dtype=torch.float64)
    said = start.counted(every)
    total = (alone[:, torch.arange(LENGTH), every] * said).sum(-1)
    total += (beside[:, every[:, :-1], every[:, 1:]] * said[:, 1:]).sum(-1)
    return (total - total.mean(1, keepdim=True)) / total.std(1, keepdim=True)


def _best(worth: Tensor, chance: Tensor, share: float) -> Bool[Tensor, "q m"]:
    """The completions of the highest worth that have so large a share of the start's."""
    order = worth.argsort(dim=1, descending=True)
    kept = chance.gather(1, order).cumsum(1) <= share
    return torch.zeros_like(kept).scatter(1, order, kept)


def _coin(world: World, seed: int) -> Bool[Tensor, "q m"]:
    """Verdicts that know nothing, as often passed as the verifier's."""
    generator = torch.Generator().manual_seed(seed + 2)
    worth = torch.rand(world.right.shape, generator=generator, dtype=torch.float64)
    return _best(worth, world.start.chances(world.every).detach(), 1 - float(world.hardness.mean()))
