"""Pairs that are asked for their scores, in both orders, against pairs of which one merely won.

The rows are made by the function that `plaudit align` uses. A policy that is asked for a score has the prompt's
features once as they are and once times the score; it is judged when asked for a high one. Each arm trains until the
policy, asked so, is a given KL from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared
from plaudit.policy.offline.data import goal_conditioned_pairs
from plaudit.records import Message, Pair

ARMS = ("augmented", "dpo", "shuffled", "chosen-only", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth` and `kl` on prompts that are not trained on, asked for the high score; `low`, worth when asked for one
        as far below the mean.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in ARMS or knob not in ("", "coarse"):
        raise InputError(f"reward_augmented: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    draw = torch.Generator().manual_seed(seed + 1)
    pairs = int(budget["pairs"]) * (int(budget["many"]) if head == "oracle" else 1)
    noise = 0.0 if head == "oracle" else float(budget["noise"])
    rows = _rows(compared(world, pairs, steepness=1.0, generator=draw, noise=noise), coarse=bool(knob))
    if head in ("augmented", "shuffled", "chosen-only"):
        rows = goal_conditioned_pairs(rows)
    if head == "chosen-only":  # asked for chosen's score, chosen wins; the other order is left out
        rows = rows[::2]
    prompt, goal, shown = _shown(rows)
    if head == "shuffled":
        goal = goal[torch.randperm(len(goal), generator=draw)]
    x = torch.cat([world.start.features, world.test]) if world.start.features is not None else world.test
    high = float(budget["high"])
    policy = TabularPolicy(
        torch.cat([world.start.logits, torch.zeros_like(world.start.logits)]), world.start.moves,
        length=world.start.length, end=0, features=_asked(x[prompt], goal),
    )  # fmt: skip
    start = policy.frozen()
    fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=float(budget["kl"]))
    wanted = 0.0 if head in ("dpo", "oracle") else high
    at = _asked(x[: world.train], torch.full((world.train,), wanted, dtype=torch.float64))
    aligned(policy, shown, f"dpo?beta={budget['beta']}", fitting, reference=start, at=at)
    return {
        "worth": _worth(world, policy, wanted), "low": _worth(world, policy, -wanted),
        "kl": float(_on_test(world, policy, wanted).kl(_on_test(world, start, wanted)).mean()),
    }  # fmt: skip


def _rows(shown: Shown, *, coarse: bool) -> list[Pair]:
    """Pairs as records, in the order of their scores; a phrase is named by its number. Coarse scores are -1 and 1."""
    assert shown.scores is not None
    found = []
    for a, b in shown.pairs.sort(1).values.tolist():
        up, down = (a, b) if shown.scores[a] >= shown.scores[b] else (b, a)
        scores = (1.0, -1.0) if coarse else (float(shown.scores[up]), float(shown.scores[down]))
        prompt = (Message("user", str(int(shown.prompt[a]))),)
        tokens = ["".join(map(str, shown.tokens[i].tolist())) for i in (up, down)]
        found.append(Pair(prompt, tokens[0], tokens[1], chosen_score=scores[0], rejected_score=scores[1]))
    return found


def _shown(rows: list[Pair]) -> tuple[Tensor, Tensor, Shown]:
    """The prompts of rows, the scores that they ask for (0 where they ask for none), and their pairs."""
    prompt = torch.tensor([int(row.prompt[-1].text) for row in rows])
    goal = torch.tensor([float(row.meta.get("goal", 0.0)) for row in rows], dtype=torch.float64)
    tokens = torch.tensor([[int(c) for c in str(t)] for row in rows for t in (row.chosen, row.rejected)])
    place = torch.arange(len(rows))
    return prompt, goal, Shown(place.repeat_interleave(2), tokens, torch.stack([2 * place, 2 * place + 1], 1))


def _asked(x: Tensor, goal: Tensor) -> Tensor:
    """Features of prompts that are asked for scores."""
    return torch.cat([x, goal[:, None] * x], 1)


def _on_test(world: Phrases, policy: TabularPolicy, goal: float) -> TabularPolicy:
    asked = _asked(world.test, torch.full((len(world.test),), goal, dtype=torch.float64))
    return TabularPolicy(policy.logits, policy.moves, length=policy.length, end=0, features=asked).requires_grad_(False)


def _worth(world: Phrases, policy: TabularPolicy, goal: float) -> float:
    chance = _on_test(world, policy, goal).chances(world.every)
    return float(np.asarray((chance * world.worth[world.train :]).sum(1)).mean())
