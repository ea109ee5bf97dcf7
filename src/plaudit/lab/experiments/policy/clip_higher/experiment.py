"""Chains of tokens, several updates on each batch: bounds of the ratio, entropy, and accuracy in tries.

Arms differ in the bounds of the ratio, or in which prompts are left out. Accuracy of one try and of eight is on prompts
that are not trained on, exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from plaudit.errors import InputError
from plaudit.lab.experiment import Fit
from plaudit.lab.experiments.policy.chains import chains
from plaudit.lab.improving import Judged, Spending, improved
from plaudit.lab.tabular import Drawn
from plaudit.policy.online.methods import online

METHODS = {
    "higher": "grpo?weights=token&clip_high=0.28", "equal": "grpo?weights=token",
    "open": "grpo?weights=token&clip_high=1e6", "lower": "grpo?weights=token&clip_high=0.12",
    "dynamic": "dapo?clip_high=0.2", "dapo": "dapo", "coin": "grpo?weights=token",
}  # fmt: skip


def run_instance(seed: int, arm: str, *, budget: Mapping[str, Any], fit: Fit) -> dict[str, float]:
    """One arm on one instance; see `RunInstance`.

    Returns:
        `entropy` of a token on test prompts, nats; `accuracy` of one try; `tries`, of the best of eight.
    """
    del fit  # a tabular policy
    name, _, knob = arm.partition("@")
    if name not in (*METHODS, "start") or knob not in ("", "1"):
        raise InputError(f"clip_higher: arm {arm!r} is not known; the claim lists the arms")
    world = chains(
        seed, prompts=int(budget["train"]), test=int(budget["test"]), length=int(budget["length"]),
        skill=float(budget["skill"]),
    )  # fmt: skip
    policy = world.policy()
    if name != "start":
        deal = np.random.default_rng([seed, 2])

        def judge(drawn: Drawn) -> Judged:
            right = world.right(drawn)
            return Judged(deal.permutation(right) if name == "coin" else right, correct=right)

        spending = Spending(
            int(budget["updates"]), int(budget["prompts"]), int(budget["each"]), float(budget["rate"]), adam=True,
            passes=1 if knob else int(budget["passes"]),
        )  # fmt: skip
        improved(policy, judge, online(METHODS[name])[1], spending, generator=torch.Generator().manual_seed(seed))
    one = world.accuracy(policy)
    return {
        "entropy": world.entropy(policy), "accuracy": float(one.mean()), "tries": float((1 - (1 - one) ** 8).mean())
    }  # fmt: skip
