"""A softmax policy against five heads that were fitted to a part of the table, and its true reward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.networks import minimise
from plaudit.rewards.readers.gaussian_heads import gaussian_heads_parameters
from plaudit.shaping.ensembles import nominal_minimum
from plaudit.training.objectives.ensembles.robust import heads_likelihood, nominal_member, robust_value

ALPHAS = {"robust_0": 0.0, "robust_2": 0.2, "robust_4": 0.4, "robust_6": 0.6, "robust_8": 0.8, "nominal": 1.0}
"""Weight of the nominal reward by arm."""
ARMS = (*ALPHAS, "mean", "sample_4", "shuffled_4", "oracle")
PROMPTS, RESPONSES, HEADS = 8, 8, 5
KL_COEF = 0.1
"""Reward units per nat away from the uniform policy."""
NOISE = 0.3
"""Deviation of a rating's noise; the true reward has deviation 1."""


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `true_reward`: the policy's expected true reward in its deviations within prompts, mean over several tables;
        `claimed`: what the reward that it maximised says of it.
    """
    del fit  # a table of cells
    name, _, knob = arm.partition("@")
    if name not in ARMS or knob not in ("", "0"):
        raise InputError(f"robust_heads: arm {arm!r} is not known; the claim lists the arms")
    found = [
        _table(seed, i, name, 1.0 if knob else float(budget["covered"]), int(budget["steps"]))
        for i in range(int(budget["tables"]))
    ]
    true, claimed = np.mean(found, axis=0)
    return {"true_reward": float(true), "claimed": float(claimed)}


def _table(seed: int, index: int, arm: str, covered: float, steps: int) -> tuple[float, float]:
    truth, nominal, members = _rated_table(seed, index, covered, steps)
    rng = np.random.default_rng([seed, index, 1])
    if arm == "oracle":
        nominal, members = torch.from_numpy(truth.reshape(-1)), torch.from_numpy(truth.reshape(-1, 1))
    elif arm == "mean":
        nominal = members.mean(dim=1)
    elif arm == "shuffled_4":  # critics who speak of other cells
        members = members[torch.from_numpy(rng.permutation(truth.size))]
    elif arm == "sample_4":
        nominal = torch.from_numpy(nominal_minimum(members.numpy(), nominal=nominal.numpy(), alpha=0.4, over="sample"))
    alpha = ALPHAS.get(arm, 0.4 if arm == "shuffled_4" else 1.0)
    policy, claimed = _policy(nominal, members, alpha, steps)
    return float((policy * truth).sum(axis=1).mean()), claimed


@lru_cache(maxsize=64)
def _rated_table(seed: int, index: int, covered: float, steps: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """True rewards (8, 8), and what the fitted heads say; the arms of an instance share it."""
    rng = np.random.default_rng([seed, index])
    truth = rng.normal(size=(PROMPTS, RESPONSES))
    truth = (truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)
    seen = rng.random(truth.size) < covered
    ratings = truth.reshape(-1) + NOISE * rng.normal(size=truth.size)
    return truth, *_heads(ratings, seen, rng, steps)


def _heads(ratings: np.ndarray, seen: np.ndarray, rng: np.random.Generator, steps: int) -> tuple[Tensor, Tensor]:
    """Nominal reward (64,) and heads (64, 5), fitted to the cells that are seen, on features that all cells share.

    There are more features than seen cells, so each head keeps, where nothing was seen, a part of its first weights.
    """
    features = torch.from_numpy(rng.normal(size=(len(ratings), len(ratings))) / np.sqrt(len(ratings)))
    weight = torch.from_numpy(rng.normal(size=(len(ratings), 2 * HEADS))).requires_grad_()
    items = torch.from_numpy(np.flatnonzero(seen))
    targets = torch.from_numpy(ratings)[items]

    def loss(_: int) -> Tensor:
        mean, sigma = gaussian_heads_parameters(features @ weight)
        return heads_likelihood(mean, sigma + 0.1, items=items, targets=targets) / len(items)

    minimise([weight], loss, steps=4 * steps, lr=0.05)  # until the heads agree about what they saw
    mean, sigma = gaussian_heads_parameters((features @ weight).detach())
    return nominal_member(mean, sigma), mean


def _policy(nominal: Tensor, members: Tensor, alpha: float, steps: int) -> tuple[np.ndarray, float]:
    """The softmax policy that maximises the robust value less its KL from uniform, and that value."""
    logits = torch.zeros(PROMPTS, RESPONSES, dtype=torch.float64, requires_grad=True)
    worth, table = nominal.reshape(PROMPTS, RESPONSES), members.reshape(PROMPTS, RESPONSES, -1)

    def value() -> tuple[Tensor, Tensor]:
        policy = logits.softmax(dim=1)
        each = (policy[:, :, None] * table).sum(dim=1)  # expectations by prompt: means over prompts are over the policy
        kl = (policy * (policy * RESPONSES).log()).sum(dim=1).mean()
        return robust_value((policy * worth).sum(dim=1), each, alpha=alpha), kl

    def loss(_: int) -> Tensor:
        gain, kl = value()
        return KL_COEF * kl - gain

    minimise([logits], loss, steps=steps, lr=0.05)
    return logits.detach().softmax(dim=1).numpy(), float(value()[0].detach())
