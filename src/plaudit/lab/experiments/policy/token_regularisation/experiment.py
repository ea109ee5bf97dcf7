"""Pairs of chains of which a few tokens decide, with token rewards from the policy's own two ways to be asked.

Asked for a better chain the start leans to the rule, and asked for a worse one away from it; how it leans is a part of
the rule and errors of its own. Which places decide, neither knows. All arms learn from the same pairs, with as many
steps at most, until they are a given KL from the start; a chain is worth as many of its deciding tokens as are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, Shown, aligned, mean_kl
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import Chains, chains
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import labelled
from plaudit.shaping.steps import contrastive_token_rewards

ARMS = ("regularised", "paper", "dpo", "shuffled", "asked", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        On unseen prompts: `worth` in deviations within a prompt above the start, exact; `kl`, nats; `accuracy` of the
        implicit reward on fresh pairs of the start, by what they are worth; `credit`, the chance that the implicit
        reward of a deciding token is larger in size than that of another token. And `told`, the chance that a right
        deciding token has a higher token reward than a wrong one, on the training pairs.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0") or (knob and name != "regularised"):
        raise InputError(f"token_regularisation: arm {arm!r} is not known; the claim lists the arms")
    world = _world(seed, budget, skill=0.0)
    rule = _world(seed, budget, skill=1.0).start - world.start
    rng = np.random.default_rng([seed, 3])
    error = torch.from_numpy(rng.normal(size=tuple(rule.shape)) / np.sqrt(len(rule)))
    lean = (0.0 if knob else float(budget["lean"])) * rule + float(budget["error"]) * error
    draw = torch.Generator().manual_seed(seed + 1)
    shown = _pairs(world, int(budget["pairs"]), float(budget["steepness"]), draw)
    rewards = _token_rewards(world, shown, lean)
    told = _above(rewards[:, world.decisive], _hits(world, shown))
    if name == "shuffled":
        rewards = rewards.flatten()[torch.randperm(rewards.numel(), generator=draw)].reshape(rewards.shape)
    elif name == "oracle":
        rewards = torch.zeros_like(rewards)
        rewards[:, world.decisive] = _hits(world, shown).double() - 0.5
    policy = _trained(world, shown, rewards, lean, name, budget)
    return {**_measured(world, policy, int(budget["fresh"]), torch.Generator().manual_seed(seed + 2)), "told": told}


def _world(seed: int, budget: Mapping[str, Any], *, skill: float) -> Chains:
    return chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        decisive=int(budget["decisive"]), skill=skill, errors=float(budget["errors"]),
    )  # fmt: skip


def _hits(world: Chains, shown: Shown) -> Tensor:
    """Which deciding tokens are right, (n, d)."""
    return (shown.tokens == world.needed[shown.prompt])[:, world.decisive]


def _pairs(world: Chains, count: int, steepness: float, draw: torch.Generator) -> Shown:
    """Pairs of the start with noisy labels by how many deciding tokens are right."""
    policy = world.policy()
    drawn = policy.sample(torch.randint(policy.prompts, (count,), generator=draw), 2, draw)
    shown = Shown(drawn.prompt, drawn.tokens)
    worth = _hits(world, shown).double().sum(1).reshape(-1, 2)
    first = labelled(worth[:, 0] - worth[:, 1], steepness=steepness, generator=draw)
    place = 2 * torch.arange(count)
    return Shown(drawn.prompt, drawn.tokens, torch.stack([place + 1 - first, place + first], 1))


@torch.no_grad()
def _token_rewards(world: Chains, shown: Shown, lean: Tensor) -> Tensor:
    """Of each token, (n, t), from the start asked for better and for worse."""
    start = world.policy()
    both = [
        TabularPolicy(start.logits + sign * lean, start.moves, length=start.length, features=start.features)
        for sign in (1, -1)
    ]
    better, worse = (p.logps(shown.prompt, shown.tokens).numpy() for p in both)
    return torch.from_numpy(contrastive_token_rewards(better, worse))


def _trained(
    world: Chains, shown: Shown, rewards: Tensor, lean: Tensor, name: str, budget: Mapping[str, Any]
) -> TabularPolicy:  # fmt: skip
    """The arm's policy, a given KL from the start on the prompts that are trained on."""
    policy, most = world.policy(), float(budget["kl"])
    if name == "asked":  # not trained: asked for better, and as insistently as the KL allows
        return _insisted(policy, lean, most)
    alpha = float(budget["paper" if name == "paper" else "alpha"])
    how = f"dpo?beta={budget['beta']}" if name == "dpo" else f"t-reg?beta={budget['beta']}&alpha={alpha}"
    shown = Shown(shown.prompt, shown.tokens, shown.pairs, token_rewards=rewards)
    aligned(policy, shown, how, Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=most))
    return policy


def _insisted(policy: TabularPolicy, lean: Tensor, most: float) -> TabularPolicy:
    start, low, high = policy.frozen(), 0.0, 64.0
    for _ in range(40):
        middle = (low + high) / 2
        policy.logits.data = start.logits + middle * lean
        low, high = (middle, high) if mean_kl(policy, start) <= most else (low, middle)
    return policy


@torch.no_grad()
def _measured(world: Chains, policy: TabularPolicy, fresh: int, draw: torch.Generator) -> dict[str, float]:
    start, then = _tested(world, world.start), _tested(world, policy.logits)
    needed = world.needed[len(world.train) :]
    chance, now = (p.table().softmax(-1).gather(-1, needed[..., None])[:, world.decisive, 0] for p in (start, then))
    deviation = (chance * (1 - chance)).sum(1).sqrt()
    drawn = start.sample(torch.arange(start.prompts).repeat(-(-fresh // start.prompts)), 2, draw)
    implicit = then.logps(drawn.prompt, drawn.tokens) - start.logps(drawn.prompt, drawn.tokens)
    worth = (drawn.tokens == needed[drawn.prompt])[:, world.decisive].sum(1).reshape(-1, 2)
    margin, gap = (x[:, 0] - x[:, 1] for x in (implicit.sum(1).reshape(-1, 2), worth))
    decides = torch.zeros_like(implicit, dtype=torch.bool)
    decides[:, world.decisive] = True
    return {
        "worth": float(((now - chance).sum(1) / deviation).mean()), "kl": mean_kl(then, start),
        "accuracy": float((margin * gap > 0)[gap != 0].double().mean()), "credit": _above(implicit.abs(), decides),
    }  # fmt: skip


def _tested(world: Chains, logits: Tensor) -> TabularPolicy:
    start = world.policy()
    return TabularPolicy(logits, start.moves, length=start.length, features=world.test)


def _above(number: Tensor, marked: Tensor) -> float:
    """Chance that a marked number is above one that is not, ties one half."""
    from scipy.stats import mannwhitneyu

    one, other = number[marked].numpy(), number[~marked].numpy()
    return float(mannwhitneyu(one, other).statistic / (len(one) * len(other)))
