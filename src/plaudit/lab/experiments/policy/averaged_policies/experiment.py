"""The reward that is left at a given distance from the start: by averaging weights, or by stopping early.

A policy is aligned on noisy pairs for long. Its weights are averaged with those of the start, by the function that
`plaudit merge` uses, with the share at which the KL is what was allowed; against it stand the same training, stopped at
that KL, and training with a stronger penalty. The KL to the start is the tax: what the start said well is what it is
measured by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.aligning import Fitting, aligned, mean_kl
from plaudit.lab.experiment import Fit
from plaudit.lab.tabular import TabularPolicy
from plaudit.lab.worlds.phrases import Phrases, compared
from plaudit.policy.merging import interpolated

ARMS = ("averaged", "stopped", "penalised", "final", "random", "oracle")


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `worth`, `kl` and `entropy` on prompts that are not trained on; `share` of the aligned policy in the average.
    """
    del fit  # a tabular policy
    head, _, knob = arm.partition("@")
    if head not in ARMS or knob not in ("", "many", "near"):
        raise InputError(f"averaged_policies: arm {arm!r} is not known; the claim lists the arms")
    world = Phrases.made(seed, train=int(budget["train"]), test=int(budget["test"]))
    many = knob == "many" or head == "oracle"
    shown = compared(
        world, int(budget["pairs"]) * (int(budget["many"]) if many else 1),
        steepness=np.inf if head == "oracle" else 0.0 if head == "random" else 1.0,
        generator=torch.Generator().manual_seed(seed + 1),
    )  # fmt: skip
    allowed = float(budget["near"] if knob == "near" else budget["kl"])
    ends = head in ("stopped", "penalised", "oracle")
    beta = float(budget["strong"] if head == "penalised" else budget["beta"])
    fitting = Fitting(int(budget["steps"]), float(budget["rate"]), until_kl=allowed if ends else np.inf)
    policy, share = world.policy(), 1.0
    aligned(policy, shown, f"dpo?beta={beta}", fitting)
    if head in ("averaged", "random"):
        policy, share = _averaged(world.start, policy, allowed)
    found = world.measured(policy)
    return {**{name: found[name] for name in ("worth", "kl", "entropy")}, "share": share}


def _averaged(start: TabularPolicy, policy: TabularPolicy, allowed: float) -> tuple[TabularPolicy, float]:
    """The average with the start at which the KL to it is what is allowed, by halving; and the policy's share in it."""
    found = policy.frozen()

    def at(share: float) -> TabularPolicy:
        weights = interpolated({"logits": start.logits.detach()}, {"logits": policy.logits.detach()}, share)
        found.logits.data = weights["logits"]
        return found

    low, high = 0.0, 1.0
    if mean_kl(at(1.0), start) <= allowed:
        return at(1.0), 1.0
    for _ in range(40):
        share = (low + high) / 2
        low, high = (share, high) if mean_kl(at(share), start) <= allowed else (low, share)
    return at(low), low
