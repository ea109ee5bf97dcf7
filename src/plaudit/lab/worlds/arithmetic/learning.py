"""Improving a policy of the world on fresh samples, with whatever reward is handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plaudit.engine.engine import Engine
from plaudit.lab.worlds.arithmetic.policy import Drawn, sample
from plaudit.lab.worlds.arithmetic.problems import Problem
from plaudit.policy.advantages.groups import group_advantages
from plaudit.policy.losses.on_policy import on_policy_loss
from plaudit.rewards.base import RewardBatch

Judge = Callable[[Sequence[Problem], Sequence[Drawn], int], RewardBatch]
"""Rewards of solutions to problems, one each, in the update of that number."""


@dataclass(frozen=True, slots=True)
class LearningConfig:
    """How a policy is improved: one update on each batch of fresh samples."""

    updates: int = 100
    """Batches."""
    prompts: int = 16
    """Problems a batch."""
    samples: int = 8
    """Solutions a problem."""
    learning_rate: float = 1e-3
    """Of AdamW, constant, without weight decay."""


def improve(
    model: Any, problems: Sequence[Problem], judge: Judge, config: LearningConfig, *, seed: int
) -> list[dict[str, float]]:
    """Trains a policy in place by group-relative policy gradient.

    Args:
        model: the policy.
        problems: drawn from without replacement until all were seen, then again.
        judge: rewards; samples without one leave baselines and loss.
        config: sizes and learning rate.
        seed: of the order of problems and of sampling.

    Returns:
        For each update: mean reward of what counted, share that counted, share that did not finish.
    """
    import torch

    engine = Engine(model, budget=16384)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    rng, order, told = np.random.default_rng([seed, 13]), list[int](), []
    for update in range(config.updates):
        while len(order) < config.prompts:
            order += rng.permutation(len(problems)).tolist()
        asked = [problems[order.pop()] for _ in range(config.prompts)]
        drawn = sample(model, asked, each=config.samples, seed=seed * 100_003 + update)
        flat = [d for row in drawn for d in row]
        repeated = [p for p in asked for _ in range(config.samples)]
        batch = judge(repeated, flat, update)
        _step(engine, optimiser, flat, batch, config.samples)
        told.append({
            "reward": float(batch.reward[batch.valid].mean()) if batch.valid.any() else float("nan"),
            "counted": float(batch.valid.mean()),
            "unfinished": float(np.mean([not d.finished for d in flat])),
        })  # fmt: skip
    model.eval()
    return told


def _step(engine: Engine, optimiser: Any, drawn: Sequence[Drawn], batch: RewardBatch, each: int) -> None:
    """One update: the prompt of a group is run once, for all its solutions."""
    import torch

    groups = [i // each for i in range(len(drawn))]
    advantages = group_advantages(batch.reward, batch.valid, groups)
    if not advantages.any():  # nothing to learn from: Adam's momentum alone would still move the policy
        return
    engine.model.train()
    all_logps = engine.token_logps([[*d.prompt_ids, *d.completion_ids] for d in drawn])
    logps = [row[len(d.prompt_ids) - 1 :] for row, d in zip(all_logps, drawn, strict=True)]
    loss = on_policy_loss(logps, torch.tensor(advantages, dtype=torch.float32), torch.tensor(batch.valid))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(engine.model.parameters(), 1.0)
    optimiser.step()
